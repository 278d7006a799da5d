import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from test_launch import cancelled
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems import write_problems
from ponderosa.training import GRPOSettings, Launcher, LoRASettings, Progress, read_record, train_grpo
from ponderosa.training.grpo import Task, choose
from ponderosa.training.jobs import parse_job

PROBLEMS = [Problem(f"p{i}", f"{i}?", str(i)) for i in range(8)]
TEXT = Task(format="text")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rewards of one's own, where this process and forked ones find them."""
    (tmp_path / "tiny_rewards.py").write_text(
        "def share(rollouts):\n"
        "    return [one.text.count('a') / max(1, len(one.text)) for one in rollouts]\n"
        "def same(rollouts):\n    return [1.0 for _ in rollouts]\n"
        "def none(rollouts):\n    return [None for _ in rollouts]\n"
        "def huge(rollouts):\n    return [float('inf') if i else 0.0 for i, _ in enumerate(rollouts)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return "python:tiny_rewards"


def settings(reward: str, **changes: Any) -> GRPOSettings:
    given: dict[str, Any] = {
        "max_steps": 12,
        "epochs": 100,
        "batch_size": 32,
        "group": 8,
        "micro_batch_size": 32,
        "learning_rate": 0.03,
        "beta": 0.0,
        "precision": "float32",
        "rewards": [{"kind": "own", "function": reward}],
        "rollout": {"max_tokens": 8},
    }
    return GRPOSettings(**(given | changes))


@pytest.fixture
def trained(base: Path, own: str, tmp_path: Path) -> Any:
    progress: list[Progress] = []
    out = tmp_path / "policy"
    report = train_grpo(base, PROBLEMS, out, settings(f"{own}:share"), 1, progress.append, TEXT)
    return report, progress, out


def test_the_policy_learns_what_is_rewarded_and_says_how_it_goes(trained: Any, own: str) -> None:
    report, progress, out = trained
    assert report.reward_start < 0.1  # one token in 264
    assert report.reward_end > 3 * report.reward_start + 0.1
    assert report.rewards_end == {"share": pytest.approx(report.reward_end, abs=1e-5)}
    assert (report.steps, report.rollouts, report.problems) == (12, 12 * 32, 8)
    assert report.generated_tokens <= 12 * 32 * 8
    assert report.executions == 0

    assert [one.step for one in progress] == list(range(1, 13))
    assert progress[-1].figures["share"] == pytest.approx(report.reward_end, abs=1e-5)
    assert {"reward", "length", "zero_variance", "cut"} <= set(progress[-1].figures)
    assert progress[-1].note.startswith(f"reward {report.reward_end:.3f}")

    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, 13))
    assert sum(record["counts"]["generated"] for record in records) == report.generated_tokens
    record = read_record(out)
    assert record["kind"] == "grpo"
    assert record["report"]["reward_end"] == report.reward_end
    assert sorted(path.name for path in out.parent.iterdir() if path.name != "__pycache__") == [
        "policy",
        "tiny_rewards.py",
    ]


def test_the_log_probabilities_of_the_training_are_those_of_the_generation(
    base: Path, tokenizer: Any, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TRL computes for each token that a rollout drew, against what the engine drew it with."""
    from ponderosa.models.transformers import rows
    from ponderosa.training.group_trainer import GroupTrainer

    drawn: dict[tuple[int, ...], float] = {}
    finish = rows.Rows._ended

    def ended(self: Any, i: int) -> bool:
        tokens = tuple(self.tokens[i])
        done = finish(self, i)
        if done:
            drawn[tokens] = float(self.state["logprob"][i])
        return done

    monkeypatch.setattr(rows.Rows, "_ended", ended)
    add = rows.Rows.add

    def with_logprobs(self: Any, task: Any, samples: Any) -> None:
        add(self, task, samples)
        self.state["logprobs"] = True

    monkeypatch.setattr(rows.Rows, "add", with_logprobs)
    found: list[tuple[float, float]] = []
    per_token = GroupTrainer._get_per_token_logps_and_entropies

    def spied(self: Any, model: Any, input_ids: Any, attention_mask: Any, keep: int, *args: Any, **kwargs: Any) -> Any:
        result = per_token(self, model, input_ids, attention_mask, keep, *args, **kwargs)
        for ids, mask, logps in zip(input_ids[:, -keep:], attention_mask[:, -keep:], result[0], strict=True):
            tokens = tuple(ids[mask.bool()].tolist())
            if tokens in drawn:
                found.append((drawn[tokens], float(logps[mask.bool()].sum())))
        return result

    monkeypatch.setattr(GroupTrainer, "_get_per_token_logps_and_entropies", spied)
    one = settings(f"{own}:share", max_steps=2, rollout={"max_tokens": 8, "temperature": 0.7})
    train_grpo(base, PROBLEMS, tmp_path / "policy", one, 1, task=TEXT)
    assert len(found) > 32
    generated, learned = torch.tensor(found).T
    assert torch.allclose(generated, learned, atol=1e-3)


def test_groups_that_are_worth_the_same_teach_nothing_and_that_is_said(base: Path, own: str, tmp_path: Path) -> None:
    report = train_grpo(base, PROBLEMS, tmp_path / "policy", settings(f"{own}:same", max_steps=2), 1, task=TEXT)
    assert report.zero_variance == 1.0
    assert "worth the same (reward 1.00)" in report.warnings[0]
    before, after = (AutoModelForCausalLM.from_pretrained(path) for path in (base, tmp_path / "policy"))
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new)


def test_rewards_that_cannot_be_told_end_the_training_with_the_reason(base: Path, own: str, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="no rollout of 3 generations in a row could be rewarded"):
        train_grpo(base, PROBLEMS, tmp_path / "policy", settings(f"{own}:none"), 1, task=TEXT)
    assert not (tmp_path / "policy").exists()


def test_a_reward_that_is_no_number_is_one_clear_error(base: Path, own: str, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="gave inf: a number is wanted"):
        train_grpo(base, PROBLEMS, tmp_path / "policy", settings(f"{own}:huge"), 1, task=TEXT)


def test_adapters_learn_from_rollouts_too(base: Path, own: str, tmp_path: Path) -> None:
    adapted = settings(f"{own}:share", max_steps=6, learning_rate=0.1, lora=LoRASettings(rank=8), beta=0.001)
    report = train_grpo(base, PROBLEMS, tmp_path / "policy", adapted, 1, task=TEXT)
    assert report.reward_end > 1.5 * report.reward_start
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (base, tmp_path / "policy"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "proj" in name}


def test_several_steps_share_a_generation(base: Path, own: str, tmp_path: Path) -> None:
    shared = settings(f"{own}:share", max_steps=4, updates=2, iterations=2)
    report = train_grpo(base, PROBLEMS, tmp_path / "policy", shared, 1, task=TEXT)
    assert (report.steps, report.rollouts) == (4, 64)  # one generation of two batches, each learned from twice


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ([], "there are no problems"),
        ([Problem("a", "Why?")], "none of 1 problems has an answer"),
        ([Problem("a", "Why?", "1"), Problem("b", "Why?", "2")], "a step takes 4 problems, but there are 1 different"),
        ([Problem(f"p{i}", "Why? " * 99 + str(i), "1") for i in range(9)], "9 exceed `max_length` 200"),
    ],
)
def test_problems_that_teach_nothing_are_one_clear_error(
    problems: Sequence[Problem], message: str, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(PonderosaError, match=message):
        train_grpo(
            base, problems, tmp_path / "policy", GRPOSettings(batch_size=32, group=8, max_length=200), 1, task=TEXT
        )


def test_what_is_left_out_is_counted(tokenizer: Any) -> None:
    problems = [*PROBLEMS, Problem("again", "0?", "0"), Problem("open", "Why?"), Problem("long", "?" * 500, "1")]
    chosen = choose(problems, GRPOSettings(batch_size=32, group=8, max_length=200), TEXT, tokenizer)
    assert [problem.id for problem in chosen.problems.values()] == [problem.id for problem in PROBLEMS]
    assert (chosen.unanswered, chosen.repeated, chosen.too_long) == (1, 1, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 30, "group": 8}, "no multiple"),
        ({"rewards": []}, "nothing to learn from"),
        ({"rewards": [{"kind": "accuracy"}, {"kind": "accuracy"}]}, "one name"),
        ({"sharded": True}, "engine: vllm"),
        ({"loss": "cispo"}, "largest weight"),
        ({"rewards": [{"kind": "luck"}]}, "luck"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GRPOSettings(**wrong)


def test_a_field_that_trl_lacks_is_named(base: Path, own: str, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"TRL does not take these settings.*wings"):
        train_grpo(base, PROBLEMS, tmp_path / "p", settings(f"{own}:share", trl={"wings": 2}), 1, task=TEXT)


@pytest.mark.parametrize(
    "drawn",
    [{"save_steps": 2}, {"save_steps": 1, "updates": 2}, {"save_steps": 3, "iterations": 2}],
    ids=["a step", "two steps", "two passes"],
)
def test_a_training_that_was_stopped_goes_on_from_its_last_state(
    base: Path, own: str, tmp_path: Path, drawn: dict[str, int]
) -> None:
    """The rest is as if nothing had happened: the same rollouts, and the same weights.

    Where two steps share a generation, no state is saved between them.
    """
    saved = settings(f"{own}:share", max_steps=6, **drawn)

    class StoppedError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 6:
            raise StoppedError

    out = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        train_grpo(base, PROBLEMS, out, saved, 1, stop, TEXT)
    records = tmp_path / ".stopped.partial" / "scratch" / "metrics.jsonl"
    first, *rest = records.read_text().splitlines()
    counts = json.loads(first) | {"counts": json.loads(first)["counts"] | {"trouble/grader failed": 2}}
    records.write_text("\n".join([json.dumps(counts), *rest, ""]))  # as if a grader had failed then
    steps: list[int] = []
    again = train_grpo(base, PROBLEMS, out, saved, 1, lambda progress: steps.append(progress.step), TEXT)
    assert steps == [5, 6]
    assert again.troubles == {"grader failed": 2}
    whole = train_grpo(base, PROBLEMS, tmp_path / "whole", saved, 1, None, TEXT)
    assert again.generated_tokens == whole.generated_tokens
    assert again.reward_end == pytest.approx(whole.reward_end, abs=1e-6)
    first, second = (AutoModelForCausalLM.from_pretrained(path) for path in (out, tmp_path / "whole"))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert not (tmp_path / ".stopped.partial").exists()


def test_other_settings_do_not_go_on_from_what_was_stopped(base: Path, own: str, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_grpo(base, PROBLEMS, tmp_path / "p", settings(f"{own}:share", save_steps=1), 1, stop, TEXT)
    steps: list[int] = []
    other = settings(f"{own}:share", save_steps=1, max_steps=2, clip=0.3)
    train_grpo(base, PROBLEMS, tmp_path / "p", other, 1, lambda progress: steps.append(progress.step), TEXT)
    assert steps == [1, 2]


@pytest.fixture
def job(base: Path, own: str, tmp_path: Path) -> dict[str, Any]:
    write_problems(tmp_path / "problems.jsonl", PROBLEMS)
    return {
        "kind": "grpo",
        "start": str(base),
        "rows": str(tmp_path / "problems.jsonl"),
        "out": str(tmp_path / "out" / "policy"),
        "seed": 1,
        "settings": settings(f"{own}:share").model_dump(mode="json"),
        "format": "text",
    }


def test_held_out_problems_judge_and_keep_the_best(base: Path, own: str, tmp_path: Path) -> None:
    """Every step judged: the rewards of held-out rollouts are the loss, negated; the best step's weights are saved."""
    rewards = [{"kind": "own", "function": f"{own}:share", "weight": 2.0}, {"kind": "accuracy", "weight": 0.0}]
    more = {"held_out": 0.4, "evaluations": 100, "epochs": 8, "keep_best": True, "rewards": rewards}
    report = train_grpo(base, PROBLEMS, tmp_path / "policy", settings("", **more), 1, task=TEXT)
    assert (report.problems, report.held_out) == (4, 4)
    assert [one.step for one in report.evaluations] == list(range(1, report.steps + 1))
    assert report.rollouts == report.steps * 32  # those that judge are not counted
    first, best = report.evaluations[0], min(report.evaluations, key=lambda one: one.loss)
    assert report.kept == best
    assert best.loss < first.loss - 0.2
    assert all(-2 <= one.loss <= 0 and one.accuracy == 0 for one in report.evaluations)
    still = settings("", **more, learning_rate=1e-9, max_steps=1)
    again = train_grpo(tmp_path / "policy", PROBLEMS, tmp_path / "again", still, 1, task=TEXT)
    assert again.evaluations[0].loss == pytest.approx(best.loss, abs=1e-6)  # drawn with the same seeds


def test_held_out_problems_leave_enough_to_learn_from(tokenizer: Any) -> None:
    some = GRPOSettings(batch_size=64, group=8, max_length=200, held_out=0.5)
    with pytest.raises(
        PonderosaError, match="takes 8 problems, but there are 8 different ones, of which 4 are held out"
    ):
        choose(PROBLEMS, some, TEXT, tokenizer)


async def test_two_processes_share_the_rollouts_of_a_step(job: dict[str, Any]) -> None:
    progress: list[Progress] = []
    job["settings"] |= {"held_out": 0.3}  # 3 of 8: one process has one more to judge
    async with Launcher(processes=2) as launcher:
        report = await launcher.run(job, progress.append)
    assert (report["steps"], report["rollouts"]) == (12, 12 * 32)
    assert report["reward_end"] > 3 * report["reward_start"] + 0.1
    assert progress[-1].figures["reward"] == pytest.approx(report["reward_end"], abs=1e-5)

    record = read_record(Path(job["out"]))
    again = {name: value for name, value in record.items() if name not in ("report", "card")} | {"out": job["out"]}
    assert parse_job(again) == parse_job(job | {"rows": [job["rows"]]})  # what the card says to run


async def test_a_stopped_training_goes_on_from_its_last_step(job: dict[str, Any]) -> None:
    job["settings"] |= {"max_steps": 8}
    async with Launcher() as launcher:
        stopped = await cancelled(launcher, job, 4)
        steps: list[int] = []
        report = await launcher.run(job, lambda one: steps.append(one.step))
    assert steps[0] == stopped[-1].step + 1
    assert steps[-1] == 8
    assert report["rollouts"] == 8 * 32


@pytest.mark.slow
async def test_tool_integrated_rollouts_run_in_the_workers_of_a_training(tmp_path: Path) -> None:
    """The embedded base, whose programs the fenced executor runs in each of two forked processes."""
    from ponderosa.sapling import base_path, problems

    write_problems(tmp_path / "problems.jsonl", problems("train", 5, 0, 40))
    job = {
        "kind": "grpo",
        "start": str(base_path()),
        "rows": str(tmp_path / "problems.jsonl"),
        "out": str(tmp_path / "policy"),
        "seed": 1,
        "settings": {
            "max_steps": 2,
            "batch_size": 32,
            "group": 8,
            "micro_batch_size": 8,
            "max_length": 1024,
            "attention": "eager",
            "rollout": {"max_tokens": 300, "max_depth": 16},
        },
    }
    async with Launcher(processes=2) as launcher:
        report = await launcher.run(job)
    assert report["executions"] >= 60  # nearly every one of 64 rollouts gets to its program
    assert report["rewards_end"]["format"] > 0.9
    assert 0.2 < report["rewards_end"]["accuracy"] < 0.9
    assert (report["failed"], report["unmarked"], report["respelled"]) == (0, 0, 0)
    assert AutoTokenizer.from_pretrained(tmp_path / "policy").eos_token
