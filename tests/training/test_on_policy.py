from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import CodeFormat, PonderosaError, Problem
from ponderosa.problems import write_problems
from ponderosa.training import OnPolicySettings, Progress, SFTSettings, read_record, train_on_policy, train_sft
from ponderosa.training.grpo import RolloutSettings
from ponderosa.training.jobs import OnPolicyJob, parse_job

FAST = OnPolicySettings(
    epochs=20,
    batch_size=8,
    max_length=400,
    optimizer="muon",
    learning_rate=1e-2,
    muon_learning_rate=0.05,
    weight_decay=0,
    precision="float32",
    save_precision="float32",
    rollout=RolloutSettings(max_tokens=12, max_depth=2),
)
PROBLEMS = [Problem(str(i), f"{i} + 1?", str(i + 1)) for i in range(8)]


@pytest.fixture(scope="module")
def coder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers every problem by the same program."""
    rows = [
        {
            "prompt": CodeFormat().render(problem.question).text,
            "response": "\nprint(2)\n<end_of_code>\n<output>2<end_of_output>\n<answer>\\boxed{2}.\n<end_of_answer>",
        }
        for problem in PROBLEMS
    ]
    out = tmp_path_factory.mktemp("coder") / "policy"
    settings = FAST.model_dump(exclude={"beta", "softness", "rollout", "max_rows"}) | {"epochs": 150}
    train_sft(base, rows, out, SFTSettings(**settings), seed=1)
    return out


def test_the_student_comes_to_write_as_the_teacher_does(base: Path, coder: Path, tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"beta": 0.0})
    report = train_on_policy(base, coder, PROBLEMS, tmp_path / "out", settings, 0)
    assert report.loss_end < 0.5 * report.loss_start
    assert (report.rows, report.steps) == (8, 20)
    assert 20 * 8 < report.generated_tokens <= 20 * 8 * 2 * 12  # in two requests where a program was run
    record = read_record(tmp_path / "out")
    assert (record["kind"], record["teacher"], record["task"]["format"]) == ("on-policy", str(coder), "rstar")
    assert OnPolicySettings(**record["settings"]) == settings


def test_held_out_problems_judge_the_student_by_the_same_draws(base: Path, coder: Path, tmp_path: Path) -> None:
    """A student that hardly moves is worth the same whenever it is judged, and what it writes then is not counted."""
    still = {"epochs": 3, "batch_size": 3, "learning_rate": 1e-12, "muon_learning_rate": 1e-12}
    settings = FAST.model_copy(update=still | {"held_out": 0.25, "evaluations": 2})
    report = train_on_policy(base, coder, PROBLEMS, tmp_path / "out", settings, 0)
    assert (report.rows, report.held_out, report.steps) == (6, 2, 6)
    losses = [one.loss for one in report.evaluations]
    assert losses == pytest.approx([losses[0]] * 6, rel=1e-4)
    assert losses[0] == pytest.approx(report.loss_start, rel=0.2)  # other problems, but as random a student
    assert report.generated_tokens <= 6 * 3 * 2 * 12


def test_programs_are_run_and_what_they_print_is_not_compared(coder: Path, tmp_path: Path) -> None:
    settings = FAST.model_copy(
        update={"epochs": 1, "learning_rate": 1e-9, "muon_learning_rate": 1e-9}
        | {"rollout": RolloutSettings(max_tokens=40, temperature=0.05)}
    )
    compared: list[list[int]] = []

    from ponderosa.training.distillation_trainer import OwnTexts

    told = OwnTexts.rows

    def watched(self: Any, *args: Any) -> Any:
        rows = told(self, *args)
        compared.extend(row.learned for row in rows)
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnTexts, "rows", watched)
        report = train_on_policy(coder, coder, PROBLEMS, tmp_path / "out", settings, 0)
    assert report.executions == 8
    assert report.loss_start == pytest.approx(0, abs=1e-4)  # the teacher is the student
    # \nprint(2)\n<end_of_code> is drawn, \n<output>2<end_of_output> shown, and the answer drawn again
    assert all(row[:11] == [1] * 11 and row[11:15] == [0] * 4 and row[15] == 1 for row in compared)


def test_problems_come_from_files_too_and_long_ones_are_counted(base: Path, coder: Path, tmp_path: Path) -> None:
    write_problems(tmp_path / "problems.jsonl", [*PROBLEMS, Problem("long", "x" * 500, "1")])
    settings = FAST.model_copy(update={"epochs": 1})
    report = train_on_policy(base, coder, tmp_path / "problems.jsonl", tmp_path / "out", settings, 0)
    assert (report.rows, report.too_long) == (8, 1)

    record = read_record(tmp_path / "out")
    record = {name: value for name, value in record.items() if name not in ("report", "card")}
    job = parse_job(record | {"out": str(tmp_path / "again")})  # what the card says to run
    assert isinstance(job, OnPolicyJob)
    assert (job.rows, job.teacher, job.settings) == ((tmp_path / "problems.jsonl",), str(coder), settings)


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(base: Path, coder: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 6:
            raise Killed

    settings = FAST.model_copy(update={"epochs": 3.5, "batch_size": 4, "save_steps": 2})  # two steps an epoch
    whole = train_on_policy(base, coder, PROBLEMS, tmp_path / "whole", settings, 0)
    with pytest.raises(Killed):
        train_on_policy(base, coder, PROBLEMS, tmp_path / "killed", settings, 0, kill)
    seen: list[int] = []
    report = train_on_policy(base, coder, PROBLEMS, tmp_path / "killed", settings, 0, lambda one: seen.append(one.step))
    assert seen == [5, 6, 7]
    figures = ("steps", "tokens", "generated_tokens", "executions")
    assert [getattr(report, name) for name in figures] == [getattr(whole, name) for name in figures]
    assert report.loss_end == pytest.approx(whole.loss_end, abs=1e-6)


def test_nothing_to_learn_on_is_an_error_that_says_why(base: Path, coder: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="there are no problems"):
        train_on_policy(base, coder, [], tmp_path / "out", FAST, 0)
    settings = FAST.model_copy(update={"max_length": 5})
    with pytest.raises(PonderosaError, match="all 8 problems exceed `max_length` 5"):
        train_on_policy(base, coder, PROBLEMS, tmp_path / "out", settings, 0)


def test_an_executor_that_is_gone_ends_the_training_and_leaves_nothing(coder: Path, tmp_path: Path) -> None:
    from ponderosa.core import BackendError
    from ponderosa.training.distillation_trainer import OwnTexts

    class Gone:
        async def run(self, code: str, after: str | None = None, group: str | None = None) -> Any:
            raise BackendError("the executor is gone")

    async def gone(self: Any) -> None:
        self._executor = Gone()

    settings = FAST.model_copy(update={"rollout": RolloutSettings(max_tokens=40, temperature=0.05)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnTexts, "_open", gone)
        with pytest.raises(PonderosaError, match="no solution at step 1 could be written: the executor is gone"):
            train_on_policy(coder, coder, PROBLEMS, tmp_path / "out", settings, 0)
    assert list(tmp_path.iterdir()) == []
