"""The report of scaling laws: in short, what is not determined, tables, and pictures as files."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ponderosa.evaluation.scaling.accuracy_by_compute import ComputeToAccuracy
from ponderosa.evaluation.scaling.fits import Frontier, ScalingFits
from ponderosa.evaluation.scaling.frontier import Choice
from ponderosa.evaluation.scaling.measurements import Model, short
from ponderosa.evaluation.scaling.quantities import Quantity
from ponderosa.evaluation.scaling.sample_curves import COVERAGE
from ponderosa.view import page, scaling_figures
from ponderosa.view.curves import NAMES
from ponderosa.view.figures import inline_svg, remove, save
from ponderosa.view.scaling_figures import called

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = ("loss", "compute-optimal", "accuracy-by-*", "test-time-*", "trade-off*")
"""What the files of `pictures` are called."""
_BASES = {"measured": "measured", "curve": "curves by samples", "law": "law of all models"}


def write_report(folder: Path, name: str, fits: ScalingFits, command: str = "") -> Path:
    """Writes `report.html` and its pictures into `folder`; returns the page's path. Raises `PonderosaError`."""
    drawn = dict(pictures(fits))
    remove(folder, *(f"{title}.{suffix}" for title in _TITLES for suffix in ("svg", "png")))
    for title, (figure, _) in drawn.items():
        for suffix in ("svg", "png"):
            save(figure, folder / f"{title}.{suffix}")
    svgs = {title: inline_svg(figure, alt) for title, (figure, alt) in drawn.items()}
    return page.write(folder / "report.html", _html(name, fits, svgs, command))


def pictures(fits: ScalingFits) -> "Iterator[tuple[str, tuple[Figure, str]]]":
    """Each picture's name, and the picture with what it shows in words."""
    if fits.losses:
        yield "loss", (scaling_figures.loss(fits), "Held-out loss by training compute, with the fitted forms")
    if any(found.points or not found.a.doubt for found in fits.allocations):
        yield "compute-optimal", (scaling_figures.compute_optimal(fits), "The best size by training compute")
    if fits.by_loss:
        shown = [fit for fit in fits.by_loss if (fit.method, fit.samples) in _shown_by_loss(fits)]
        yield "accuracy-by-loss", (scaling_figures.accuracy_by_loss(shown), "Accuracy by held-out loss")
    for found in shown_by_compute(fits):
        words = f"Accuracy by training compute: {called(found.method)} at {found.samples:g}"
        yield f"accuracy-by-compute-{_file(found.method)}", (scaling_figures.accuracy_by_compute(found), words)
    for method in dict.fromkeys(fit.method for fit in fits.curves):
        figure = scaling_figures.by_samples(fits.curves, method, best_trained(fits))
        yield f"test-time-{_file(method)}", (figure, f"Accuracy by samples: {NAMES.get(method, method)}")
    for front in fits.frontiers:
        if front.targets:
            name = "trade-off-coverage" if front.points[0].method == COVERAGE else "trade-off"
            words = f"Training against test-time compute for equal accuracy, where {front.group}"
            yield name, (scaling_figures.trade_off(front, fits.curves, fits.trade_offs), words)


def best_trained(fits: ScalingFits, most: int = 8) -> list[Model]:
    """Of each size the model on most tokens; where sizes are few, all of them. The `most` that cost most to train."""
    every = sorted(fits.measurements.models, key=lambda model: (model.parameters, model.tokens))
    largest = {model.parameters: model for model in every}
    return (every if len(largest) < 3 else list(largest.values()))[-most:]


def shown_by_compute(fits: ScalingFits) -> list[ComputeToAccuracy]:
    """Of each method that of most samples; `fits.json` has all."""
    most: dict[str, ComputeToAccuracy] = {}
    for found in sorted(fits.by_compute, key=lambda fit: fit.samples):
        most[found.method] = found
    return [most[method] for method in fits.measurements.methods if method in most]


def findings(fits: ScalingFits) -> list[str]:
    """What was found, a sentence each; what the data do not determine is said in `doubts`."""
    said = []
    for fit in fits.losses:
        if not fit.doubt:
            parts = ", ".join(f"{name} = {interval(found)}" for name, found in fit.quantities.items() if len(name) > 1)
            said.append(f"Loss, {fit.law.formula}: {parts}; off by {100 * fit.rms:.2g} % (root mean square).")
    for found in fits.allocations:
        if not found.a.doubt:
            said.append(f"The best size grows as C^a, a = {interval(found.a)} ({found.approach}).")
    for by_compute in shown_by_compute(fits):
        if by_compute.predictions:
            said.append(_foretold(by_compute))
    for law in fits.trade_offs:
        if not law.doubt:
            said.append(
                f"{called(law.method)}: ten times the training replaces "
                f"{_times(law.quantities['exchange'])} times the test-time compute, for equal accuracy."
            )
    return said


def doubts(fits: ScalingFits) -> list[str]:
    """What is not determined by the data, and why, a sentence each."""
    said = []
    for fit in fits.losses:
        said += _doubtful(f"{fit.law.name.capitalize()}'s form of the loss", fit.quantities, fit.doubt)
    said += [f"Compute-optimal size, {found.approach}: {found.a.doubt}." for found in fits.allocations if found.a.doubt]
    for by_loss in fits.by_loss:
        what = f"Accuracy by loss, {called(by_loss.method)} at {by_loss.samples:g}"
        said += _doubtful(what, by_loss.quantities, by_loss.doubt)
    for by_compute in shown_by_compute(fits):
        what = f"Accuracy by training compute, {called(by_compute.method)} at {by_compute.samples:g}"
        said += _doubtful(what, {}, by_compute.doubt)
        wide = [found for found in by_compute.predictions if found.accuracy.doubt]
        said += [f"{what}, at {found.flops:.1e} FLOPs: {found.accuracy.doubt}." for found in wide[:1]]
    for method in dict.fromkeys(fit.method for fit in fits.curves):
        curves = [fit for fit in fits.curves if fit.method == method]
        reasons: dict[str, list[str]] = {}
        for curve in curves:
            why = curve.doubt or "; ".join(f"{name}: {q.doubt}" for name, q in curve.quantities.items() if q.doubt)
            if why:
                reasons.setdefault(why, []).append(curve.model)
        said += [
            f"{called(method)} by samples, {len(models)} of {len(curves)} models ({', '.join(models[:4])}"
            f"{', …' if len(models) > 4 else ''}): {why}."
            for why, models in reasons.items()
        ]
    said += [f"{called(law.method)}, training against test time: {law.doubt}." for law in fits.trade_offs if law.doubt]
    for found in fits.frontiers:
        if not found.targets:
            said.append(f"Where {found.group}: no round accuracy lies between the models' best: name --targets.")
    return [*said, *(f"{remark[0].upper()}{remark[1:]}." for remark in fits.measurements.remarks)]


def _foretold(fit: ComputeToAccuracy) -> str:
    """What the laws say of the most training that was measured, and of the most that they are asked about."""
    most = next(found for found in reversed(fit.predictions) if found.point is not None)
    ends = [f"{_share(found.accuracy)} with {found.flops:.1e} training FLOPs" for found in (most, fit.predictions[-1])]
    return (
        f"{called(fit.method)} at {fit.samples:g}: {ends[0]}, the most measured, and {ends[1]} (extrapolated), divided "
        "as is best."
    )


def interval(found: Quantity) -> str:
    """E.g. `0.58 [0.55, 0.61]`; with a mark where it is not determined."""
    text = f"{found.value:.3g} [{_end(found.low)}, {_end(found.high)}]"
    return f"{text} (not determined: {found.doubt})" if found.doubt else text


def frontier_markdown(found: Frontier) -> str:
    """The frontier as a table for a terminal: as measured, and where a law says of less, that."""
    lines = [
        f"**Fewest FLOPs in all, where {found.group}**\n",
        "| accuracy | queries | cheapest measured | total FLOPs [95 %] | by a law |",
        "|---|---|---|---|---|",
    ]
    for target in found.targets:
        for queries in found.queries:
            at = {c.basis: c for c in found.choices if (c.target, c.queries) == (target, queries)}
            measured = at.pop("measured", None)
            said = [f"{c.total.value:.1e}{' (extrapolated)' if c.remark else ''}" for c in at.values()]
            lines.append(
                f"| {100 * target:g} % | {queries:.0e} | {_what(measured) if measured else 'not reached'} "
                f"| {_total(measured) if measured else ''} | {', '.join(said)} |"
            )
    return "\n".join(lines) + "\n"


def _what(choice: Choice) -> str:
    return f"{choice.model}, {NAMES.get(choice.method, choice.method)}, {choice.samples:g}"


def _total(choice: Choice) -> str:
    total = choice.total
    return f"{total.value:.1e} [{_end(total.low, '.1e')}, {_end(total.high, '.1e')}]"


_FRONTIER_HEAD = ("accuracy", "queries", "by", "model", "method", "samples", "total FLOPs [95 %]", "at test time", "")


def _cells(choice: Choice) -> list[str]:
    share = choice.queries * choice.test_flops / (choice.training_flops + choice.queries * choice.test_flops)
    remark = "; ".join(filter(None, [choice.remark, choice.total.doubt]))
    return [
        f"{100 * choice.target:g} %",
        f"{choice.queries:.0e}",
        _BASES[choice.basis],
        choice.model or f"trained with {choice.training_flops:.1e} FLOPs",
        NAMES.get(choice.method, choice.method),
        f"{choice.samples:g}" if choice.samples else f"{choice.test_flops:.1e} FLOPs",
        _total(choice),
        f"{100 * share:.0f} %",
        remark,
    ]


def _html(name: str, fits: ScalingFits, svgs: Mapping[str, str], command: str) -> str:
    count = fits.measurements
    subtitle = f"{len(count.models)} models, {len(count.accuracies)} accuracies · intervals of 95 %, "
    subtitle += f"{fits.resamples:,} resamples, seed {fits.seed}"
    test_time = [svg for title, svg in svgs.items() if title.startswith("test-time")]
    blocks = [
        f"<h1>{escape(name)}: scaling laws</h1>",
        f'<p class="muted">{escape(subtitle)}</p>',
        page.section("In short", _list(findings(fits)) or page.paragraph("Nothing is determined by these data.")),
        page.section("What these data do not determine", _list(doubts(fits))),
        page.section(
            "Training and test time, one for the other",
            page.paragraph(
                "Total = training + queries x FLOPs of a problem. Marks: what a model needs by its own curve, hollow "
                "where that goes beyond the samples measured. Lines: the law of all models, dotted beyond what was "
                "measured. Stars: the cheapest measured, with the number of queries. A measured choice is the luckiest "
                "of many; its interval says how lucky."
            ),
            page.pictures(svg for title, svg in svgs.items() if title.startswith("trade-off")),
            *(
                page.table(
                    f"Fewest FLOPs in all, where {found.group}", _FRONTIER_HEAD, list(map(_cells, found.choices))
                )
                for found in fits.frontiers
            ),
            _trade_offs(fits),
        ),
        page.section(
            "Loss",
            page.pictures(svgs[title] for title in ("loss", "compute-optimal") if title in svgs),
            _losses(fits),
            _allocations(fits),
        ),
        page.section(
            "Accuracy by loss", page.pictures([svgs[t] for t in svgs if t == "accuracy-by-loss"]), _by_loss(fits)
        ),
        page.section(
            "Accuracy by training compute",
            page.paragraph(
                "The law of the loss, put into that of accuracy by loss. The dark line is the best division of the "
                "FLOPs, dotted where that lies beyond the models measured, its band the 95 % interval of both laws "
                "refitted; the thin lines are the sizes that were measured, on tokens as measured."
            )
            if fits.by_compute
            else "",
            page.pictures(svg for title, svg in svgs.items() if title.startswith("accuracy-by-compute")),
            *map(_by_compute, shown_by_compute(fits)),
        ),
        page.section("Accuracy by samples", page.pictures(test_time), _test_time(fits)),
        page.section("Reproduce", f"<pre>{escape(command)}</pre>" if command else ""),
    ]
    return page.document(name, blocks)


def _losses(fits: ScalingFits) -> str:
    rows = [
        [f"{fit.law.name.capitalize()}: {name}", _plain(found), found.doubt or "determined"]
        for fit in fits.losses
        for name, found in fit.quantities.items()
    ]
    caption = "; ".join(f"{fit.law.formula} ({fit.law.source}), off by {100 * fit.rms:.2g} %" for fit in fits.losses)
    return page.table(caption, ("quantity", "value [95 %]", ""), rows)


def _allocations(fits: ScalingFits) -> str:
    rows = [
        [found.approach, _plain(found.a), _plain(found.b), str(len(found.points) or ""), found.a.doubt or "determined"]
        for found in fits.allocations
    ]
    head = ("approach", "a [95 %]", "b [95 %]", "optima", "")
    return page.table("N_opt grows as C^a, D_opt as C^b, C = 6 N D", head, rows)


def _by_loss(fits: ScalingFits) -> str:
    rows = [
        [
            f"{called(fit.method)}, {fit.samples:g}",
            *(_plain(fit.quantities[name]) for name in ("c", "m", "s")),
            f"{100 * fit.rms:.1f}",
            fit.doubt or next((q.doubt for q in fit.quantities.values() if q.doubt), "determined"),
        ]
        for fit in fits.by_loss
    ]
    caption = f"{fits.by_loss[0].formula} ({fits.by_loss[0].source})" if rows else ""
    return page.table(caption, ("method, samples", "c [95 %]", "m [95 %]", "s [95 %]", "off by, points", ""), rows)


def _by_compute(fit: ComputeToAccuracy) -> str:
    rows = [
        [
            f"{found.flops:.1e}",
            f"{short(found.parameters)} on {short(found.tokens)}",
            _share(found.accuracy),
            found.point.model.name if found.point else "",
            f"{100 * found.point.accuracy:.1f} %" if found.point else "",
            f"{100 * found.for_it:.1f} %" if found.for_it is not None else "",
            "; ".join(filter(None, [found.remark, found.accuracy.doubt])),
        ]
        for found in fit.predictions
    ]
    head = ("training FLOPs", "best division", "accuracy [95 %]", "model", "measured", "predicted for it", "")
    caption = (
        f"{called(fit.method)} at {fit.samples:g}: {fit.formula} ({fit.source}), off by {100 * fit.rms:.1f} points"
    )
    return page.table(caption, head, rows)


def _test_time(fits: ScalingFits) -> str:
    rows = [
        [
            f"{fit.model}: {called(fit.method)}",
            fit.law.formula,
            "; ".join(f"{name} = {_plain(found)}" for name, found in fit.quantities.items()),
            f"{100 * fit.worst:.1f}",
            fit.doubt or next((q.doubt for q in fit.quantities.values() if q.doubt), "determined"),
        ]
        for fit in fits.curves
    ]
    head = ("model: method", "form", "fit [95 %]", "off by at most, points", "")
    return page.table("Accuracy by samples k", head, rows)


def _trade_offs(fits: ScalingFits) -> str:
    rows = [
        [
            called(law.method),
            law.formula,
            *(_plain(law.quantities[name]) for name in ("b", "c", "exchange")),
            f"{len(law.points)}",
            f"{100 * law.rms:.1f}",
            law.doubt or "determined",
        ]
        for law in fits.trade_offs
    ]
    head = ("method", "law", "b [95 %]", "c [95 %]", "b / c [95 %]", "points", "off by, points", "")
    return page.table("Training against test time, by the points that no other dominates", head, rows)


def _shown_by_loss(fits: ScalingFits) -> set[tuple[str, float]]:
    """Of each method the fewest and the most samples."""
    counts: dict[str, list[float]] = {}
    for fit in fits.by_loss:
        counts.setdefault(fit.method, []).append(fit.samples)
    return {(method, end) for method, known in counts.items() for end in (min(known), max(known))}


def _doubtful(what: str, quantities: Mapping[str, Quantity], doubt: str) -> list[str]:
    if doubt:
        return [f"{what}: {doubt}."]
    reasons: dict[str, list[str]] = {}
    for name, found in quantities.items():
        if found.doubt:
            reasons.setdefault(found.doubt, []).append(name)
    return [f"{what}, {', '.join(names)}: {why}." for why, names in reasons.items()]


def _times(found: Quantity) -> str:
    return f"{10**found.value:.3g} [{10**found.low:.3g}, {10**found.high:.3g}]"


def _share(found: Quantity) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _plain(found: Quantity) -> str:
    return f"{_end(found.value)} [{_end(found.low)}, {_end(found.high)}]"


def _end(value: float, form: str = ".3g") -> str:
    return format(value, form) if abs(value) != float("inf") and value == value else "none"


def _file(method: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in method)


def _list(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
