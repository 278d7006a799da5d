"""The pictures of scaling laws. What was measured is a mark; a law is solid where it was measured, dotted beyond."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ponderosa.evaluation.scaling.accuracy_by_compute import ComputeToAccuracy
from ponderosa.evaluation.scaling.accuracy_laws import LossToAccuracy, TradeOff
from ponderosa.evaluation.scaling.fits import Frontier, ScalingFits
from ponderosa.evaluation.scaling.frontier import Choice, Reach, reaches
from ponderosa.evaluation.scaling.loss_laws import losses_of
from ponderosa.evaluation.scaling.measurements import Measurement, Model, short
from ponderosa.evaluation.scaling.sample_curves import COVERAGE, SampleCurve
from ponderosa.evaluation.statistics import proportion
from ponderosa.view.curves import NAMES, PALETTE
from ponderosa.view.figures import COLORS, MARKERS, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEYOND = 4.0
"""How many times further than it was measured a law is drawn."""
_FURTHEST = 10.0
"""The same for accuracy by training compute."""


def loss(fits: ScalingFits) -> "Figure":
    """Held-out loss over training FLOPs, a line a size, with Chinchilla's form and, dashed, Kaplan's."""
    figure, axes = new_axes("Held-out loss by training compute", "nats a token")
    models = fits.measurements.with_loss
    for place, size in enumerate(sorted({model.parameters for model in models})):
        own = sorted((m for m in models if m.parameters == size), key=lambda model: model.tokens)
        axes.plot(
            [model.training_flops for model in own],
            losses_of(own),
            linestyle="",
            markersize=5,
            **_look(place, label=f"{short(size)} parameters"),
        )
        for fit in fits.losses:
            if fit.doubt:
                continue
            tokens = np.geomspace(own[0].tokens, _BEYOND * own[-1].tokens, 80)
            losses = fit.loss(np.full_like(tokens, fit.law.counts(own[0])), tokens)
            style = "-" if fit.law.name == "chinchilla" else "--"
            _law(axes, 6 * size * tokens, losses, 6 * size * own[-1].tokens, _color(place), style)
    _log_log(axes, "training FLOPs (6 N D)")
    return _legend(figure)


def compute_optimal(fits: ScalingFits) -> "Figure":
    """The best size over training FLOPs by each approach, with the optima that it rests on."""
    figure, axes = new_axes("Compute-optimal size", "parameters")
    flops = [6 * model.parameters * model.tokens for model in fits.measurements.with_loss]
    span = np.geomspace(min(flops), _BEYOND * max(flops), 60)
    for place, found in enumerate(fits.allocations):
        if found.a.doubt and not found.points:
            continue
        if found.points:
            look = _look(place) | ({"label": f"{found.approach}: not determined"} if found.a.doubt else {})
            axes.plot(*zip(*found.points, strict=True), linestyle="", markersize=5, **look)
        if not found.a.doubt:
            _law(axes, span, found.best_size(span), max(flops), _color(place), "-", found.approach)
    _log_log(axes, "training FLOPs (6 N D)")
    return _legend(figure, 1)


def accuracy_by_loss(fits: Sequence[LossToAccuracy]) -> "Figure":
    """Accuracy over held-out loss, a line a method and number of samples."""
    figure, axes = new_axes("Accuracy by held-out loss", "%")
    for place, fit in enumerate(fits):
        losses = np.array([point.model.loss for point in fit.points], float)
        _intervals(axes, losses, fit.points, place, f"{NAMES.get(fit.method, fit.method)}, {fit.samples:g}")
        if not fit.doubt:
            span = np.linspace(losses.min(), losses.max(), 100)
            axes.plot(span, 100 * fit.accuracy(span), color=_color(place), linewidth=1.4)
    axes.invert_xaxis()  # to the right is better trained, as in the other pictures
    axes.set_xlabel("held-out loss, nats a token", color=COLORS["muted"])
    return _legend(figure)


def accuracy_by_compute(fit: ComputeToAccuracy) -> "Figure":
    """Accuracy over training FLOPs: measured by size, with what the laws say of each, and of the best division of the
    FLOPs with its 95 % band.
    """
    figure, axes = new_axes(f"{called(fit.method)} at {fit.samples:g}: accuracy by training compute", "%")
    points = fit.by_loss.points
    flops = [6 * point.model.parameters * point.model.tokens for point in points]
    if not fit.doubt:
        span = np.geomspace(min(flops), _FURTHEST * max(flops), 80)
        low, high = fit.band(span)
        axes.fill_between(span, 100 * low, 100 * high, color=COLORS["muted"], alpha=0.2, linewidth=0)
        best, inside = 100 * fit.accuracy(span), np.array([not remark for remark in fit.remarks(span)])
        label = "the best division, by the laws (dotted: extrapolated)"
        axes.plot(span, np.where(inside, best, np.nan), color=COLORS["ink"], linewidth=1.4, label=label)
        axes.plot(span, np.where(inside, np.nan, best), color=COLORS["ink"], linewidth=1.2, linestyle=":")
    for place, size in enumerate(sorted({point.model.parameters for point in points})):
        own = sorted((p for p in points if p.model.parameters == size), key=lambda point: point.model.tokens)
        tokens = np.array([point.model.tokens for point in own])
        _intervals(axes, 6 * size * tokens, own, place, f"{short(size)} parameters")
        if not fit.doubt:
            read = np.geomspace(tokens.min(), tokens.max(), 40)
            shares = fit.accuracy_of(np.full_like(read, size), read)
            axes.plot(6 * size * read, 100 * shares, color=_color(place), linewidth=0.8)
    axes.set_xscale("log")
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("training FLOPs (6 N D)", color=COLORS["muted"])
    return _legend(figure)


def by_samples(fits: Sequence[SampleCurve], method: str, models: Sequence[Model]) -> "Figure":
    """Accuracy over samples of a method, a line a model."""
    figure, axes = new_axes(f"Accuracy by samples: {NAMES.get(method, method)}", "%")
    chosen = {model.name: model for model in models}
    own = [fit for fit in fits if fit.method == method and fit.model in chosen]
    for place, fit in enumerate(own):
        samples = np.array([point.samples for point in fit.points])
        _intervals(axes, samples, fit.points, place, fit.model)
        if not fit.doubt:
            span = np.geomspace(samples.min(), _BEYOND * samples.max(), 80)
            _law(axes, span, 100 * fit.accuracy(span), samples.max(), _color(place), "-")
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("samples", color=COLORS["muted"])
    return _legend(figure)


def trade_off(frontier: Frontier, fits: Sequence[SampleCurve], laws: Sequence[TradeOff]) -> "Figure":
    """Lines of equal accuracy over training FLOPs and test FLOPs a problem, and what is cheapest in all.

    Marks are what each model needs by its own curve (hollow: beyond what was measured), joined where no other undercuts
    them; dashes are the law of all models; stars are the cheapest measured for so many queries.
    """
    methods = {point.method for point in frontier.points}
    what = "coverage" if COVERAGE in methods else "chosen answers"
    figure, axes = new_axes(f"Equal accuracy of {what}", "test FLOPs a problem")
    axes.plot(
        [point.model.training_flops for point in frontier.points],
        [point.test_flops for point in frontier.points],
        linestyle="",
        marker=".",
        markersize=4,
        color=COLORS["rule"],
        label="measured",
    )
    law = next((law for law in laws if law.method in methods and not law.doubt), None)
    for place, target in enumerate(frontier.targets):
        _equal_accuracy(axes, reaches([fit for fit in fits if fit.method in methods], target), target, place)
        if law is not None:
            _law_of_equal_accuracy(axes, law, target, _color(place))
        _cheapest(axes, [c for c in frontier.choices if c.target == target and c.basis == "measured"], place)
    _log_log(axes, "training FLOPs")
    return _legend(figure, 3)


def _equal_accuracy(axes: "Axes", found: Sequence[Reach], target: float, place: int) -> None:
    """What each model needs for a target; those that no other undercuts are joined, dotted beyond what was measured."""
    color = _color(place)
    front = [r for i, r in enumerate(found) if all(r.test_flops < other.test_flops for other in found[:i])]
    for one, other in pairwise(front):
        beyond = one.extrapolated or other.extrapolated
        ends = (one.training_flops, other.training_flops), (one.test_flops, other.test_flops)
        axes.plot(*ends, color=color, linewidth=1.2, linestyle=":" if beyond else "-")
    axes.plot([], [], **_look(place, label=f"{100 * target:g} %"), markersize=5.5, linestyle="")
    for reach in found:
        axes.plot(
            [reach.training_flops],
            [reach.test_flops],
            **_look(place),
            markersize=5.5 if reach in front else 3.5,
            markerfacecolor="none" if reach.extrapolated else color,
        )


def _law_of_equal_accuracy(axes: "Axes", law: TradeOff, target: float, color: str) -> None:
    (low, high), (least, most) = law.measured_range()
    span = np.geomspace(low, high, 100)
    needed = law.test_flops(target, span)
    inside = (needed >= least) & (needed <= most)
    near = (needed >= least / _BEYOND) & (needed <= most * _BEYOND)
    axes.plot(span[near], needed[near], color=color, linestyle=":", linewidth=0.9)
    axes.plot(span[inside], needed[inside], color=color, linestyle="--", linewidth=1.2)


def _cheapest(axes: "Axes", choices: Sequence[Choice], place: int) -> None:
    """Stars, with the numbers of queries for which they are cheapest."""
    queries: dict[tuple[float, float], list[str]] = {}
    for choice in choices:
        queries.setdefault((choice.training_flops, choice.test_flops), []).append(_power(choice.queries))
    for at, words in queries.items():
        axes.plot(*([value] for value in at), marker="*", markersize=13, color=_color(place), alpha=0.5)
        axes.annotate(
            ", ".join(words),
            at,
            (6, 7 - 8 * (place % 3)),  # targets that one point serves are told apart
            textcoords="offset points",
            fontsize=7,
            color=_color(place),
        )


def _power(value: float) -> str:
    exponent = np.log10(value)
    return f"1e{exponent:.0f}" if abs(exponent - round(exponent)) < 1e-6 else short(value)


def called(method: str) -> str:
    """A method's name, to begin a line with."""
    name = NAMES.get(method, method)
    return name if method == COVERAGE else name[0].upper() + name[1:]


def _color(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _look(place: int, **more: Any) -> dict[str, Any]:
    return {"color": _color(place), "marker": MARKERS[place % len(MARKERS)], **more}


def _law(axes: "Axes", x: Any, y: Any, end: float, color: str, style: str, label: str | None = None) -> None:
    """A law's line: as `style` up to the end of what was measured, dotted beyond."""
    inside = x <= end * (1 + 1e-9)
    axes.plot(x[inside], y[inside], color=color, linestyle=style, linewidth=1.3, label=label)
    axes.plot(x[~inside], y[~inside], color=color, linestyle=":", linewidth=1.1)


def _intervals(axes: "Axes", x: Any, points: Sequence[Measurement], place: int, label: str) -> None:
    """Accuracies in percent with 95 % intervals of a proportion."""
    found = [proportion(point.accuracy * point.problems, point.problems) for point in points]
    axes.errorbar(
        x,
        [100 * each.value for each in found],
        yerr=([100 * (each.value - each.low) for each in found], [100 * (each.high - each.value) for each in found]),
        linestyle="",
        markersize=4.5,
        elinewidth=0.8,
        **_look(place, label=label),
    )


def _log_log(axes: "Axes", label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label, color=COLORS["muted"])
    axes.tick_params(which="minor", length=0, colors=COLORS["muted"], labelsize=8)
    axes.tick_params(axis="x", which="minor", labelrotation=30)  # there are many where less than a decade is shown


def _legend(figure: "Figure", columns: int = 2) -> "Figure":
    figure.legend(loc="outside lower left", ncols=columns, frameon=False, fontsize=8, labelcolor=COLORS["ink"])
    return figure
