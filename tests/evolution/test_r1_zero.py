"""The loop of R1-Zero, with what it asks of its stages noted down instead of done."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution import r1_zero
from ponderosa.evolution.loops import LOOPS, load_recipe, parse_recipe
from ponderosa.evolution.r1_zero import R1Zero, reinforce
from ponderosa.problems import read_problems
from ponderosa.training import GRPOSettings
from ponderosa.training.jobs import kind_of, parse_job

RECIPES = Path(__file__).parents[2] / "recipes" / "r1-zero"
TINY = {
    "loop": "r1-zero",
    "policy": "base",
    "rounds": [{"problems": 4}, {"problems": 8, "grpo": {"learning_rate": 1e-7}}],
    "grpo": {"batch_size": 8, "group": 4},
}


def recipe(**changes: Any) -> R1Zero:
    parsed = parse_recipe(TINY | changes, "test")
    assert isinstance(parsed, R1Zero)
    return parsed


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_for_its_file(path: Path) -> None:
    found = load_recipe(path)
    assert found.name == f"r1-zero-{path.stem}"
    assert isinstance(found, R1Zero)
    assert found.grpo.rollout.max_tokens <= found.evaluation.max_tokens  # what is learned can be said


def test_the_defaults_are_the_papers() -> None:
    """DeepSeek-R1, section 2.2: 16 rollouts for each of 32 problems a step, a new reference every 400 steps."""
    defaults = R1Zero(policy="base")
    assert (defaults.grpo.group, defaults.grpo.problems_per_step) == (16, 32)
    assert defaults.rounds[0].problems == 400 * 32
    assert defaults.grpo.beta == 0.001
    assert [entry.kind for entry in defaults.grpo.rewards] == ["accuracy", "format"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"few_shot": "Look: "}, "leave `few_shot` out"),
        ({"rounds": [{"problems": 1}]}, "a step takes 2 problems"),
        ({"grpo": {"batch_size": 8, "group": 3}}, "no multiple of `group`"),
        ({"format": "fenced"}, "fenced has no tags to reward: choose one of rstar, think"),
        ({"rounds": [{"problems": 9, "grpo": {"wings": 2}}]}, "^`grpo` of round 1: unknown key `wings`$"),
    ],
)
def test_recipes_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        recipe(**changes)


def test_a_round_keeps_what_it_does_not_change_however_deep() -> None:
    rollout = {"temperature": 0.5, "max_tokens": 100}
    rounds = [{"problems": 9, "grpo": {"rollout": {"max_tokens": 200}}}]
    found = recipe(grpo=TINY["grpo"] | {"rollout": rollout}, rounds=rounds).settings_of(1)  # type: ignore[operator]
    assert (found.rollout.temperature, found.rollout.max_tokens) == (0.5, 200)


class Noted:
    """Stages that train nothing."""

    base = "base"

    def __init__(self, settings: R1Zero, folder: Path) -> None:
        self.recipe = settings
        self.run = SimpleNamespace(recipe=settings, round=lambda number: folder / f"round-{number}")
        self.jobs: list[dict[str, Any]] = []

    def fresh(self, number: int) -> list[Problem]:
        return [
            Problem(f"{number}-{i}", f"{number}, {i}?", "1") for i in range(self.recipe.rounds[number - 1].problems)
        ]

    async def train(self, number: int, role: str, **job: Any) -> str:
        self.jobs.append(job)
        return f"policy {number}"


def test_each_round_goes_on_from_the_policy_before_on_problems_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Noted(recipe(grader="judge:big", execution={"servers": 3}), tmp_path)
    measured: list[Any] = []

    class Results:
        def __init__(self, stages: Any) -> None: ...

        async def of_base(self, policy: str) -> None:
            measured.append(policy)

        async def of_round(self, number: int, forests: Any, proposer: str, policy: str) -> None:
            measured.append((number, forests, proposer, policy))

        def finish(self, policy: str, ppm: None) -> dict[str, Any]:
            return {"policy": policy}

    class Opened:
        async def __aenter__(self) -> Noted:
            return stages

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr(r1_zero, "Results", Results)
    monkeypatch.setattr(r1_zero.Stages, "open", lambda run, observer: Opened())
    found = asyncio.run(LOOPS["r1-zero"].evolve(stages.run, None))  # type: ignore[arg-type]
    assert found == {"policy": "policy 2"}
    assert measured == ["base", (1, [], "base", "policy 1"), (2, [], "policy 1", "policy 2")]
    assert [job["start"] for job in stages.jobs] == ["base", "policy 1"]
    assert [job["settings"].learning_rate for job in stages.jobs] == [1e-6, 1e-7]
    first, second = (list(read_problems(job["rows"][0])) for job in stages.jobs)
    assert (len(first), len(second)) == (4, 8)
    assert not {problem.id for problem in first} & {problem.id for problem in second}
    job = {**stages.jobs[0], "kind": kind_of(stages.jobs[0]["settings"]), "out": str(tmp_path / "out"), "seed": 1}
    parsed = parse_job(job | {"settings": job["settings"].model_dump(mode="json")})
    assert (parsed.grader, parsed.execution["servers"]) == ("judge:big", 3)  # type: ignore[union-attr]
    json.dumps(parsed.model_dump(mode="json"))


def test_problems_without_answers_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    stages = Noted(recipe(), tmp_path)
    stages.fresh = lambda number: [Problem("a", "Why?")]  # type: ignore[method-assign]
    with pytest.raises(PonderosaError, match="has no answer to compare with"):
        asyncio.run(reinforce(stages, 1, "base", stages.recipe.grpo))  # type: ignore[arg-type]
    assert not stages.jobs


def test_the_settings_are_of_the_kind_of_training_that_they_ask_for() -> None:
    assert kind_of(GRPOSettings()) == "grpo"
