"""What STaR gives a second time, and with what hint."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import Outcome, Problem, Tree
from ponderosa.evolution import star as module
from ponderosa.evolution.loops import parse_recipe
from ponderosa.evolution.stages import Forest, SearchPlan, Stages
from ponderosa.evolution.star import STaR
from ponderosa.forest import write_forest

RIGHT, WRONG, TESTED = Problem("r", "Easy?", "1"), Problem("w", "Hard?", "{2}"), Problem("t", "Write it.", None)


class Searching(Stages):
    """Stages whose policy gets all wrong but the easy one, and that train nothing."""

    base = "base"

    def __init__(self, path: Path, recipe: Any) -> None:
        self.recipe = recipe
        self.run = SimpleNamespace(round=lambda n: path / f"round-{n}", timed=lambda *_: nullcontext())  # type: ignore[assignment]
        self.asked: list[list[str]] = []
        self.rows: list[str] = []
        self.found: list[str] = []
        self.told: list[str] = []

    def fresh(self, number: int) -> list[Problem]:
        return [RIGHT, WRONG, TESTED]

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        (plan,) = plans
        self.asked.append([problem.question for problem in plan.problems])
        trees = []
        for problem in plan.problems:
            tree = Tree(problem.id, problem.question, index=plan.index, method="sample")
            brought = 1.0 if problem == RIGHT or plan.index else -1.0
            tree.rollouts.append(tree.add(0, "So.", outcome=Outcome.ANSWERED, answer="1", reward=brought))
            trees.append(tree)
        write_forest(plan.path / "shard-00000.parquet", trees)
        return [Forest(plan.path, tuple(plan.problems))]

    async def write_trajectories(self, number: int, forests: Sequence[Forest], settings: Any) -> None:
        self.rows = [tree.question for forest in forests for tree in forest.trees()]

    async def train(self, *what: Any, **more: Any) -> str:
        return "trained"


@pytest.fixture
def iterated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def evolve(**settings: Any) -> Searching:
        recipe = parse_recipe({"loop": "star", "policy": "base", "rounds": [{"problems": 3}], **settings}, "test")
        stages = Searching(tmp_path, recipe)

        @asynccontextmanager
        async def opened(run: Any, observer: Any) -> AsyncIterator[Searching]:
            yield stages

        class Results:
            def __init__(self, stages: Any) -> None: ...

            async def of_base(self, policy: str) -> None: ...

            async def of_round(self, number: int, found: Any, *who: str, told: Any) -> None:
                stages.found, stages.told = ([p.id for f in forests for p in f.problems] for forests in (found, told))

            def finish(self, policy: str, ppm: None) -> dict[str, Any]:
                return {}

        monkeypatch.setattr(Stages, "open", opened)
        monkeypatch.setattr(module, "Results", Results)
        asyncio.run(module.evolve(SimpleNamespace(recipe=recipe), None))  # type: ignore[arg-type]
        return stages

    return evolve


def test_only_what_was_got_wrong_and_has_an_answer_to_tell_is_given_again(iterated: Any) -> None:
    first, second = iterated().asked
    assert first == ["Easy?", "Hard?", "Write it."]
    assert second == ["Hard? (The answer is {2}.)"]


def test_what_was_told_is_not_found(iterated: Any) -> None:
    stages = iterated()
    assert stages.found == ["r", "w", "t"]
    assert stages.told == ["w"]


def test_a_hint_may_have_braces_of_its_own(iterated: Any) -> None:
    _, (hinted,) = iterated(hint=r" Show {why} it is \boxed{{answer}}.").asked
    assert hinted == r"Hard? Show {why} it is \boxed{{2}}."


def test_what_trains_has_seen_no_hint(iterated: Any) -> None:
    assert iterated().rows == ["Easy?", "Hard?", "Write it.", "Hard?"]


def test_without_a_hint_nothing_is_given_again(iterated: Any) -> None:
    assert len(iterated(hint=None).asked) == 1


def test_training_grows_from_one_iteration_to_the_next() -> None:
    settings = STaR(policy="base").sft
    assert [module.grown(settings, 1.2, number).max_steps for number in (1, 2, 3)] == [40, 48, 58]
