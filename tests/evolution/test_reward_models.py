"""Which data each reward model of a round is trained on, and by which training."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import CodeFormat, Outcome, Problem, Tree
from ponderosa.evolution.loops import parse_recipe
from ponderosa.evolution.reward_models import train_reward_model
from ponderosa.evolution.stages import Forest, SearchPlan, Stages
from ponderosa.forest import PairRow, ValueRow, write_forest
from ponderosa.search import RolloutSettings
from ponderosa.search.expansion import back_up
from ponderosa.training.jobs import kind_of

PROBLEM = Problem("p", "What is x?", "1")


def tree() -> Tree:
    made = Tree("p", "What is x?", method="mcts")
    for step, reward in (("good", 1.0), ("bad", -1.0)):
        node = made.add(0, step)
        end = made.add(node, f"answer of {step}", outcome=Outcome.ANSWERED, answer=step, reward=reward)
        back_up(made, end, reward)
    return made


class Recorded(Stages):
    """Stages that write down what they are asked for, in place of doing it."""

    def __init__(self, path: Path, recipe: Any) -> None:
        self.recipe = recipe
        self.format = CodeFormat()
        self.run = SimpleNamespace(round=lambda n: path / f"round-{n}", timed=lambda n, s: _Nothing())  # type: ignore[assignment]
        self.written: list[Any] = []
        self.plans: list[SearchPlan] = []
        self.trained: dict[str, Any] = {}

    def write(
        self, number: int, name: str, kind: type[Any], rows: Callable[..., Iterable[Any]], forests: Any, settings: Any
    ) -> None:  # type: ignore[override]
        self.written = list(rows(tree for forest in forests for tree in forest.trees()))
        assert all(isinstance(row, kind) for row in self.written)

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        self.plans = list(plans)
        assert (policy, reward) == ("proposer", None)
        return [Forest(plan.over, tuple(plan.problems)) for plan in plans if plan.over]

    async def train(self, number: int, role: Any, start: str, rows: Any, settings: Any, **more: Any) -> str:
        self.trained = {
            "role": role,
            "start": start,
            "rows": [folder.name for folder in rows],
            "kind": kind_of(settings),
        }
        return "trained"


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def train(path: Path, kind: str, **settings: Any) -> Recorded:
    write_forest(path / "tree-0" / "shard-00000.parquet", [tree()])
    pairs = {"data": {"pairs": {"min_edit_distance": 1}}}
    recipe: Any = parse_recipe({"policy": "scripted:base", "reward_model": kind, **pairs, **settings}, "test")
    stages = Recorded(path, recipe)
    forests = [Forest(path / "tree-0", (PROBLEM,))]
    made = train_reward_model(stages, 2, recipe.rewards, forests, proposer="proposer", start="policy", history=True)
    assert asyncio.run(made) == "trained"
    return stages


@pytest.mark.parametrize(
    ("kind", "data", "training"),
    [
        ("ppm", "pairs", "ppm"),
        ("orm-pairs", "trajectory-pairs", "ppm"),
        ("orm", "values", "values"),
        ("prm-q", "values", "values"),
        ("prm-rollouts", "values", "values"),
    ],
)
def test_each_kind_has_its_data_and_its_training(tmp_path: Path, kind: str, data: str, training: str) -> None:
    stages = train(tmp_path, kind)
    assert stages.trained == {"role": "ppm", "start": "policy", "rows": [data, data], "kind": training}
    if training == "ppm":
        scopes = {row.scope for row in stages.written if isinstance(row, PairRow)}
        assert scopes == ({"trajectory"} if kind == "orm-pairs" else {"step", "trajectory"})
    else:
        targets = [row.targets for row in stages.written if isinstance(row, ValueRow)]
        expected = {"orm": [-1.0, 1.0], "prm-q": [-1.0, 1.0], "prm-rollouts": [None]}[
            kind
        ]  # no step was rolled out here
        assert {target[0] for target in targets} == set(expected)
        assert {target[1] for target in targets} == {-1.0, 1.0}


def test_roll_outs_of_a_problem_that_was_tried_twice_have_names_of_their_own(tmp_path: Path) -> None:
    forests = [Forest(tmp_path / f"tree-{i}", (PROBLEM,)) for i in range(2)]
    for forest in forests:
        write_forest(forest.path / "shard-00000.parquet", [tree()])
    stages = Recorded(tmp_path, parse_recipe({"policy": "scripted:base", "reward_model": "prm-rollouts"}, "test"))
    rewards = stages.recipe.rewards  # type: ignore[attr-defined]
    asyncio.run(train_reward_model(stages, 2, rewards, forests, proposer="proposer", start="policy", history=True))
    assert [plan.index for plan in stages.plans] == [0, 1]


def test_roll_outs_go_on_from_the_rounds_trees_by_those_who_made_them(tmp_path: Path) -> None:
    stages = train(tmp_path, "prm-rollouts", values={"rollouts": {"completions": 3, "prefixes": "binary"}})
    (plan,) = stages.plans
    assert plan.settings == RolloutSettings(completions=3, prefixes="binary")
    assert (plan.kind, plan.over, plan.judged) == ("rollouts", tmp_path / "tree-0", True)
    assert plan.path == tmp_path / "round-2" / "rollouts" / "tree-0"
    assert train(tmp_path / "other", "prm-q").plans == []
