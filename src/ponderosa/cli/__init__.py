"""The `ponderosa` command. Each command loads what it needs when it runs."""

import sys
import traceback

from cyclopts import App

from ponderosa import __version__
from ponderosa.core import PonderosaError

app = App(
    name="ponderosa",
    help="Makes small language models reason like large ones: rStar-Math whole and in the open.",
    help_epilogue="Add `--debug` to any command for the traceback of an error.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # `main` has a word to say
)
app.command("ponderosa.cli.evolve:evolve", name="evolve", help="Evolve a model on problems with known answers.")
app.command("ponderosa.cli.solve:solve", name="solve", help="Answer a question and print the steps.")
app.command("ponderosa.cli.search:search", name="search", help="Search problems and keep the trees.")
app.command("ponderosa.cli.eval:evaluation", name="eval", help="Compare methods: accuracy against compute.")
app.command("ponderosa.cli.eval:compare", name="compare", help="The paired differences between two evaluations.")
app.command(
    "ponderosa.cli.export:export", name="export", help="Write trees as training data, or as the official code does."
)
app.command("ponderosa.cli.grade:grade", name="grade", help="Compare answers with references.")
app.command("ponderosa.cli.doctor:doctor", name="doctor", help="Say what is installed, reachable and usable here.")
app.command("ponderosa.cli.show:show", name="show", help="Show a run's results, or the search tree of a problem.")
app.command("ponderosa.cli.sandbox:app", name="sandbox", help="Run programs safely, and see what protects.")
app.command("ponderosa.cli.sapling:app", name="sapling", help="The embedded world and its base model.")


def main(arguments: list[str] | None = None) -> None:
    """Runs a command. An error is one line that says what to do, and the exit code is not 0."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        app([word for word in words if word != "--debug"])
    except KeyboardInterrupt:
        _fail("stopped; what is finished is kept, and the same command goes on from there", 130)
    except PonderosaError as error:
        _fail(str(error), 1, debug)
    except MemoryError:
        _fail("out of memory: lower `workers.concurrency`, `workers.processes` or the batch size", 1, debug)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1, debug)


def _fail(message: str, code: int, debug: bool = False) -> None:
    if debug:
        traceback.print_exc()
    print(f"ponderosa: {message}", file=sys.stderr)
    sys.exit(code)
