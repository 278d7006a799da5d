"""The table of a run's rounds."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponderosa.view.rounds import (
    Rate,
    Results,
    against_majority,
    chosen_best,
    counted,
    coverages,
    errors_removed,
    label,
    methods,
    numbers,
    paired_gain,
    series,
    totals,
)

T = TypeVar("T")
Row = tuple[Text, list[Text]]
_LABEL_WIDTH = 24
_ROUND_WIDTH = 11
_NONE = "-"


def draw_rounds(results: Results, console: Console) -> None:
    """Prints a column for each round: shares in percent over their 95 % intervals, tokens, and what a round cost.

    Rounds that do not fit beside each other on a narrow terminal come below each other.
    """
    rows = _rows(results)
    names = [label(record) for record in results["rounds"]]
    at_once = max(1, (console.width - _LABEL_WIDTH) // _ROUND_WIDTH)
    for start in range(0, len(names), at_once):
        console.print(_table(rows, names, slice(start, start + at_once)))
    for line in _notes(results):
        console.print(Text(line))


def _notes(results: Results) -> list[str]:
    """What the table's figures mean, and what they say of the run as a whole."""
    lines = ["Shares in %, accuracies on held-out problems; tokens are those generated for a problem."]
    if results.get("judged"):
        lines.append(f"What is right was {results['judged']}.")
    greedy = series(results, "greedy")
    if gain := paired_gain(results):
        lines.append(f"Greedy, last round against the base on the same problems: {gain}.")
    if len(greedy) > 1 and (removed := errors_removed(greedy[0], greedy[-1])):
        lines.append(f"Share of the base's errors removed by greedy decoding alone: {removed}.")
    if best := chosen_best(results):
        name, rate = best
        removed = errors_removed(greedy[0], rate)
        share = f", {removed} of the base's errors removed" if removed else ""
        lines.append(f"Best method, chosen on dev: {name}, {rate.percent} %{share}.")
    lines += [f"{line}." for line in against_majority(results)]
    return lines


def _table(rows: Sequence[Row], names: Sequence[str], columns: slice) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in names[columns]:
        table.add_column(name, justify="right", no_wrap=True)
    for head, cells in rows:
        table.add_row(head, *cells[columns])
    return table


def _rows(results: Results) -> list[Row]:
    rows = [_rates(f"{name} covered", rates) for name, rates in coverages(results).values()]
    rows += [_rates(name, rates) for name, rates in methods(results).values()]
    rows += [
        (Text("PPM AUC"), _cells(series(results, "ppm", "auc"), lambda rate: rate.percent)),
        (Text("  on the probe pool"), _cells(series(results, "ppm", "probe_auc"), lambda rate: rate.percent)),
        (Text("PPM pair accuracy"), _cells(series(results, "ppm", "pair_accuracy"), lambda rate: rate.percent)),
        (Text("SFT trajectories"), _cells(numbers(results, "sft", "rows"), "{:,}".format)),
        (Text("… with a wrong value"), _cells(series(results, "sft", "wrong_intermediate"), lambda rate: rate.percent)),
        (Text("Preference pairs"), _cells(numbers(results, "sft", "pairs"), "{:,}".format)),
        (Text("Executions"), _cells(numbers(results, "executions"), "{:,}".format)),
        (Text("Seconds"), _cells(totals(results, "seconds"), "{:,.0f}".format)),
    ]
    return [row for row in rows if any(cell.plain != _NONE for cell in row[1])]


def _cells(values: Sequence[T | None], form: Callable[[T], str]) -> list[Text]:
    return [Text(_NONE, style="dim") if value is None else Text(form(value)) for value in values]


def _rates(name: str, rates: Sequence[Rate | None]) -> Row:
    """Shares over their intervals over their tokens: as many lines in each cell as any of the rates needs."""
    known = [rate for rate in rates if rate]
    head = Text(name)
    values = [Text(_NONE, style="dim") if rate is None else Text(rate.percent, style="bold") for rate in rates]
    if any(rate.interval for rate in known):
        _below(
            [head, *values],
            [f"  95 %, {counted(rates)}".rstrip(", "), *(rate.interval if rate else "" for rate in rates)],
        )
    if any(rate.tokens is not None for rate in known):
        _below([head, *values], ["  tokens", *(_tokens(rate) for rate in rates)])
    return head, values


def _tokens(rate: Rate | None) -> str:
    return "" if rate is None or rate.tokens is None else f"{rate.tokens:,.0f}"


def _below(cells: Sequence[Text], lines: Sequence[str]) -> None:
    for cell, line in zip(cells, lines, strict=True):
        cell.append(f"\n{line}", style="not bold dim")
