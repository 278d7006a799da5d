"""What the stages of a distillation are asked for, by mode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution import distillation as module
from ponderosa.evolution.distillation import Distillation, teacher_of
from ponderosa.evolution.run import Run
from ponderosa.problems import read_problems
from ponderosa.training import DistillationSettings, OnPolicySettings, SFTSettings


class Recorder:
    """Stages that do nothing but note what is asked of them."""

    base = "student"

    def __init__(self, run: Any) -> None:
        self.run = run
        self.searched: list[tuple[Any, str]] = []
        self.trained: list[dict[str, Any]] = []
        self.written: list[int] = []
        self.checked: list[tuple[Any, ...]] = []

    def fresh(self, number: int) -> list[Problem]:
        return [Problem(f"{number}-1", "1?", "1")]

    async def solve(self, number: int, problems: Any, tries: list[Any], policy: str) -> list[Any]:
        self.searched.append((tries[0], policy))
        return []

    async def write_trajectories(self, number: int, forests: Any, settings: Any) -> None:
        self.written.append(number)

    def data(self, name: str, number: int, history: bool = False) -> list[Path]:
        return [Path(f"round-{number}/{name}")]

    async def train(self, number: int, role: str, **asked: Any) -> str:
        self.trained.append(asked)
        return f"student-{number}"


@pytest.fixture
def evolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def evolve(**settings: Any) -> Recorder:
        recipe = Distillation(policy="scripted:student", teacher="scripted:teacher", **settings)
        recorder = Recorder(SimpleNamespace(recipe=recipe, round=lambda number: tmp_path / f"round-{number}"))

        @asynccontextmanager
        async def opened(run: Any, observer: Any) -> AsyncIterator[Recorder]:
            yield recorder

        class Results:
            def __init__(self, stages: Any) -> None: ...

            async def of_base(self, policy: str) -> None: ...

            async def of_round(self, *what: Any) -> None: ...

            def finish(self, policy: str, ppm: None) -> dict[str, Any]:
                return {"policy": policy}

        monkeypatch.setattr(module.Stages, "open", opened)
        monkeypatch.setattr(module, "Results", Results)
        monkeypatch.setattr(module, "check_teacher", lambda *given: recorder.checked.append(given))
        assert asyncio.run(module.evolve(recorder.run, None)) == {  # type: ignore[arg-type]
            "policy": f"student-{len(recipe.rounds)}"
        }
        return recorder

    return evolve


def test_the_teachers_trajectories_train_the_student(evolved: Any) -> None:
    asked = evolved(rounds=[{}, {}], sampling={"n": 3, "temperature": 0.5})
    assert [(how.n, policy) for how, policy in asked.searched] == [(3, "scripted:teacher")] * 2
    assert asked.written == [1, 2]
    assert [one["start"] for one in asked.trained] == ["student", "student-1"]
    assert [one["rows"] for one in asked.trained] == [[Path("round-1/sft")], [Path("round-2/sft")]]
    assert all(isinstance(one["settings"], SFTSettings) and "teacher" not in one for one in asked.trained)


def test_a_teacher_that_does_not_sample_searches_trees(evolved: Any) -> None:
    asked = evolved(search={"rollouts": 5})
    assert [how.rollouts for how, _ in asked.searched] == [5]
    assert asked.checked == []  # whatever tokens it has, its texts are read


def test_its_distributions_train_the_student_on_the_same_trajectories(evolved: Any) -> None:
    asked = evolved(mode="distribution", distribution={"beta": 0.5})
    (trained,) = asked.trained
    assert asked.written == [1]
    assert isinstance(trained["settings"], DistillationSettings)
    assert (trained["settings"].beta, trained["teacher"]) == (0.5, "scripted:teacher")
    assert asked.checked == [("student", "scripted:teacher", ["1?"])]


def test_on_policy_nobody_searches_and_the_student_is_given_problems(evolved: Any) -> None:
    asked = evolved(mode="on-policy", format="text")
    (trained,) = asked.trained
    assert asked.searched == []
    assert isinstance(trained["settings"], OnPolicySettings)
    assert (trained["teacher"], trained["format"]) == ("scripted:teacher", "text")
    (problems,) = trained["rows"]
    assert [problem.id for problem in read_problems(problems)] == ["1-1"]


def test_a_run_teaches_by_its_last_policy(tmp_path: Path) -> None:
    recipe = Distillation(policy="p", teacher="t")
    with Run.open(tmp_path / "run", recipe):
        pass
    with pytest.raises(PonderosaError, match="has no policy that could teach"):
        teacher_of(str(tmp_path / "run"))
    for number in (1, 10, 2):
        (tmp_path / "run" / f"round-{number}" / "policy").mkdir(parents=True)
    with pytest.raises(PonderosaError, match=r"has not ended.*round-10/policy teach"):
        teacher_of(str(tmp_path / "run"))
    (tmp_path / "run" / "results.json").write_text('{"finished": true}')
    assert teacher_of(str(tmp_path / "run")) == str(tmp_path / "run" / "round-10" / "policy")
    with pytest.raises(PonderosaError, match="there is no checkpoint at"):
        teacher_of(str(tmp_path / "nowhere"))
