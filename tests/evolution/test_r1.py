"""The five stages of R1, with what they ask of the workers noted down instead of done."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import Outcome, PonderosaError, Problem, Tree, Verdict, make_format
from ponderosa.evolution import approval
from ponderosa.evolution import r1 as module
from ponderosa.evolution.loops import load_recipe, parse_recipe
from ponderosa.evolution.r1 import R1
from ponderosa.evolution.results import Results
from ponderosa.evolution.settings import find_recipe
from ponderosa.evolution.stages import Forest, SearchPlan, Stages
from ponderosa.forest import PairRow, SFTRow, read_rows, write_forest
from ponderosa.models import JudgeSettings, Spec, review_of, split_judge
from ponderosa.models.spec import VLLMSettings
from ponderosa.problems import read_problems

GRPO = {"batch_size": 8, "group": 4}
TEXT = "<think>Ann has two apples and gives one of them to her brother Ben.</think> \\boxed{1}"
WRONG = TEXT.replace("{1}", "{7}")


def recipe(rows: str = "cold.jsonl", sampling: dict[str, Any] | None = None, **last: Any) -> R1:
    rounds = [
        {"stage": "cold start", "rows": [rows]},
        {"stage": "reasoning", "problems": 4, "grpo": GRPO},
        {"stage": "rejection sampling", "problems": 2, **(sampling or {})},
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

    trainings = 0
    """Of the last of them."""

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
        self.freed = 0
        Noted.trainings = 0

    async def free(self) -> None:
        self.freed += 1

    def fresh(self, number: int) -> list[Problem]:
        return [
            Problem(f"{number}-{i}", f"{number}, {i}?", "1") for i in range(self.recipe.rounds[number - 1].problems)
        ]

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        (plan,) = plans
        trees = []
        for problem in plan.problems:
            tree = Tree(problem.id, problem.question, method="sample")
            for text, answer, worth in ((TEXT, "1", 1.0), (WRONG, "7", -1.0)):
                end = tree.add(
                    0,
                    text,
                    outcome=Outcome.ANSWERED,
                    answer=answer,
                    reward=worth if plan.judged else None,
                    visits=1,
                    total=worth if plan.judged else 0.0,
                )
                tree.rollouts.append(end)
            trees.append(tree)
        write_forest(plan.path / "shard-00000.parquet", trees)
        return [Forest(plan.path, tuple(plan.problems))]

    async def train(self, number: int, role: str, start: str, rows: Sequence[Path], settings: Any, **more: Any) -> str:
        root = self.run.path
        named = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in rows]
        self.trained.append((number, role, start, named))
        Noted.trainings += 1
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


def judge(path: Path, *replies: tuple[Problem, str, str]) -> str:
    """A judge that replies so to problems and solutions, and refuses all others."""
    table = {
        f"{review_of(text, problem)}\n\n": [{"text": reply, "stop_reason": None}] for problem, text, reply in replies
    }
    path.write_text(json.dumps({"table": table}))
    return f"judge?samples=1:scripted:{path}"


ACCEPT, REJECT = "All three hold. \\boxed{accept}", "It mixes languages. \\boxed{reject}"


def curated(stages: Noted, **sampling: Any) -> tuple[list[SFTRow], list[PairRow], dict[str, Any]]:
    """What stage 3 takes, its pairs of whole solutions, and what it tells of its judge."""
    settings = recipe(sampling={"problems": stages.recipe.rounds[2].problems, **sampling}).rounds[2]

    async def curate() -> None:
        forests = await stages.solve(3, stages.fresh(3), [settings.sampling], "policy")
        if settings.open:
            opened = module.named_problems(stages, settings.open)
            forests.append(await stages.make_trees(3, 1, opened, settings.sampling, "policy", graded=False))
        await module.curate(stages, settings, forests)

    asyncio.run(curate())
    data = stages.run.round(3) / "data"
    told = json.loads((stages.run.round(3) / "judgement.json").read_text())
    return read_rows(data / "sft", SFTRow), read_rows(data / "pairs", PairRow), told


def test_what_the_judge_rejects_is_not_taken_and_preferred_to_nothing(tmp_path: Path) -> None:
    stages = Noted(tmp_path / "run", recipe())
    first, second = stages.fresh(3)
    rows, pairs, told = curated(stages, judge=judge(tmp_path / "j", (first, TEXT, ACCEPT), (second, TEXT, REJECT)))
    assert [row.problem_id for row in rows] == [first.id]
    assert {pair.problem_id for pair in pairs} == {first.id}
    assert (told["approved"], told["rejected"], told["failed"], told["by_the_judge_alone"]) == (1, 1, {}, 0)
    assert stages.freed


def test_a_solution_without_a_verdict_is_left_out_of_both_data_sets_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One reply cannot be read, one request is refused; the wrong solutions of their problems have nothing above
    them, and they themselves are below nothing."""
    stages = Noted(tmp_path / "run", recipe(sampling={"problems": 3}))
    first, second, _ = stages.fresh(3)
    rows, pairs, told = curated(stages, judge=judge(tmp_path / "j", (first, TEXT, ACCEPT), (second, TEXT, "Well.")))
    assert [row.problem_id for row in rows] == [first.id]
    assert {pair.problem_id for pair in pairs} == {first.id}
    assert told["failed"] == {"unreadable": 1, "refused": 1}
    assert "the judge had no word on 2 of 3 solutions, which are left out" in caplog.text


def test_a_judge_without_a_word_on_anything_ends_the_run(tmp_path: Path) -> None:
    stages = Noted(tmp_path / "run", recipe())
    with pytest.raises(PonderosaError, match="had no word on any of 2 answers"):
        curated(stages, judge=judge(tmp_path / "j"))


def test_the_judge_alone_says_what_is_right_where_no_rule_can(tmp_path: Path) -> None:
    stages = Noted(tmp_path / "run", recipe(sampling={"problems": 1}))
    (ruled,) = stages.fresh(3)
    named = tmp_path / "open.jsonl"
    named.write_text(json.dumps({"question": "Why is the sky blue?"}) + "\n")
    (free,) = module.named_problems(stages, [str(named)])
    asked = judge(tmp_path / "j", (ruled, TEXT, ACCEPT), (free, TEXT, ACCEPT), (free, WRONG, REJECT))
    rows, pairs, told = curated(stages, judge=asked, open=[str(named)])
    assert [(row.problem_id, row.response) for row in rows] == [(ruled.id, TEXT), (free.id, TEXT)]
    of_open = [(pair.chosen, pair.rejected) for pair in pairs if pair.problem_id == free.id]
    assert of_open == [(TEXT, WRONG), ("</think> <answer>1</answer>", "</think> <answer>7</answer>")]
    assert told["by_the_judge_alone"] == 2
    assert "judged by a model, not checked" in (stages.run.round(3) / "data" / "sft" / "README.md").read_text()


def test_the_real_recipe_names_a_judge_that_can_be_loaded() -> None:
    sampling = load_recipe(find_recipe("r1/qwen2.5-1.5b")).rounds[2]
    assert isinstance(sampling, module.RejectionSampling)
    policy, settings = split_judge(sampling.judge or "") or ("", None)
    (options,) = Spec.parse(policy).settings(VLLMSettings)
    assert (options.api, options.max_model_len) == ("chat", 8192)
    assert settings == JudgeSettings(samples=1, temperature=0, max_tokens=1024)


def test_open_problems_are_searched_for_and_do_not_count_as_unsolved(evolved: Any, tmp_path: Path) -> None:
    named = tmp_path / "open.jsonl"
    named.write_text(json.dumps({"question": "Why?"}) + "\n")
    free = Problem(f"{named}:0", "Why?")
    ruled = [Problem(f"3-{i}", f"3, {i}?", "1") for i in range(2)]
    asked = judge(tmp_path / "j", *((problem, TEXT, ACCEPT) for problem in (*ruled, free)), (free, WRONG, REJECT))
    stages, results = evolved(sampling={"judge": asked, "open": [str(named)]})
    assert {row.problem_id for row in read_rows(stages.run.round(3) / "data" / "sft", SFTRow)} == {
        *(problem.id for problem in ruled),
        free.id,
    }
    (four,) = (record for record in results["rounds"] if record["round"] == 4)
    assert (four["coverage"]["value"], four["coverage"]["n"]) == (1.0, 2)
    assert four["sft"]["judgement"]["approved"] == 3


def test_the_judge_is_asked_of_many_solutions_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers none before it was asked about both."""
    asked: list[str] = []

    class Judge:
        async def grade(self, answer: str, problem: Problem) -> Verdict:
            asked.append(problem.id)
            async with asyncio.timeout(5):
                while len(asked) < 2:
                    await asyncio.sleep(0)
            return Verdict(True)

    @asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[Judge]:
        yield Judge()

    monkeypatch.setattr(approval, "open_grader", opened)
    rows, _, _ = curated(Noted(tmp_path / "run", recipe()), judge="judge:big")
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": {"other": ["none.jsonl"]}}, "there are no rows at none.jsonl"),
        ({"sampling": {"other": ["python:no_such:rows"]}}, "there is no module no_such"),
        ({"sampling": {"other": [str(Path(__file__))]}}, "test_r1.py, line 1 is not JSON"),
        ({"sampling": {"judge": "best"}}, "there is no grader best: name judge:POLICY"),
        ({"sampling": {"judge": "judge:no/where/at/all"}}, "there is no checkpoint at no/where/at/all"),
        ({"sampling": {"judge": "judge:python:no_such:Policy"}}, "there is no module no_such"),
        ({"sampling": {"judge": "judge:scripted:none.json"}}, "none.json"),
        ({"sampling": {"judge": "judge:http://host:1", "open": ["none.jsonl"]}}, "none.jsonl"),
        ({"pairs": ["none"]}, "there are no pairs at none"),
        ({"general": ["none.jsonl"]}, "none.jsonl"),
        ({"grpo": GRPO | {"rewards": [{"kind": "own", "function": "python:no_such:worth"}]}}, "no module no_such"),
        ({"grpo": GRPO | {"rewards": [{"kind": "language", "language": "xx"}]}}, "language `xx` is not known"),
    ],
)
def test_what_the_last_stages_need_is_looked_for_before_the_first(
    evolved: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PonderosaError, match=message):
        evolved(**changes)
    assert Noted.trainings == 0


def test_rows_that_ask_what_is_held_out_are_left_out(tmp_path: Path) -> None:
    prompts = [make_format("think").render(question).text for question in ("New?", "Held out?")]
    named = tmp_path / "mine.jsonl"
    rows = [{"prompt": prompt, "response": "r"} for prompt in [*prompts, "as it is"]]
    named.write_text("".join(json.dumps(row) + "\n" for row in rows))
    stages = Noted(tmp_path / "run", recipe())
    (kept,) = module.given_rows(stages, 1, "cold-start", [str(named)])
    assert [json.loads(line)["prompt"] for line in kept.read_text().splitlines()] == [prompts[0], "as it is"]
    assert module.given_rows(stages, 1, "cold-start", [str(kept)]) == [kept]
    assert len(named.read_text().splitlines()) == 3


def test_named_problems_have_ids_that_no_others_have(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for file in files:
        file.write_text(json.dumps({"id": "3-0", "question": f"In {file.name}?"}) + "\n")
    stages = Noted(tmp_path / "run", recipe())
    found = [*stages.fresh(3), *module.named_problems(stages, [str(file) for file in files])]
    assert len({problem.id for problem in found}) == 4


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        (1, {"problems": 1}, "a step takes 2 problems: give round 2 as many"),
        (4, {"problems": 1}, "give round 5 as many"),
        (2, {"data": {"mutual": {"policy": "p"}}}, "asks no second model"),
        (2, {"open": ["open.jsonl"]}, "name a `judge`"),
    ],
)
def test_recipes_that_cannot_work_are_refused_before_anything_is_trained(
    place: int, changes: dict[str, Any], message: str
) -> None:
    record = recipe().model_dump(mode="json")
    record["rounds"][place] |= changes
    with pytest.raises(PonderosaError, match=message):
        parse_recipe(record, "test")
