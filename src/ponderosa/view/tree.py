"""Draws a search tree, or one trajectory of it, in the terminal."""

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree as Branches

from ponderosa.core import Tree
from ponderosa.view.trajectories import StepText, best_correct, mark, shown_children, statistics

STYLES = {"correct": "green", "wrong": "red", "answered": "cyan", "failed": "yellow", "open": "default"}
"""Rich's style of each standing of a node."""


def draw_tree(tree: Tree, console: Console, *, node: int | None = None, limit: int = 4, judged: bool = True) -> None:
    """Draws `tree`, at most the `limit` most visited children of each node, with the path to `node` in bold.

    `node` is by default the best correct answer where the tree was `judged`, that is where the rewards of its terminals
    compare answers with the problem's; else ticks and crosses are not drawn, as a reward model's score proves nothing.
    """
    if node is None and judged:
        node = best_correct(tree)
    keep = set(tree.path(node)) if node else set()
    root = tree.nodes[0]
    console.print(Text(tree.question, style="bold"))
    cut_short = f" · cut short: {str(tree.outcome).replace('_', ' ')}" if tree.outcome else ""
    title = f"{tree.id} · {tree.method or 'search'} · {len(tree.nodes) - 1:,} steps · {root.visits:,} visits{cut_short}"
    branches = Branches(Text(title, style="dim"), guide_style="dim")
    _grow(branches, tree, 0, limit, keep, judged)
    console.print(branches)


def draw_trajectory(tree: Tree, node: int, console: Console, *, judged: bool = True) -> None:
    """Prints the steps from the question to `node`, each with its statistics, code, output and error."""
    for number, index in enumerate(tree.path(node), start=1):
        step = tree.nodes[index]
        text = StepText.read(step.text)
        standing = mark(step, judged=judged)
        heading = Text(f"Step {number}", style="bold")
        heading.append(f"  {statistics(step)}", style="dim")
        if step.terminal:
            heading.append(f"  {standing.symbol} {standing.word}", style=STYLES[standing.style])
        console.print(heading)
        if step.answer is None:
            body = Syntax(text.body, "python", theme="ansi_dark", background_color="default", word_wrap=True)
            console.print(Padding(body, (0, 0, 0, 2)))
        else:
            console.print(Padding(Text(text.body), (0, 0, 0, 2)))
        if text.output is not None:
            console.print(Padding(Text(f"→ {text.output}", style="cyan"), (0, 0, 0, 2)))
        if step.error:
            console.print(Padding(Text(step.error, style="red"), (0, 0, 0, 2)))


def _grow(branch: Branches, tree: Tree, node: int, limit: int, keep: set[int], judged: bool) -> None:
    children, more = shown_children(tree, node, limit, keep)
    for child in children:
        twig = branch.add(_row(tree, child, child in keep, judged), guide_style="green" if child in keep else "dim")
        _grow(twig, tree, child, limit, keep, judged)
    if more:
        branch.add(Text(f"… {more} more", style="dim"))


def _row(tree: Tree, index: int, kept: bool, judged: bool) -> Text:
    node = tree.nodes[index]
    standing = mark(node, judged=judged)
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(f"{standing.symbol} ", style=STYLES[standing.style])
    row.append(statistics(node), style="dim")
    row.append("  ")
    if node.terminal:
        row.append(standing.word, style=STYLES[standing.style])
        row.append("  ")
    row.append(StepText.read(node.text).headline)
    if kept:
        row.stylize("bold")
    return row
