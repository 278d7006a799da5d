"""A search as it goes: the trajectory that is extended, what its steps are worth and printed, and the best answer."""

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ponderosa.core import Node, Usage
from ponderosa.search import Growth, Solution
from ponderosa.view.progress import duration
from ponderosa.view.trajectories import StepText, mark, statistics
from ponderosa.view.tree import STYLES

FRAME = 5
"""Lines around the steps: the question, what is asked for, the counts, the answer, and the cursor's."""


def draw_growth(growth: Growth, seconds: float, height: int) -> RenderableType:
    """The search after `seconds`, on less than `height` lines: of a long trajectory the last steps, of the last one the
    first lines of code and the candidates after it that were made last.
    """
    tree, best = growth.tree, growth.best
    path, room = tree.path(growth.node), max(height - FRAME, 3)
    code = _code(tree.nodes[growth.node], min(6, room // 3))
    candidates = tree.nodes[growth.node].children[-min(4, room // 3) :]
    steps = Table.grid(padding=(0, 1))
    steps.add_column(justify="right", style="bold")
    steps.add_column(style="dim", no_wrap=True)
    steps.add_column(no_wrap=True, overflow="ellipsis")
    for node in map(tree.nodes.__getitem__, path[-(room - len(code) - len(candidates)) :]):
        steps.add_row(str(node.depth), statistics(node), _line(node))
    body = Syntax("\n".join(code), "python", theme="ansi_dark", background_color="default", padding=(0, 5))
    trajectory: list[RenderableType] = [steps, body] if path else []
    return Group(
        Text(best.problem.question.replace("\n", " "), style="bold", no_wrap=True, overflow="ellipsis"),
        *trajectory,
        *(_candidate(tree.nodes[child]) for child in candidates),
        Text(f"   … asking for step {len(path) + 1}", style="dim"),
        _counts(best.method, best.tree.usage, seconds),
        _best(best),
    )


def cost(usage: Usage, seconds: float) -> str:
    """E.g. `1,204 tokens generated, 12 requests, 31 executions, 4.2 s`."""
    parts = {
        "tokens generated": usage.generated_tokens,
        "requests": usage.policy_calls,
        "steps valued": usage.scored_steps,
        "executions": usage.executions,
    }
    return ", ".join([*(f"{count:,} {name}" for name, count in parts.items() if count), f"{seconds:.1f} s"])


def _counts(method: str, usage: Usage, seconds: float) -> Text:
    facts = [method, duration(seconds), f"{usage.generated_tokens:,} tokens", f"{usage.policy_calls:,} requests"]
    facts += [f"{usage.scored_steps:,} steps valued"] if usage.scored_steps else []
    line = " · ".join([*facts, f"{usage.executions:,} executions"])
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def _best(best: Solution) -> Text:
    line = Text("best so far: ", no_wrap=True, overflow="ellipsis")
    if best.answer is None:
        return line.append("no answer yet", style="dim")
    return line.append(best.answer, style="bold green").append(f"  (confidence {best.confidence:.2f})", style="dim")


def _line(node: Node) -> Text:
    """A step on a line: its first line of code, and what it printed or how it failed."""
    text = StepText.read(node.text)
    line = Text(text.headline, style=STYLES[mark(node, judged=False).style], no_wrap=True, overflow="ellipsis")
    if node.error:
        line.append(f"  {node.error}", style="red")
    elif output := (text.output or node.output).strip():
        line.append(f"  → {output.splitlines()[-1]}", style="cyan")
    return line


def _candidate(node: Node) -> Text:
    line = Text("   ├ ", style="dim", no_wrap=True, overflow="ellipsis")
    return line.append(f"{mark(node, judged=False).symbol} {statistics(node)}  ").append_text(_line(node))


def _code(node: Node, lines: int) -> list[str]:
    return StepText.read(node.text).body.strip().splitlines()[:lines]
