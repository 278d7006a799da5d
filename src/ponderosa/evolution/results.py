"""A run's results: one entry a round, the base being round 0, and what the rounds come to."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from ponderosa.evaluation import statistics
from ponderosa.evaluation.accounting import Sizes, account
from ponderosa.evaluation.rewards import pair_accuracy, step_auc
from ponderosa.evolution.evaluation import (
    Evaluation,
    coverage,
    data_quality,
    measure,
    paired_rates,
    rates_of,
    reflection_counts,
    search_held_out,
)
from ponderosa.evolution.grading import judged_by
from ponderosa.evolution.problems import decontamination, decontamination_line
from ponderosa.evolution.run import RECIPE, read_json, write_json
from ponderosa.evolution.stages import Forest, Stages
from ponderosa.forest import PAPER, PreferenceSettings, read_forest
from ponderosa.models.size import parameters
from ponderosa.training.cards import tell
from ponderosa.training.checkpoint import RECORD, read_record


class Results:
    """Collects what the rounds of a run are worth. A round's entry, once written, is not made again."""

    def __init__(self, stages: Stages, pairs: PreferenceSettings = PAPER) -> None:
        self._stages = stages
        self._run = stages.run
        self._pairs = pairs

    async def of_base(self, policy: str) -> None:
        """Evaluates what the run starts from, as round 0."""
        await self._round(0, [], policy, None, policy, 0)

    async def of_round(
        self,
        number: int,
        forests: Sequence[Forest],
        proposer: str,
        policy: str,
        ppm: str | None = None,
        data: int | None = None,
        told: Sequence[Forest] = (),
    ) -> None:
        """Evaluates a round's policy and PPM, and writes all results so far. The `proposer` searched the `forests`, and
        those in which it was `told` the answers; what was taken of them lies in round `data`, by default the same.
        """
        await self._round(number, forests, policy, ppm, proposer, number if data is None else data, told)

    async def _round(
        self,
        number: int,
        forests: Sequence[Forest],
        policy: str,
        ppm: str | None,
        proposer: str,
        data: int,
        told: Sequence[Forest] = (),
    ) -> None:
        path = self._run.round(number) / "summary.json"
        if not path.exists():
            evaluation = await search_held_out(self._stages, number, policy, ppm)
            with self._run.timed(number, "measuring"):
                record = {
                    "round": number,
                    "coverage": coverage(forests),
                    **await measure(self._stages, evaluation, ppm),
                }
                if forests:
                    record["sft"] = data_quality(self._stages, data, [*forests, *told])
                    record["reflection"] = reflection_counts((tree for f in forests for tree in f.trees()), proposer)
                record["trained_tokens"] = self._trained(number)
                if ppm is not None:
                    record["ppm"] = await self._ppm(number, evaluation, ppm)
            trees = (tree for f in (*forests, *told) for tree in f.trees())
            made = account(trees, Sizes(parameters(proposer), parameters(ppm)))
            searches = _searches(evaluation, Sizes(parameters(policy), parameters(ppm)))
            drawn = self._drawn(number)
            write_json(path, record | _cost(made, drawn) | {"searches": {"data": made} | searches})
        self._tell(number, read_json(path) or {})
        self._write()

    async def _ppm(self, number: int, evaluation: Evaluation, ppm: str) -> dict[str, Any] | None:
        """The PPM against the truth, on the steps of this round's policy and on the fixed pool's of the base."""
        samples = evaluation.samples
        problems = {problem.id: problem for problem in samples.problems}
        truths = self._stages.source.truths
        record: dict[str, Any] = {"auc": step_auc(samples.trees(), problems, truths)}
        fixed = self._run.round(0) / "evaluation" / "probe"
        pool = {p.id: p for p in self._stages.source.held_out("probe", self._stages.recipe.evaluation.probe)}
        if pool:
            scores = self._run.round(number) / "evaluation" / "probe-scores"
            scored = await self._stages.score(fixed, scores, ppm)
            record["probe_auc"] = step_auc(read_forest(scored), pool, truths)
            record["pair_accuracy"] = pair_accuracy(read_forest(scored), self._stages.format, self._pairs)
        return record

    def _tell(self, number: int, record: dict[str, Any]) -> None:
        """Has the cards of the round's models say what they are worth, and how they were made."""
        command = shlex.join(["ponderosa", "evolve", str(self._run.path / RECIPE), "--out", "OTHER"])
        recipe = self._run.recipe
        for model in self._models(number):
            tell(
                model,
                recipe=recipe.name,
                round=number,
                scores=_rates((record.get("ppm") or {}) if model.name == "ppm" else record),
                command=command,
                format=recipe.format,
                decontamination=decontamination_line(self._run.path),
            )

    def _models(self, number: int) -> list[Path]:
        return sorted(path.parent for path in self._run.round(number).glob(f"*/{RECORD}"))

    def _trained(self, number: int) -> dict[str, int]:
        """The tokens of the round's trainings, every epoch anew, by the model that was trained."""
        return {model.name: read_record(model)["report"]["tokens"] for model in self._models(number)}

    def _drawn(self, number: int) -> dict[str, int]:
        """What the round's trainings drew themselves, by reinforcement: tokens and executions."""
        reports = [read_record(model)["report"] for model in self._models(number)]
        return {name: sum(report.get(name, 0) for report in reports) for name in ("generated_tokens", "executions")}

    def _rounds(self) -> list[dict[str, Any]]:
        found = (read_json(self._run.round(n) / "summary.json") for n in range(len(self._run.recipe.rounds) + 1))
        return [record for record in found if record]

    def _write(self, **more: Any) -> dict[str, Any]:
        times = self._run.times()
        rounds = [record | {"seconds": _stage_seconds(times, record["round"])} for record in self._rounds()]
        recipe = self._run.recipe
        results = {
            "recipe": recipe.model_dump(mode="json"),
            "seed": recipe.seed,
            "judged": judged_by(recipe.grader),
            "decontamination": decontamination(self._run.path),
            "rounds": rounds,
            "paired": self._gains(rounds),
            "wall_s": sum(times.values()),
            **more,
        }
        write_json(self._run.path / "results.json", results)
        return results

    def finish(self, policy: str, ppm: str | None) -> dict[str, Any]:
        """The results of a run that has ended, with the paths of what it made."""
        return self._write(finished=True, checkpoints={"policy": policy, "ppm": ppm})

    def _gains(self, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The paired differences in greedy accuracy of the last round to the base, and of each to the one before."""
        if len(rounds) < 2 or not all(rates_of(record) for record in rounds):
            return {}
        rates = paired_rates((record, "greedy") for record in rounds)
        return {
            "greedy_gain": asdict(statistics.paired_difference(rates[0], rates[-1])),
            "by_round": [asdict(statistics.paired_difference(before, after)) for before, after in pairwise(rates)],
        }


def _rates(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The shares with intervals among a round's figures, by what they are of; the best method's is there anyway."""
    found = {}
    for name, rate in record.items():
        if name != "best" and isinstance(rate, dict) and "low" in rate:
            value = rate.get("value", rate.get("accuracy"))
            found[name.replace("_", " ")] = {"value": value, "low": rate["low"], "high": rate["high"], "n": rate["n"]}
    return found


def _stage_seconds(times: dict[str, float], number: int) -> dict[str, float]:
    return {key.split(".", 1)[1]: seconds for key, seconds in times.items() if key.split(".", 1)[0] == str(number)}


def _searches(evaluation: Evaluation, sizes: Sizes) -> dict[str, Any]:
    """What each search of a round's evaluation cost."""
    forests: dict[str, Forest] = {f.name.replace("_", " "): getattr(evaluation, f.name) for f in fields(evaluation)}
    return {name: account(forest.trees(), sizes) for name, forest in forests.items() if forest.problems}


def _cost(made: dict[str, Any], drawn: dict[str, int]) -> dict[str, Any]:
    """What the round's search for data cost, and what its trainings drew themselves. Of the prompts only what was
    computed counts, not what a cache held.
    """
    prompt = made["prompt_tokens"] - made["cached_tokens"]
    tokens = {"generated": made["generated_tokens"] + drawn["generated_tokens"], "prompt": prompt}
    return {"tokens": tokens, "executions": made["executions"] + drawn["executions"], "trees": made["trees"]}
