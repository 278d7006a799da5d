"""A run's results: one entry a round, the base being round 0, and what the rounds come to."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import pairwise
from typing import Any

from ponderosa.evaluation import statistics
from ponderosa.evaluation.accounting import Sizes, account
from ponderosa.evolution.evaluation import (
    Evaluation,
    coverage,
    data_quality,
    greedy_rates,
    measure,
    pair_accuracy,
    ppm_quality,
    search_held_out,
)
from ponderosa.evolution.run import read_json, write_json
from ponderosa.evolution.stages import Forest, Stages
from ponderosa.forest import read_forest
from ponderosa.models.size import parameters


class Results:
    """Collects what the rounds of a run are worth. A round's entry, once written, is not made again."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._run = stages.run

    async def of_base(self, policy: str) -> None:
        """Evaluates what the run starts from, as round 0."""
        await self._round(0, [], policy, None)

    async def of_round(self, number: int, forests: Sequence[Forest], policy: str, ppm: str) -> None:
        """Evaluates a round's policy and PPM, and writes all results so far."""
        await self._round(number, forests, policy, ppm)

    async def _round(self, number: int, forests: Sequence[Forest], policy: str, ppm: str | None) -> None:
        path = self._run.round(number) / "summary.json"
        if not path.exists():
            evaluation = await search_held_out(self._stages, number, policy, ppm)
            with self._run.timed(number, "measuring"):
                record = {
                    "round": number,
                    "coverage": coverage(forests),
                    **await measure(self._stages, evaluation, ppm),
                }
                if ppm is not None:
                    record["sft"] = data_quality(self._stages, number, forests)
                    record["ppm"] = await self._ppm(number, evaluation, ppm)
            proposed = self._stages.bootstrap if number == 1 else policy  # after that all policies are of one size
            made = account((tree for f in forests for tree in f.trees()), Sizes(parameters(proposed), parameters(ppm)))
            searches = _searches(evaluation, Sizes(parameters(policy), parameters(ppm)))
            write_json(path, record | _cost(made) | {"searches": {"data": made} | searches})
        self._write()

    async def _ppm(self, number: int, evaluation: Evaluation, ppm: str) -> dict[str, Any] | None:
        """The PPM against the truth, on the steps of this round's policy and on the fixed pool's of the base."""
        samples = evaluation.samples
        problems = {problem.id: problem for problem in samples.problems}
        record: dict[str, Any] = {"auc": ppm_quality(self._stages, samples.trees(), problems)}
        fixed = self._run.round(0) / "evaluation" / "probe"
        pool = {p.id: p for p in self._stages.source.held_out("probe", self._stages.recipe.evaluation.probe)}
        if pool:
            scored = await self._stages.score(
                number, fixed, self._run.round(number) / "evaluation" / "probe-scores", ppm
            )
            record["probe_auc"] = ppm_quality(self._stages, read_forest(scored), pool)
            record["pair_accuracy"] = pair_accuracy(self._stages, read_forest(scored))
        return record

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
        rates = [greedy_rates(record) for record in rounds]
        if len(rates) < 2 or not all(rates):
            return {}
        return {
            "greedy_gain": asdict(statistics.paired_difference(rates[0], rates[-1])),
            "by_round": [asdict(statistics.paired_difference(before, after)) for before, after in pairwise(rates)],
        }


def _stage_seconds(times: dict[str, float], number: int) -> dict[str, float]:
    return {key.split(".", 1)[1]: seconds for key, seconds in times.items() if key.split(".", 1)[0] == str(number)}


def _searches(evaluation: Evaluation, sizes: Sizes) -> dict[str, Any]:
    """What each search of a round's evaluation cost."""
    forests: dict[str, Forest] = {f.name.replace("_", " "): getattr(evaluation, f.name) for f in fields(evaluation)}
    return {name: account(forest.trees(), sizes) for name, forest in forests.items() if forest.problems}


def _cost(made: dict[str, Any]) -> dict[str, Any]:
    """What the round's search for data cost. Of the prompts only what was computed counts, not what a cache held."""
    prompt = made["prompt_tokens"] - made["cached_tokens"]
    tokens = {"generated": made["generated_tokens"], "prompt": prompt}
    return {"tokens": tokens, "executions": made["executions"], "trees": made["trees"]}
