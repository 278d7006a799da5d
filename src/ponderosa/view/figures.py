"""The pictures of a run, drawn with matplotlib, which needs no display for it.

Colours are those of a light page. `inline_svg` turns each of them into a variable of the page's style sheet, which has
other values for a dark page.
"""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ponderosa.core import PonderosaError
from ponderosa.view.rounds import Rate, Results, counted, coverages, label, methods, parts

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "ink": "#1b2430",
    "muted": "#5a6675",
    "rule": "#d4dae1",
    "series-1": "#1f5fbf",
    "series-2": "#b35900",
    "series-3": "#0a7d5a",
    "series-4": "#8a3fa0",
    "series-5": "#c0264b",
    "series-6": "#6b7280",
}
"""The name of each colour in the style sheet, and its value on a light page. No two values are alike."""

SERIES = tuple(color for name, color in COLORS.items() if name.startswith("series"))
_METHOD_ORDER = ("greedy", "majority", "best_of_n", "weighted", "mcts", "pass_at_k")
MARKERS = "osD^Pv*Xdh8"  # shapes, so that colour is never the only sign
_SIZE = (5.4, 3.8)  # inches: small enough that the text is still read where a phone shows the picture at full width


def accuracy(results: Results) -> "Figure":
    """Accuracy by round of every method that was evaluated, with 95 % intervals."""
    measured = methods(results)
    common = counted(rate for _, rates in measured.values() for rate in rates)
    figure, axes = new_axes(", ".join(filter(None, ["Accuracy on held-out problems", common])), "%")
    for key, (name, rates) in measured.items():
        own = "" if common else counted(rates)
        _line(axes, rates, f"{name} ({own})" if own else name, _METHOD_ORDER.index(key), dashed=key == "pass_at_k")
    _finish(figure, axes, results)
    return figure


def coverage(results: Results) -> "Figure":
    """The share of problems with at least one correct trajectory by round, with 95 % intervals."""
    figure, axes = new_axes("Problems with a correct trajectory", "%")
    for i, (name, rates) in enumerate(coverages(results).values()):
        _line(axes, rates, name, i)
    _finish(figure, axes, results)
    return figure


def stacked(results: Results, key: str, title: str, unit: str) -> "Figure":
    """The parts of each round's `seconds` or `tokens`, on top of each other."""
    figure, axes = new_axes(title, unit)
    bottom = [0.0] * len(results["rounds"])
    for i, (name, values) in enumerate(parts(results, key).items()):
        color = SERIES[i % len(SERIES)]
        axes.bar(range(len(values)), values, 0.6, bottom=bottom, label=name.replace("_", " "), color=color)
        bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    _finish(figure, axes, results)
    return figure


def q_values(values: Mapping[str, Sequence[float]]) -> "Figure":
    """The distribution of Q over the visited steps of each named set of trees, in percent of its steps."""
    figure, axes = new_axes("Q-values of visited steps", "% of steps")
    for i, (name, numbers) in enumerate(values.items()):
        weights = [100 / len(numbers)] * len(numbers)
        color = SERIES[i % len(SERIES)]
        axes.hist(
            numbers, bins=20, range=(-1, 1), weights=weights, histtype="step", linewidth=1.8, label=name, color=color
        )
    axes.set_xlim(-1, 1)
    _finish(figure, axes)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Writes a picture on white in the format that the path's suffix names."""
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with _same_bytes():
        figure.savefig(path, dpi=200, facecolor="white", metadata=metadata)


def remove(folder: Path, *patterns: str) -> None:
    """Removes what an earlier report left in its folder: not every report has all pictures."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def inline_svg(figure: "Figure", alt: str) -> str:
    """A picture as an SVG element for a page: no outside reference, no background, text as text, colours as variables.

    `alt` says in words what the picture shows.
    """
    buffer = io.StringIO()
    with _same_bytes(salt=alt):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # only names, which would repeat between the pictures of a page
    svg = re.sub(r'font-family: [^;"]*;? ?', "", svg)  # the page's own
    for name, value in COLORS.items():
        svg = svg.replace(value, f"var(--{name})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def _same_bytes(salt: str = "ponderosa") -> "AbstractContextManager[None]":
    """Settings under which the same picture is written as the same bytes. The salts of one page's pictures differ."""
    from matplotlib import rc_context

    return rc_context({"svg.fonttype": "none", "svg.hashsalt": salt})


def new_axes(title: str, unit: str) -> "tuple[Figure, Axes]":
    """An empty picture in the house's style. Raises `PonderosaError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PonderosaError("matplotlib is missing: install ponderosa[report] to draw a report's pictures") from None
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=COLORS["ink"])
    axes.set_ylabel(unit, color=COLORS["muted"])
    axes.grid(axis="y", color=COLORS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLORS["rule"])
    axes.tick_params(colors=COLORS["muted"], length=0)
    return figure, axes


def _line(axes: "Axes", rates: Sequence[Rate | None], name: str, place: int, *, dashed: bool = False) -> None:
    # Lines are set a little beside each other, so that no interval hides another.
    known = [(i + 0.04 * (place - 2.5), rate) for i, rate in enumerate(rates) if rate]
    below = [100 * (rate.value - rate.low) if rate.low is not None else 0 for _, rate in known]
    above = [100 * (rate.high - rate.value) if rate.high is not None else 0 for _, rate in known]
    axes.errorbar(
        [x for x, _ in known],
        [100 * rate.value for _, rate in known],
        yerr=(below, above),
        label=name,
        color=SERIES[place],
        marker=MARKERS[place],
        linestyle="--" if dashed else "-",
        markersize=4.5,
        linewidth=1.6,
        elinewidth=1,
    )


def _finish(figure: "Figure", axes: "Axes", results: Results | None = None) -> None:
    """Names the rounds on the x axis, and explains the colours below the picture, where they hide nothing."""
    if results is not None:
        axes.set_xticks(range(len(results["rounds"])), [label(record) for record in results["rounds"]])
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=COLORS["ink"])


def short(value: float) -> str:
    """A number as an axis shows it, e.g. `2.5k`."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
