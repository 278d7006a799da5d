"""The five stages of R1, with what they ask of the workers noted down instead of done."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import Outcome, PonderosaError, Problem, Tree, make_format
from ponderosa.evolution import r1 as module
from ponderosa.evolution.loops import parse_recipe
from ponderosa.evolution.r1 import R1
from ponderosa.evolution.results import Results
from ponderosa.evolution.stages import Forest, SearchPlan, Stages
from ponderosa.forest import PairRow, SFTRow, read_rows, write_forest
from ponderosa.problems import read_problems

GRPO = {"batch_size": 8, "group": 4}
TEXT = "<think>Ann has two apples and gives one of them to her brother Ben.</think> \\boxed{1}"


def recipe(rows: str = "cold.jsonl", **last: Any) -> R1:
    rounds = [
        {"stage": "cold start", "rows": [rows]},
        {"stage": "reasoning", "problems": 4, "grpo": GRPO},
        {"stage": "rejection sampling", "problems": 2},
        {"stage": "fine-tuning"},
        {"stage": "all scenarios", "problems": 4, "grpo": GRPO, **last},
    ]
    found = parse_recipe({"loop": "r1", "policy": "base", "format": "think", "rounds": rounds}, "test")
    assert isinstance(found, R1)
    return found


class Source:
    def trainable(self, problems: Any) -> list[Problem]:
        return [problem for problem in problems if problem.question != "Held out?"]

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        return [True for _ in steps]


class Noted(Stages):
    """Stages whose policy solves every problem once and fails once, and that train nothing."""

    def __init__(self, path: Path, settings: Any) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.recipe = settings
        self.base = "base"
        self.format = make_format("think")
        self.source = Source()  # type: ignore[assignment]
        self.run = SimpleNamespace(  # type: ignore[assignment]
            path=path, recipe=settings, round=lambda n: path / f"round-{n}", timed=lambda *_: nullcontext(), times=dict
        )
        self.trained: list[tuple[int, str, str, list[str]]] = []

    def fresh(self, number: int) -> list[Problem]:
        return [
            Problem(f"{number}-{i}", f"{number}, {i}?", "1") for i in range(self.recipe.rounds[number - 1].problems)
        ]

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        (plan,) = plans
        trees = []
        for problem in plan.problems:
            tree = Tree(problem.id, problem.question, method="sample")
            for text, answer, brought in ((TEXT, "1", 1.0), (TEXT.replace("{1}", "{7}"), "7", -1.0)):
                end = tree.add(
                    0, text, outcome=Outcome.ANSWERED, answer=answer, reward=brought, visits=1, total=brought
                )
                tree.rollouts.append(end)
            trees.append(tree)
        write_forest(plan.path / "shard-00000.parquet", trees)
        return [Forest(plan.path, tuple(plan.problems))]

    async def train(self, number: int, role: str, start: str, rows: Sequence[Path], settings: Any, **more: Any) -> str:
        root = self.run.path
        named = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in rows]
        self.trained.append((number, role, start, named))
        return f"{role} {number}"


@pytest.fixture
def evolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "cold.jsonl").write_text(json.dumps({"prompt": "p", "response": "r"}) + "\n")

    async def nothing(*_: Any) -> Any:
        return SimpleNamespace()

    async def unmeasured(*_: Any) -> dict[str, Any]:
        return {}

    monkeypatch.setattr("ponderosa.evolution.results.search_held_out", nothing)
    monkeypatch.setattr("ponderosa.evolution.results.measure", unmeasured)
    monkeypatch.setattr("ponderosa.evolution.results._searches", lambda *_: {})
    monkeypatch.setattr(Results, "_ppm", unmeasured)

    def evolve(**last: Any) -> tuple[Noted, dict[str, Any]]:
        stages = Noted(tmp_path / "run", recipe(str(tmp_path / "cold.jsonl"), **last))

        @asynccontextmanager
        async def opened(run: Any, observer: Any) -> AsyncIterator[Noted]:
            yield stages

        monkeypatch.setattr(Stages, "open", opened)
        return stages, asyncio.run(module.evolve(stages.run, None))  # type: ignore[arg-type]

    return evolve


def test_each_stage_trains_from_where_the_paper_says(evolved: Any, tmp_path: Path) -> None:
    stages, results = evolved()
    assert stages.trained == [
        (1, "policy", "base", [str(tmp_path / "cold.jsonl")]),
        (2, "policy", "policy 1", ["round-2/problems.jsonl"]),
        (4, "policy", "base", ["round-3/data/sft"]),
        (5, "ppm", "policy 4", ["round-3/data/pairs"]),
        (5, "policy", "policy 4", ["round-5/problems.jsonl"]),
    ]
    assert results["checkpoints"] == {"policy": "policy 5", "ppm": "ppm 5"}


def test_what_stage_4_was_trained_on_is_counted_where_stage_3_put_it(evolved: Any) -> None:
    _, results = evolved()
    (four,) = (record for record in results["rounds"] if record["round"] == 4)
    assert (four["sft"]["rows"], four["sft"]["pairs"]) == (2, 4)  # of solutions, and of their answers alone
    assert four["sft"]["wrong_intermediate"]["n"] == 2


def test_general_problems_that_are_held_out_are_not_asked(evolved: Any, tmp_path: Path) -> None:
    general = tmp_path / "general.jsonl"
    general.write_text("".join(json.dumps({"question": question}) + "\n" for question in ("Held out?", "Who?")))
    stages, _ = evolved(general=[str(general)])
    asked = [problem.question for problem in read_problems(stages.run.round(5) / "problems.jsonl")]
    assert asked == [*(f"5, {i}?" for i in range(4)), "Who?"]


def test_a_judge_is_asked_of_many_solutions_at_once_and_what_it_rejects_is_preferred_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge answers none before it was asked about both."""
    stages = Noted(tmp_path / "run", recipe())
    asked: list[str] = []

    class Judge:
        async def grade(self, answer: str, problem: Problem) -> Any:
            asked.append(problem.id)
            async with asyncio.timeout(5):
                while len(asked) < 2:
                    await asyncio.sleep(0)
            return SimpleNamespace(correct=problem.id == "3-0")

    @asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[Judge]:
        yield Judge()

    monkeypatch.setattr(module, "open_grader", opened)
    settings = recipe().rounds[2].model_copy(update={"judge": "judge:big"})

    async def curate() -> None:
        forests = await stages.solve(3, stages.fresh(3), [settings.sampling], "policy")
        await module.curate(stages, settings, forests)

    asyncio.run(curate())
    data = stages.run.round(3) / "data"
    assert [row.problem_id for row in read_rows(data / "sft", SFTRow)] == ["3-0"]
    assert {row.problem_id for row in read_rows(data / "pairs", PairRow)} == {"3-0"}


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        (1, {"problems": 1}, "a step takes 2 problems: give round 2 as many"),
        (4, {"problems": 1}, "give round 5 as many"),
        (2, {"data": {"mutual": {"policy": "p"}}}, "asks no second model"),
    ],
)
def test_recipes_that_cannot_work_are_refused_before_anything_is_trained(
    place: int, changes: dict[str, Any], message: str
) -> None:
    record = recipe().model_dump(mode="json")
    record["rounds"][place] |= changes
    with pytest.raises(PonderosaError, match=message):
        parse_recipe(record, "test")
