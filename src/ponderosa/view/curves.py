"""Accuracy against compute: a table, as Markdown and CSV, and a picture with a logarithmic axis of cost."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ponderosa.view.figures import COLORS, MARKERS, SERIES, new_axes, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
"""What `evaluating.results` gives."""

NAMES = {
    "greedy": "greedy",
    "majority": "majority vote",
    "best_of_n": "best of N",
    "weighted": "weighted vote",
    "adaptive": "adaptive vote",
    "beam": "beam search",
    "dvts": "DVTS",
    "pooled": "adaptive vote, pooled",
    "particles": "particle filtering",
    "playouts": "MCTS with simulations",
    "mcts": "MCTS",
    "trees": "vote of MCTS trees",
    "mutual": "mutual reasoning",
    "revision": "sequential revision",
    "long_chain": "long chain",
    "pass": "pass@N",
}
PALETTE = (*SERIES, "#0e7490", "#7c2d12", "#4d7c0f", "#be185d", "#334155")
_COLUMNS = (
    *("method", "budget", "choice", "n", "accuracy", "low", "high", "tokens", "flops", "against_majority"),
    "judged_by_a_model",
)


def _name(method: str) -> str:
    return NAMES.get(method, method)


def markdown(results: Results) -> str:
    """A row a method and budget: accuracy in percent with its 95 % interval, and what it costs a problem."""
    lines = [
        f"| method | N | accuracy{_as_judged(results)}, % [95 %] | tokens | FLOPs "
        "| over majority at like tokens, points [95 %] | chosen |",
        "|---|---|---|---|---|---|---|",
    ]
    for point in results["points"]:
        difference = point["against_majority"]
        lines.append(
            f"| {_name(point['method'])} | {point['budget']} "
            f"| {_percent(point['accuracy'])} [{_percent(point['low'])}, {_percent(point['high'])}] "
            f"| {point['tokens']:,.0f} | {_scientific(point['flops'])} "
            f"| {_points(difference) if difference else ''} | {point['choice']} |"
        )
    return "\n".join(lines) + "\n"


def table(results: Results) -> str:
    """The same as CSV, shares as fractions."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for point in results["points"]:
        difference = point["against_majority"]
        more = {"against_majority": difference["value"] if difference else "", "judged_by_a_model": judged(results)}
        writer.writerow({**point, **more})
    return buffer.getvalue()


def judged(results: Results) -> bool:
    """Is what counts as right no more than a model's opinion?"""
    return bool(results.get("grading", {}).get("judged"))


def _as_judged(results: Results) -> str:
    return " as judged by a model" if judged(results) else ""


def remarks(results: Results) -> str:
    """What is to be said of answers that are not there, of backends that refused, and of those who judged the others:
    that they are models, and where they had no word; often nothing.
    """
    found, lines = results["grading"], []
    trees, without = (
        sum(search.get(key, 0) for search in results["searches"].values()) for key in ("trees", "unanswered")
    )
    if 2 * without > trees:
        lines.append(
            f"{without:,} of {trees:,} searches ended without an answer: steps are expected in the format "
            f"{results['settings']['format']} (--format), of limited length (--max-tokens, --max-depth)."
        )
    if judged(results):
        lines.append(
            f"Judged by a model ({results['settings']['grader']}), not checked: {found['judged']:,} of "
            f"{found['answers']:,} answers."
        )
    if failed := found["failed"]:
        how = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in failed.items())
        lines.append(f"Not graded, and counted as wrong: {how}, of {found['answers']:,} answers.")
    searches = results["searches"].values()
    if refused := sum(search["refused"] for search in searches):
        trees = sum(search["trees"] for search in searches)
        lines.append(f"Refused by a backend, and counted as wrong: {refused:,} of {trees:,} searches.")
    if unread := sum(search["unread_scores"] for search in searches):
        lines.append(f"On {unread:,} paths the judge of steps said nothing that could be read: they are worth 0.")
    return "\n\n".join(lines)


def picture(results: Results, cost: str = "tokens") -> "Figure":
    """Accuracy of every method over its mean `cost` a problem ("tokens" or "flops"), with 95 % intervals.

    pass@N, dashed, is the ceiling of what choosing among samples can reach; greedy decoding is the floor.
    """
    unit = {"tokens": "generated tokens a problem", "flops": "FLOPs a problem, reward model included"}[cost]
    n = max((point["n"] for point in results["points"]), default=0)
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = new_axes(f"Accuracy{_as_judged(results)} against compute, n = {n}", "%")
    lines: Lines = {}
    for point in sorted(results["points"], key=lambda point: point[cost] or 0):
        if point[cost]:
            lines.setdefault(_name(point["method"]), []).append((point[cost], point))
    _draw(axes, lines, dashed=(NAMES["pass"],))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(unit, color=COLORS["muted"])
    if lines:
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure


Lines = dict[str, list[tuple[float, Mapping[str, float]]]]
"""By the name of a line its points: x, and a record with `accuracy`, `low` and `high`."""


def _draw(axes: "Axes", lines: Lines, dashed: Sequence[str]) -> None:
    """Accuracies in percent with their intervals."""
    for place, (name, found) in enumerate(lines.items()):
        values = [100 * record["accuracy"] for _, record in found]
        axes.errorbar(
            [x for x, _ in found],
            values,
            yerr=(
                [value - 100 * record["low"] for value, (_, record) in zip(values, found, strict=True)],
                [100 * record["high"] - value for value, (_, record) in zip(values, found, strict=True)],
            ),
            label=name,
            color=PALETTE[place % len(PALETTE)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="--" if name in dashed else "-",
            markersize=4.5,
            linewidth=1.6,
            elinewidth=0.8,
        )


BY_AGGREGATION = "Accuracy in % by how step values are aggregated, and the points lost from the best N to the largest"


def by_aggregation(results: Results) -> str:
    """Best-of-N and weighted votes at every N, a row an aggregation, as Markdown."""
    rows = results["by_aggregation"]
    budgets = [str(at["budget"]) for at in rows[0]["at"]]
    lines = [f"| method | step values | {' | '.join(budgets)} | lost [95 %] |", "|---" * (len(budgets) + 3) + "|"]
    for row in rows:
        cells = " | ".join(_percent(at["accuracy"]) for at in row["at"])
        lines.append(f"| {_name(row['method'])} | {row['aggregation']} | {cells} | {_points(row['lost'])} |")
    return "\n".join(lines) + "\n"


def overoptimisation(results: Results) -> "Figure":
    """Accuracy over N of best-of-N, a line an aggregation, between the majority vote and pass@N.

    A reward model that can be trusted rises with N; where a line falls it is over-optimised.
    """
    n = max((point["n"] for point in results["points"]), default=0)
    figure, axes = new_axes(f"Best of N by step values{_as_judged(results)}, n = {n}", "%")
    lines: Lines = {
        row["aggregation"]: [(at["budget"], at) for at in row["at"]]
        for row in results["by_aggregation"]
        if row["method"] == "best_of_n"
    }
    others = (NAMES["majority"], NAMES["pass"])
    for point in results["points"]:
        if _name(point["method"]) in others:
            lines.setdefault(_name(point["method"]), []).append((point["budget"], point))
    _draw(axes, lines, dashed=others)
    axes.set_xscale("log", base=2)
    axes.set_xticks([budget for budget, _ in next(iter(lines.values()))])
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.set_xlabel("samples (N)", color=COLORS["muted"])
    figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure


def compared(names: Sequence[str], differences: Mapping[tuple[str, int], Mapping[str, float]]) -> str:
    """The paired differences between two evaluations, `names`, as Markdown."""
    lines = [f"| method | N | {names[1]} over {names[0]}, points [95 %] | n |", "|---|---|---|---|"]
    for (method, budget), difference in differences.items():
        lines.append(f"| {_name(method)} | {budget} | {_points(difference)} | {difference['n']:.0f} |")
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _points(difference: Mapping[str, float]) -> str:
    return f"{100 * difference['value']:+.1f} [{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"


def _scientific(value: float | None) -> str:
    return "" if value is None else f"{value:.2e}"
