"""`ponderosa solve`."""

import time
from contextlib import nullcontext
from json import dumps

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ponderosa import Solution, search
from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.search import Aggregation, Growth
from ponderosa.view.growth import cost, draw_growth
from ponderosa.view.tree import draw_trajectory


def solve(
    question: str,
    *,
    model: str | None = None,
    method: str | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    aggregation: Aggregation | None = None,
    format: str | None = None,
    kind: Kind = Kind.MATH,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Answer a question: shows the search as it goes, then the steps, the answer and what it cost.

    Ctrl-C ends it with the best answer so far.

    Parameters
    ----------
    question
        The question.
    model
        A run of `ponderosa evolve`, whose last policy and PPM answer, a Hugging Face checkpoint, the address of a
        server (http://host:port), or python:module:attribute; by default the embedded model that `make demo` made.
    method
        `greedy`, `majority`, `adaptive`, `best_of_n`, `weighted`, `beam`, `dvts`, `particles`, `playouts`, `mcts`,
        `trees`, `mutual`, `revision`, `long_chain`, or python:module:attribute; by default `mcts` with a PPM, else
        `majority`, and `greedy` of proofs.
    reward
        The PPM's checkpoint or server, where `model` is not a run or has another; with ?kind=... another process
        reward model (docs/models.md), judge:POLICY, or python:module:attribute.
    discriminator
        A second policy, for mutual reasoning, or judge:POLICY.
    aggregation
        How step values become the score of a solution (docs/search.md).
    format
        How steps are written: `rstar`, `text`, `proof`, `program`, `fenced`, ...; by default as the run says, or
        `rstar`.
    kind
        What an answer is, so that votes know which are the same: `math`, `choice`, `code` or `proof`.
    seed
        The seed of the search.
    json
        Print one JSON object and nothing else.
    """
    console = Console()
    started = time.monotonic()
    shown = nullcontext() if json or not console.is_terminal else _live(console)
    so_far: Solution | None = None
    stopped = False

    with shown as live:

        def watch(growth: Growth) -> None:
            nonlocal so_far
            so_far = growth.best
            if live is not None:
                live.update(draw_growth(growth, time.monotonic() - started, console.height), refresh=True)

        try:
            solution = search(
                Problem("question", question, kind=kind),
                policy=model,
                reward=reward,
                discriminator=discriminator,
                aggregation=aggregation,
                method=method,
                format=format,
                seed=seed,
                watch=watch,
            )
        except KeyboardInterrupt:
            if so_far is None:
                raise KeyboardInterrupt("stopped: no answer so far") from None
            solution, stopped = so_far, True
    seconds = time.monotonic() - started
    if json:
        print(dumps(solution.to_json() | {"seconds": seconds, "stopped": stopped}, ensure_ascii=False))
    elif solution.choice is not None:
        _show(solution, seconds, console)
    if stopped:
        raise KeyboardInterrupt(f"stopped: {'this is the best' if solution.choice else 'no answer'} so far")
    if solution.refused:
        raise PonderosaError(solution.refused)
    if solution.choice is None:
        steps = f"steps in the format {format}" if format else "steps in this format"
        raise PonderosaError(
            f"no answer found: the model does not solve it, or writes no {steps}; "
            "try another --format, --method or --seed"
        )


def _live(console: Console) -> Live:
    loading = Text("loading the models ...", style="dim")
    return Live(loading, console=console, auto_refresh=False, transient=True)


def _show(solution: Solution, seconds: float, console: Console) -> None:
    assert solution.choice is not None
    draw_trajectory(solution.tree, solution.choice.node, console, judged=False)
    answer = Text.assemble("\n", (f"Answer: {solution.answer}", "bold"))
    answer.append(f"  (confidence {solution.confidence:.2f}, {solution.method})")
    console.print(answer)
    if unread := solution.tree.usage.unread_scores:
        console.print(f"On {unread:,} paths the judge said nothing that could be read: they are worth 0.")
    console.print(cost(solution.tree.usage, seconds), style="dim", highlight=False)
