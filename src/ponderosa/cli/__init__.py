"""The `ponderosa` command. Each command loads what it needs when it runs."""

import errno
import signal
import sys
import traceback
from types import FrameType

from cyclopts import App, Parameter

from ponderosa import __version__
from ponderosa.core import PonderosaError

app = App(
    name="ponderosa",
    help="Makes small language models reason like large ones: rStar-Math whole and in the open.",
    help_epilogue="Add `--debug` to any command for the traceback of an error.",
    version=__version__,
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # `main` has a word to say
)
app.command("ponderosa.cli.evolve:evolve", name="evolve", help="Evolve a model on problems with known answers.")
app.command("ponderosa.cli.ablate:ablate", name="ablate", help="Compare variants of a recipe over several seeds.")
app.command("ponderosa.cli.train:train", name="train", help="Train a model on rows: SFT, the PPM, and other kinds.")
app.command("ponderosa.cli.plan:plan", name="plan", help="Say what a recipe will cost, before it is spent.")
app.command("ponderosa.cli.solve:solve", name="solve", help="Answer a question: the search, live, and the steps.")
app.command("ponderosa.cli.search:search", name="search", help="Search problems and keep the trees.")
app.command("ponderosa.cli.eval:evaluation", name="eval", help="Compare methods: accuracy against compute.")
app.command("ponderosa.cli.eval:compare", name="compare", help="The paired differences between two evaluations.")
app.command("ponderosa.cli.scaling:scaling", name="scaling", help="Fit scaling laws of training and of test time.")
app.command(
    "ponderosa.cli.export:export", name="export", help="Write trees as training data, or as the official code does."
)
app.command(
    "ponderosa.cli.rewards:compare", name="rewards", help="Compare reward models: calibration, order, best-of-N."
)
app.command("ponderosa.cli.gguf:gguf", name="gguf", help="Write a policy as a GGUF file, for small devices.")
app.command("ponderosa.cli.push:push", name="push", help="Push what a run made to the Hugging Face Hub.")
app.command("ponderosa.cli.problems:app", name="problems", help="Problems to train on: decontaminate, synthesise.")
app.command("ponderosa.cli.grade:grade", name="grade", help="Compare answers with references.")
app.command("ponderosa.cli.doctor:doctor", name="doctor", help="Say what is installed, reachable and usable here.")
app.command("ponderosa.cli.show:show", name="show", help="Show a run's results, or the search tree of a problem.")
app.command(
    "ponderosa.cli.reflection:reflection", name="reflection", help="Count trajectories that turn round and end right."
)
app.command("ponderosa.cli.sandbox:app", name="sandbox", help="Run programs safely, and see what protects.")
app.command("ponderosa.cli.sapling:app", name="sapling", help="The embedded world and its base model.")


def main(arguments: list[str] | None = None) -> None:
    """Runs a command. An error is one line that says what to do, and the exit code is not 0."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    signal.signal(signal.SIGTERM, _stop)
    try:
        app([word for word in words if word != "--debug"])
    except KeyboardInterrupt as error:
        _fail(str(error) or "stopped; what is finished is kept, and the same command goes on from there", 130)
    except PonderosaError as error:
        _fail(str(error), 1, debug)
    except MemoryError:
        _fail("out of memory: lower `workers.concurrency`, `workers.processes` or the batch size", 1, debug)
    except UnicodeDecodeError as error:
        _fail(f"a file is not UTF-8: {error}", 1, debug)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail("the disk is full; free some of it, and the same command goes on from what is finished", 1, debug)
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1, debug)


def _stop(number: int, frame: FrameType | None) -> None:
    """What schedulers send before they take a machine away is a Ctrl-C to us, of which asyncio knows how to stop."""
    stop = signal.getsignal(signal.SIGINT)
    if not callable(stop):  # Ctrl-C is ignored, as in the background of a shell
        raise KeyboardInterrupt
    stop(number, frame)


def _fail(message: str, code: int, debug: bool = False) -> None:
    if debug:
        traceback.print_exc()
    print(f"ponderosa: {message}", file=sys.stderr)
    sys.exit(code)
