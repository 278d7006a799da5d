"""The report of a run: one self-contained page, and its main picture as files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ponderosa.core import Tree
from ponderosa.problems import removed_in_words
from ponderosa.view import accounting, figures, page, reflection, rewards
from ponderosa.view.progress import duration
from ponderosa.view.rounds import (
    Rate,
    Results,
    against_majority,
    chosen_best,
    coverages,
    errors_removed,
    label,
    methods,
    numbers,
    paired_gain,
    parts,
    series,
)
from ponderosa.view.trajectories import best_correct, first_wrong


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report shows beside `results`, the run's `results.json`.

    `q_values` are the Q of the visited steps of named sets of trees, e.g. of each round. `example` is a tree that holds
    a right and a wrong answer. `trees` are shown whole; `paths` name what lies where; `command` reproduces the run.
    """

    results: Results
    q_values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    example: Tree | None = None
    trees: Sequence[Tree] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


def write_report(run: Path, data: ReportData) -> Path:
    """Writes `report.html`, `accuracy.svg` and `accuracy.png` into the folder `run`; returns the page's path.

    The page refers to nothing outside itself. Raises `PonderosaError` where matplotlib is missing.
    """
    picture = figures.accuracy(data.results)
    for name in ("accuracy.svg", "accuracy.png"):
        figures.save(picture, run / name)
    return page.write(run / "report.html", _html(data))


def _html(data: ReportData) -> str:
    results = data.results
    name = (results.get("recipe") or {}).get("name") or "A run"
    body = [
        f"<h1>{escape(str(name))}: a model that taught itself to reason</h1>",
        f'<p class="muted">{escape(_subtitle(results))}</p>',
        _tiles(results),
        _accuracy(results),
        _coverage(results),
        _ppm(results),
        _cost(results),
        _q_values(data),
        _example(data.example),
        reflection.section(results),
        page.section("Search trees", _TREE_KEY if data.trees else "", *map(page.tree, data.trees)),
        page.section("Where things are", page.definitions({**data.paths, **(results.get("checkpoints") or {})})),
        _reproduce(data),
    ]
    return page.document(str(name), body)


_TREE_KEY = page.paragraph(
    "Unfold a step to see its code and what follows it. Q is the mean reward backed up through the step, N its visits, "
    "V its value by the preference model. ✓ a right answer, ✗ a wrong one, ! a step that failed."
)


def _subtitle(results: Results) -> str:
    rounds = sum(1 for record in results["rounds"] if record.get("round"))
    facts = [f"{rounds} round{'s' * (rounds != 1)} of self-evolution"]
    if results.get("seed") is not None:
        facts.append(f"seed {results['seed']}")
    if results.get("judged"):
        facts.append(results["judged"])
    if results.get("wall_s") is not None:
        facts.append(f"{duration(results['wall_s'])} of wall-clock time")
    return " · ".join(facts)


def _tiles(results: Results) -> str:
    """The run in a few figures. The best method is the one chosen on dev: on test, the best of many is lucky."""
    tiles = []
    greedy = series(results, "greedy")
    base, last = (greedy[0], greedy[-1]) if len(greedy) > 1 else (None, None)
    if base and last:
        gain = paired_gain(results)
        words = "greedy accuracy, base → last round" + (f": {gain}" if gain else "")
        tiles.append((f"{base.percent} → {last.percent} %", words))
    if removed := errors_removed(base, last):
        tiles.append((removed, "of the base's errors removed by greedy decoding alone"))
    if best := chosen_best(results):
        name, rate = best
        removed = errors_removed(base, rate)
        tiles.append(
            (f"{rate.percent} %", f"{name}, chosen on dev" + (f": {removed} of the errors removed" if removed else ""))
        )
    shown = "".join(f"<li><b>{escape(figure)}</b> {escape(words)}</li>" for figure, words in tiles)
    return f'<ul class="tiles">{shown}</ul>' if shown else ""


def _accuracy(results: Results) -> str:
    measured = methods(results)
    if not measured:
        return ""
    picture = figures.inline_svg(figures.accuracy(results), _alt("Accuracy in percent by round", results, measured))
    caption = "Accuracy in % of held-out problems, with 95 % intervals and generated tokens a problem"
    compared = against_majority(results)
    decontamination = results.get("decontamination")
    return page.section(
        "Accuracy",
        page.beside(page.pictures([picture]), page.rates_table(caption, _names(results), _rows(measured))),
        page.paragraph("On the same problems: " + "; ".join(compared) + ".") if compared else "",
        page.paragraph(removed_in_words(decontamination)) if decontamination else "",
    )


def _coverage(results: Results) -> str:
    measured = coverages(results)
    if not measured:
        return ""
    picture = figures.inline_svg(figures.coverage(results), _alt("Coverage in percent by round", results, measured))
    caption = "Coverage in %, with 95 % intervals"
    return page.section(
        "Coverage",
        page.paragraph("The share of problems for which the search found at least one correct trajectory."),
        page.beside(page.pictures([picture]), page.rates_table(caption, _names(results), _rows(measured))),
    )


def _ppm(results: Results) -> str:
    rows = [
        ("AUC, steps of this round's policy", series(results, "ppm", "auc")),
        ("AUC, steps of the base on the probe pool", series(results, "ppm", "probe_auc")),
        ("Pair accuracy", series(results, "ppm", "pair_accuracy")),
        ("AUC, ends of solutions", series(results, "calibration", "auc")),
    ]
    data = [("A wrong intermediate value", series(results, "sft", "wrong_intermediate"))]
    errors = series(results, "calibration", "ece")
    diagrams = {label(record): record.get("calibration") for record in results["rounds"]}
    pictures = []
    if any(errors):
        alt = "Calibration error by round: " + ", ".join(rate.percent if rate else "none" for rate in errors) + " %"
        pictures.append(figures.inline_svg(rewards.diagram(diagrams), alt))
    return page.section(
        "Preference model and data",
        page.rates_table("The process preference model (PPM), in %; 50 is chance", _names(results), rows),
        page.beside(
            page.pictures(pictures),
            page.rates_table("Its expected calibration error, in %", _names(results), [("Ends of solutions", errors)]),
        )
        if pictures
        else "",
        page.rates_table("Share of the trajectories chosen for training, in %, that have", _names(results), data),
    )


def _cost(results: Results) -> str:
    svgs = []
    for key, title, unit in (("seconds", "Time", "seconds"), ("tokens", "Tokens of the search for data", "tokens")):
        measured = parts(results, key)
        if measured:
            alt = f"{title} by round: " + "; ".join(
                f"{name} {', '.join(f'{value:,.0f}' for value in values)}" for name, values in measured.items()
            )
            svgs.append(figures.inline_svg(figures.stacked(results, key, title, unit), alt))
    executions = [count for count in numbers(results, "executions") if count]
    return page.section(
        "What it cost",
        page.pictures(svgs),
        page.paragraph(f"{sum(executions):,} programs were executed.") if executions else "",
        page.table(
            accounting.CAPTION,
            accounting.HEAD,
            [
                [f"{label(record)}: {name}", *cells]
                for record in results["rounds"]
                for name, *cells in accounting.rows(record.get("searches") or {})
            ],
        ),
    )


def _q_values(data: ReportData) -> str:
    values = {name: numbers for name, numbers in data.q_values.items() if numbers}
    if not values:
        return ""
    alt = "Distribution of Q-values: " + "; ".join(
        f"{name}: {len(numbers):,} steps, mean {sum(numbers) / len(numbers):+.2f}" for name, numbers in values.items()
    )
    return page.section(
        "Q-values",
        page.paragraph("+1: every rollout through the step ended in a right answer; -1: none did."),
        page.pictures([figures.inline_svg(figures.q_values(values), alt)]),
    )


def _example(tree: Tree | None) -> str:
    if tree is None:
        return ""
    won, lost = best_correct(tree), first_wrong(tree)
    sides = []
    if won is not None:
        sides.append(f"<div><h3>The winning trajectory</h3>{page.trajectory(tree, won)}</div>")
    if lost is not None:
        sides.append(f"<div><h3>The first wrong one</h3>{page.trajectory(tree, lost, beside=won)}</div>")
    if not sides:
        return ""
    return page.section(
        "One problem, two trajectories",
        f"<blockquote>{escape(tree.question)}</blockquote>",
        page.beside(*sides),
    )


def _reproduce(data: ReportData) -> str:
    recipe = data.results.get("recipe")
    return page.section(
        "Reproduce",
        f"<pre>{escape(data.command)}</pre>" if data.command else "",
        f"<details><summary>The recipe</summary><pre>{escape(json.dumps(recipe, indent=1))}</pre></details>"
        if recipe
        else "",
    )


def _names(results: Results) -> list[str]:
    return [label(record) for record in results["rounds"]]


def _rows(measured: Mapping[str, tuple[str, list[Rate | None]]]) -> list[page.Row]:
    return list(measured.values())


def _alt(what: str, results: Results, measured: Mapping[str, tuple[str, list[Rate | None]]]) -> str:
    lines = [
        f"{name} {', '.join(rate.percent if rate else 'not measured' for rate in rates)}"
        for name, rates in measured.values()
    ]
    return f"{what} ({', '.join(_names(results))}): " + "; ".join(lines)
