"""Reads the rounds of a run's `results.json`, in which any value may be null."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]
"""A run's results: `rounds`, round 0 being the base, and what is known of the run as a whole."""

METHODS = {
    "greedy": "Greedy",
    "majority": "Majority of {k}",
    "best_of_n": "Best of {k} by PPM",
    "weighted": "PPM-weighted vote of {k}",
    "mcts": "MCTS + PPM",
    "pass_at_k": "pass@{k}",
}
"""The ways of answering that a round may have been evaluated with, and what to call them."""

COVERAGE = {"coverage": "Training pool", "probe_coverage": "Probe pool"}
"""The shares of problems with at least one correct trajectory."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured share in [0, 1] with its 95 % interval, the number of problems and the generated tokens a problem."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    tokens: float | None = None
    k: int | None = None

    @classmethod
    def read(cls, record: Any) -> "Rate | None":
        """The rate of a record (`value` or `accuracy`, `low`, `high`, ...) or of a bare number; None if it has none."""
        if isinstance(record, int | float):
            return cls(float(record))
        if not record:
            return None
        value = record.get("value", record.get("accuracy"))
        if value is None:
            return None
        return cls(value, *(record.get(name) for name in ("low", "high", "n", "tokens", "k")))

    @property
    def percent(self) -> str:
        return f"{100 * self.value:.1f}"

    @property
    def interval(self) -> str:
        """E.g. `87.1-92.4`, in percent; empty where none was measured."""
        if self.low is None or self.high is None:
            return ""
        return f"{100 * self.low:.1f}-{100 * self.high:.1f}"


def label(record: Mapping[str, Any]) -> str:
    """What to call a round."""
    number = record.get("round", 0)
    return f"Round {number}" if number else "Base"


def series(results: Results, *keys: str) -> list[Rate | None]:
    """The rate under the nested `keys` of every round, e.g. `series(results, "ppm", "auc")`."""
    return [Rate.read(_get(record, *keys)) for record in results["rounds"]]


def numbers(results: Results, *keys: str) -> list[float | None]:
    """The number under the nested `keys` of every round."""
    return [_get(record, *keys) for record in results["rounds"]]


def parts(results: Results, key: str) -> dict[str, list[float]]:
    """The named parts of a round's `seconds` or `tokens`, each over all rounds; absent ones are 0."""
    records = [record.get(key) or {} for record in results["rounds"]]
    names = dict.fromkeys(name for record in records for name, value in record.items() if value)
    return {name: [record.get(name) or 0 for record in records] for name in names}


def totals(results: Results, key: str) -> list[float | None]:
    """The sum of the parts of `seconds` or `tokens` of every round; None where nothing was recorded."""
    records = [record.get(key) for record in results["rounds"]]
    return [sum(value or 0 for value in record.values()) if record else None for record in records]


def methods(results: Results) -> dict[str, tuple[str, list[Rate | None]]]:
    """The methods that at least one round was evaluated with: key -> (name, rate by round)."""
    return _measured(results, METHODS)


def coverages(results: Results) -> dict[str, tuple[str, list[Rate | None]]]:
    """The coverages that at least one round has: key -> (name, rate by round)."""
    return _measured(results, COVERAGE)


def counted(rates: Iterable[Rate | None]) -> str:
    """On how many problems rates were measured, e.g. `n = 500`; empty if that is not known or not one number."""
    counts = {rate.n for rate in rates if rate}
    count = counts.pop() if len(counts) == 1 else None
    return f"n = {count:,}" if count else ""


def chosen_best(results: Results) -> tuple[str, Rate] | None:
    """The last round's best method, which was chosen on dev problems, and its rate on test problems."""
    best = (results["rounds"][-1].get("best") or {}) if results["rounds"] else {}
    rate = Rate.read(best)
    return (METHODS[best["method"]].format(k=rate.k), rate) if rate else None


def errors_removed(before: Rate | None, after: Rate | None) -> str:
    """The share of the errors made `before` that are not made `after`, e.g. `77 %`; empty if it is not known."""
    if before is None or after is None or before.value == 1:
        return ""
    return f"{100 * (after.value - before.value) / (1 - before.value):.0f} %"


def paired_gain(results: Results) -> str:
    """The gain of greedy decoding from the base to the last round on the same problems; empty if it is not known."""
    return _points((results.get("paired") or {}).get("greedy_gain") or {})


def against_majority(results: Results) -> list[str]:
    """A line for each method of the last round: its paired gain over a majority vote at about as many tokens."""
    last = results["rounds"][-1] if results["rounds"] else {}
    lines = []
    for name, record in (last.get("against_majority") or {}).items():
        method = METHODS[name].format(k=(last.get(name) or {}).get("k"))
        tokens = f"{record['tokens']:,.0f} against {record['majority_tokens']:,.0f} tokens, n = {record['n']:,}"
        lines.append(f"{method} against majority of {record['k']}: {_points(record)} ({tokens})")
    return lines


def _points(record: Mapping[str, Any]) -> str:
    """A difference in percentage points with its interval."""
    gain = Rate.read(record)
    if gain is None:
        return ""
    text = f"{100 * gain.value:+.1f} points"
    if gain.low is None or gain.high is None:
        return text
    return f"{text} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _measured(results: Results, names: Mapping[str, str]) -> dict[str, tuple[str, list[Rate | None]]]:
    measured = {}
    for key, name in names.items():
        rates = series(results, key)
        known = [rate for rate in rates if rate]
        if known:
            measured[key] = (name.format(k=known[-1].k or "k"), rates)
    return measured


def _get(record: Any, *keys: str) -> Any:
    for key in keys:
        if record is None:
            return None
        record = record.get(key)
    return record
