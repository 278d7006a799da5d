from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import Kind, PonderosaError, Problem, make_format
from ponderosa.training import GRPOSettings
from ponderosa.training.grpo import Task
from ponderosa.training.rollout_source import RolloutSource
from ponderosa.training.step_records import troubles

PROBLEMS = [Problem("a", "How many?", "5"), Problem("b", "And then?", "6")]
HEADS = {problem.id: make_format("text").render(problem.question).text for problem in PROBLEMS}
SETTINGS = GRPOSettings(
    batch_size=4, group=2, rewards=[{"kind": "accuracy"}], generation={"engine": "vllm"}, rollout={"max_tokens": 99}
)


class VLLM:
    """A trainer whose vLLM gives these texts in turn, with a log-probability of -1 a token."""

    learns = True
    state = SimpleNamespace(global_step=0)
    accelerator = SimpleNamespace(process_index=0)

    def __init__(self, tokenizer: Any, texts: list[str]) -> None:
        self.processing_class = tokenizer
        self.eos_token_ids = [tokenizer.eos_token_id]
        self.texts = texts
        self.asked: list[Any] = []

    def _generate_single_turn(self, ids: Any, images: Any, fields: Any, n: int) -> Any:
        self.asked.append((ids, n))
        drawn = [self.processing_class(text)["input_ids"] for text in self.texts]
        return drawn, [[-1.0] * len(one) for one in drawn]


def test_what_vllm_draws_is_a_rollout_like_any_other(tokenizer: Any) -> None:
    trainer: Any = VLLM(tokenizer, ["It is \\boxed{5}.<eos>", "No.<eos>", "Then \\boxed{6}", "cut"])
    prompts = [HEADS["a"]] * 2 + [HEADS["b"]] * 2
    with RolloutSource(SETTINGS, Task(format="text"), PROBLEMS, seed=1) as source:
        given = source(prompts, trainer)
        counts = source.take_counts()
        assert not source.take_counts()
    assert trainer.asked == [([tokenizer(prompt)["input_ids"] for prompt in prompts], 2)]
    assert [one["accuracy"] for one in given["scores"]] == [1.0, 0.0, 1.0, 0.0]
    assert [tokenizer.decode(ids) for ids in given["completion_ids"]] == [
        "It is \\boxed{5}.<eos>",
        "No.<eos>",
        "Then \\boxed{6}",
        "cut",
    ]
    assert [len(ids) for ids in given["completion_ids"]] == [len(one) for one in given["logprobs"]]
    assert all(all(mask) for mask in given["env_mask"])
    assert (counts["rollouts"], counts["cut"], counts["unmarked"]) == (4, 2, 0)
    assert counts["generated"] == sum(map(len, given["completion_ids"]))


def test_a_stop_of_the_format_ends_a_rollout_and_what_follows_it_is_not_read(tokenizer: Any) -> None:
    answer = "<code>\nprint(5)\n<end_of_code>"
    trainer: Any = VLLM(tokenizer, [answer, answer])
    heads = [make_format("rstar").render("How many?").text] * 2
    with RolloutSource(SETTINGS, Task(format="rstar"), PROBLEMS, seed=1) as source:
        with pytest.raises(PonderosaError, match="vLLM cannot run code on the way"):
            source(heads, trainer)


def test_a_grader_without_a_verdict_masks_the_whole_rollout(tokenizer: Any) -> None:
    trainer: Any = VLLM(tokenizer, ["It is \\boxed{5}.<eos>", "It is \\boxed{6}.<eos>"])
    proof = [Problem("a", "How many?", "five", kind=Kind.PROOF)]  # only a model can judge it
    with RolloutSource(SETTINGS, Task(format="text"), proof, seed=1) as source:
        given = source([HEADS["a"]] * 2, trainer)
        assert troubles(source.take_counts()) == {"grader: no_reference": 2}
    assert given["scores"] == [{"accuracy": None}] * 2
    assert not any(any(mask) for mask in given["env_mask"])
