"""What a study found: its variants over all seeds, and the paired differences that it asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ponderosa.core import PonderosaError
from ponderosa.evaluation import statistics
from ponderosa.evolution.evaluation import paired_rates, rates_of
from ponderosa.evolution.studies import Comparison, Side, Study

Results = Mapping[str, Any]
"""What a run's `results.json` holds."""


def found(study: Study, runs: Mapping[str, Sequence[Results]]) -> dict[str, Any]:
    """What the study found, as plain values: each variant's rounds over all seeds, and the comparisons."""
    return {
        "study": study.model_dump(mode="json"),
        "variants": {name: [_round(results, i) for i in range(_rounds(results))] for name, results in runs.items()},
        "comparisons": [_compared(comparison, runs) for comparison in study.comparisons],
        "wall_s": sum(one["wall_s"] for results in runs.values() for one in results),
    }


def _rounds(results: Sequence[Results]) -> int:
    return min(len(one["rounds"]) for one in results)


def _round(results: Sequence[Results], place: int) -> dict[str, Any]:
    """The entry at that place over all seeds: greedy accuracy, and means of what its data were and what it all cost.

    `rollouts` are those of a problem in the search for data, `rows` those of SFT; tokens are of all rounds so far.
    """
    records = [one["rounds"][place] for one in results]
    number = records[0]["round"]
    measured = all(rates_of(record) for record in records)
    greedy = asdict(statistics.pooled_mean(paired_rates((r, "greedy") for r in records))) if measured else None
    data = {name: _mean_known(map(count, records)) for name, count in (("rollouts", _rollouts), ("rows", _sft_rows))}
    return {"round": number, "greedy": greedy} | data | _cost(results, number)


def _rollouts(record: Mapping[str, Any]) -> float | None:
    made = record["searches"]["data"]
    return made["rollouts"] / made["trees"] if made["trees"] else None


def _sft_rows(record: Mapping[str, Any]) -> float | None:
    return record["sft"]["rows"] if record.get("sft") else None


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _cost(results: Sequence[Results], last: int) -> dict[str, float]:
    """The tokens that were generated for data and trained on in the rounds up to `last`, means over seeds."""
    records = [[record for record in one["rounds"] if record["round"] <= last] for one in results]
    return {
        "generated_tokens": _mean(sum(r["tokens"]["generated"] for r in rounds) for rounds in records),
        "trained_tokens": _mean(sum(map(_trained, rounds)) for rounds in records),
    }


def _trained(record: Mapping[str, Any]) -> int:
    """The tokens of a round's trainings; runs of earlier versions do not say."""
    return sum((record.get("trained_tokens") or {}).values())


def _compared(comparison: Comparison, runs: Mapping[str, Sequence[Results]]) -> dict[str, Any]:
    texts = list(comparison.sides)
    if comparison.ranked:
        texts[1:] = sorted(texts[1:], key=lambda text: -_accuracy(Side.of(text), runs))
    sides = [Side.of(text) for text in texts]
    seeds = len(runs[sides[0].variant])
    flat = paired_rates((_record(side, one), side.method) for side in sides for one in runs[side.variant])
    rates = [flat[i : i + seeds] for i in range(0, len(flat), seeds)]
    pairs = [(0 if comparison.against == "first" else i - 1, i) for i in range(1, len(sides))]
    return {
        "title": comparison.title,
        "about": comparison.about,
        "sides": [
            {"side": text, "tokens": _tokens(side, runs[side.variant])}
            | asdict(statistics.pooled_mean(side_rates))
            | _cost(runs[side.variant], _record(side, runs[side.variant][0])["round"])
            for text, side, side_rates in zip(texts, sides, rates, strict=True)
        ],
        "differences": [{"before": texts[a], "after": texts[b]} | _difference(rates[a], rates[b]) for a, b in pairs],
    }


def _accuracy(side: Side, runs: Mapping[str, Sequence[Results]]) -> float:
    return _mean(_record(side, one)[side.method]["accuracy"] for one in runs[side.variant])


def _difference(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> dict[str, Any]:
    difference = statistics.pooled_difference(before, after)
    return asdict(difference.estimate) | {"p": difference.p, "by_seed": list(difference.by_seed)}


def _record(side: Side, results: Results) -> Mapping[str, Any]:
    records = {record["round"]: record for record in results["rounds"]}
    number = max(records) if side.round is None else side.round
    if number not in records:
        raise PonderosaError(f"{side.variant} has no round {number}, only {', '.join(map(str, records))}")
    record: Mapping[str, Any] = records[number]
    if not rates_of(record, side.method):
        raise PonderosaError(f"{side.variant} was not evaluated by {side.method}: see the `evaluation` of its recipe")
    return record


def _tokens(side: Side, results: Sequence[Results]) -> float:
    """Generated tokens a problem, over all seeds."""
    return _mean(_record(side, one)[side.method]["tokens"] for one in results)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
