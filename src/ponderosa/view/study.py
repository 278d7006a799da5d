"""The report of a study: what its comparisons say, as tables, pictures and one self-contained page."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ponderosa.view import figures, page
from ponderosa.view.figures import COLORS, MARKERS, SERIES, inline_svg, new_axes, short
from ponderosa.view.progress import duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Findings = Mapping[str, Any]
"""What `evolution.findings.found` gives."""

SIDES = ("", "accuracy, % [95 %]", "tokens a problem", "generated for data", "trained on")
DIFFERENCES = ("", "points [95 %]", "p", "by seed")
ROUNDS = ("", "round", "greedy, % [95 %]", "rollouts a problem", "rows", "generated tokens", "trained tokens")


def write_study(folder: Path, findings: Findings, command: str) -> Path:
    """Writes `report.html` and the comparisons' pictures into the study's folder; returns the page's path.

    Raises `PonderosaError` where matplotlib is missing.
    """
    study = findings["study"]
    figures.remove(folder, "comparison-*.png")
    body = [
        f"<h1>{escape(study['name'])}</h1>",
        f'<p class="muted">{escape(subtitle(findings))}</p>',
        page.paragraph(study["about"]) if study["about"] else "",
    ]
    for number, comparison in enumerate(findings["comparisons"], start=1):
        picture = sides_picture(comparison)
        figures.save(picture, folder / f"comparison-{number}.png")
        body.append(
            page.section(
                comparison["title"],
                page.paragraph(comparison["about"]) if comparison["about"] else "",
                page.pictures([inline_svg(picture, _alt(comparison))]),
                page.table("What was compared", SIDES, side_rows(comparison)),
                page.table("Paired differences", DIFFERENCES, difference_rows(comparison)),
            )
        )
    cost = cost_picture(findings)
    figures.save(cost, folder / "cost.png")
    body += [
        page.section(
            "Every variant",
            page.pictures([inline_svg(cost, "Greedy accuracy against generated tokens by variant and round")]),
            page.table("Round by round, means over seeds", ROUNDS, round_rows(findings)),
        ),
        page.section("Reproduce", f"<pre>{escape(command)}</pre>"),
    ]
    return page.write(folder / "report.html", page.document(study["name"], body))


def draw_study(findings: Findings, console: Console) -> None:
    """Prints the comparisons and the variants."""
    for comparison in findings["comparisons"]:
        _print(console, comparison["title"], SIDES, side_rows(comparison))
        _print(console, "", DIFFERENCES, difference_rows(comparison))
    _print(console, "Every variant, means over seeds", ROUNDS, round_rows(findings))
    console.print(subtitle(findings), highlight=False)


def subtitle(findings: Findings) -> str:
    """How much the study rests on."""
    seeds = findings["study"]["seeds"]
    counts = {side["n"] for comparison in findings["comparisons"] for side in comparison["sides"]}
    problems = f"n = {' or '.join(f'{n:,}' for n in sorted(counts))} held-out problems" if counts else ""
    facts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}", problems]
    facts += ["intervals over seeds and problems", f"{duration(findings['wall_s'])} of runs"]
    return " · ".join(filter(None, facts))


def side_rows(comparison: Mapping[str, Any]) -> list[list[str]]:
    """The compared sides as rows of `SIDES`."""
    counts = ("tokens", "generated_tokens", "trained_tokens")
    return [
        [side["side"], _percent(side), *(f"{side[count]:,.0f}" for count in counts)] for side in comparison["sides"]
    ]


def difference_rows(comparison: Mapping[str, Any]) -> list[list[str]]:
    """The paired differences as rows of `DIFFERENCES`."""
    return [
        [
            f"{d['after']} - {d['before']}",
            f"{_points(d['value'])} [{_points(d['low'])}, {_points(d['high'])}]",
            f"{d['p']:.4f}" if d["p"] >= 0.0001 else "< 0.0001",
            ", ".join(map(_points, d["by_seed"])),
        ]
        for d in comparison["differences"]
    ]


def round_rows(findings: Findings) -> list[list[str]]:
    """Each variant's rounds as rows of `ROUNDS`; tokens are those of all rounds so far."""
    return [
        [
            name if not record["round"] else "",
            str(record["round"] or "base"),
            _percent(record["greedy"]) if record["greedy"] else "-",
            "" if record["rollouts"] is None else f"{record['rollouts']:.2f}",
            "" if record["rows"] is None else f"{record['rows']:,.0f}",
            f"{record['generated_tokens']:,.0f}",
            f"{record['trained_tokens']:,.0f}",
        ]
        for name, rounds in findings["variants"].items()
        for record in rounds
    ]


def sides_picture(comparison: Mapping[str, Any]) -> "Figure":
    """The accuracy of every side with its interval, the first side at the top."""
    figure, axes = new_axes(comparison["title"], "")
    for place, side in enumerate(comparison["sides"]):
        value, low, high = (100 * side[key] for key in ("value", "low", "high"))
        axes.errorbar(
            value,
            -place,
            xerr=[[value - low], [high - value]],
            marker="o",
            color=SERIES[0 if place else 5],
            markersize=6,
            linewidth=1.8,
        )
        axes.annotate(f"{value:.1f}", (value, -place), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks([-i for i in range(len(comparison["sides"]))], [side["side"] for side in comparison["sides"]])
    axes.set_ylim(0.6 - len(comparison["sides"]), 0.6)
    axes.set_xlabel("accuracy on held-out problems, %", color=COLORS["muted"])
    axes.grid(axis="x", color=COLORS["rule"], linewidth=0.8)
    return figure


def cost_picture(findings: Findings) -> "Figure":
    """Greedy accuracy against the tokens generated so far, a line a variant and a mark a round."""
    figure, axes = new_axes("What the data cost", "greedy accuracy, %")
    for place, (name, rounds) in enumerate(findings["variants"].items()):
        known = [record for record in rounds if record["greedy"]]
        axes.plot(
            [record["generated_tokens"] for record in known],
            [100 * record["greedy"]["value"] for record in known],
            marker=MARKERS[place % len(MARKERS)],
            color=SERIES[place % len(SERIES)],
            linestyle="-" if place < len(SERIES) else "--",
            label=name,
        )
    axes.set_xlabel("generated tokens", color=COLORS["muted"])
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=COLORS["ink"])
    return figure


def _alt(comparison: Mapping[str, Any]) -> str:
    return f"{comparison['title']}: " + "; ".join(f"{s['side']} {_percent(s)} %" for s in comparison["sides"])


def _percent(estimate: Mapping[str, float]) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _print(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
