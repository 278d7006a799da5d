import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponderosa.core import BackendError, Completion, Ended, PonderosaError, Prompt, RefusedError, Sampling, derive_seed
from ponderosa.models import load_policy
from ponderosa.models.transformers.attention import KeyValueStore
from ponderosa.models.transformers.plain import PlainGeneration
from ponderosa.models.transformers.policy import TransformersPolicy
from ponderosa.models.transformers.prefix_cache import BLOCK

GREEDY = Sampling(temperature=0.0, max_tokens=24)
HOT = Sampling(temperature=1.0, max_tokens=24)

TEXTS = [
    "Ann has apples." * (1 + i % 5) + f" How many does Ben have?\n# Step {i}: x = {3 * i}\n" * (1 + i % 3)
    for i in range(24)
]


@pytest.fixture(scope="module")
def policy(policy_folder: Path) -> Iterator[TransformersPolicy]:
    policy = TransformersPolicy(policy_folder, max_rows=16)
    yield policy
    policy.close()


def propose(policy: TransformersPolicy, *requests: tuple[str, int, Sampling, int]) -> list[list[Completion]]:
    async def all_at_once() -> list[list[Completion]]:
        return await asyncio.gather(*(policy.propose(Prompt("", text), *rest) for text, *rest in requests))

    return asyncio.run(all_at_once())


def generated(model: Any, tokenizer: Any, text: str, max_tokens: int) -> str:
    """What `generate` says, one text at a time."""
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        output = model.generate(ids, max_new_tokens=max_tokens, do_sample=False, pad_token_id=0)
    text = tokenizer.decode(output[0, ids.shape[1] :])
    assert isinstance(text, str)
    return text.removesuffix(tokenizer.eos_token)


@pytest.fixture(scope="module")
def expected(llama: Callable[..., Any], tokenizer: Any) -> list[str]:
    model = llama()
    return [generated(model, tokenizer, text, 10 + i) for i, text in enumerate(TEXTS)]


def requests() -> list[tuple[str, int, Sampling, int]]:
    return [(text, 1 + i % 7, Sampling(0.0, max_tokens=10 + i), i) for i, text in enumerate(TEXTS)]


def test_greedy_texts_are_those_of_generate_whatever_else_is_in_the_batch(
    policy: TransformersPolicy, expected: list[str]
) -> None:
    for _ in range(2):  # the second time from the cache
        answers = propose(policy, *requests())
        assert [[c.text for c in answer] for answer in answers] == [
            [text] * (1 + i % 7) for i, text in enumerate(expected)
        ]
    assert len(set(expected)) > len(TEXTS) // 2  # the model does look at its prompt


def test_plain_batches_give_the_same_texts_and_samples(
    policy: TransformersPolicy, llama: Callable[..., Any], tokenizer: Any, expected: list[str]
) -> None:
    plain = TransformersPolicy(llama(), tokenizer, max_rows=16)
    plain._make_engine = lambda: PlainGeneration(plain._model, plain._text, 16)  # type: ignore[method-assign]
    plain._worker._make_engine = plain._make_engine
    answers = propose(plain, *requests())
    assert [answer[-1].text for answer in answers] == expected
    hot = [(text, 3, Sampling(0.8, top_p=0.9, top_k=20, max_tokens=12, logprobs=True), 5) for text in TEXTS[:6]]
    for ours, theirs in zip(propose(policy, *hot), propose(plain, *hot), strict=True):
        assert [c.text for c in ours] == [c.text for c in theirs]
        assert [c.logprob for c in ours] == pytest.approx([c.logprob for c in theirs], abs=1e-3)
    plain.close()


def test_more_samples_than_a_slot_or_the_batch_holds_are_all_there(
    policy: TransformersPolicy, expected: list[str]
) -> None:
    (answer,) = propose(policy, (TEXTS[0], 40, Sampling(0.0, max_tokens=10), 0))
    assert [c.text for c in answer] == expected[:1] * 40


def test_single_samples_in_wide_slots_take_no_more_memory_than_they_may(
    policy_folder: Path, expected: list[str]
) -> None:
    policy = TransformersPolicy(policy_folder, max_rows=16)
    widest: list[int] = []
    reserve = KeyValueStore.reserve

    def watched(store: KeyValueStore, slots: int = 0, *lengths: int, **named: int) -> None:
        widest.append(slots * store.width)
        reserve(store, slots, *lengths, **named)

    with patch.object(KeyValueStore, "reserve", watched):
        single = [(text, 1, Sampling(0.0, max_tokens=10 + i), i) for i, text in enumerate(TEXTS)]
        answers = propose(policy, (TEXTS[0], 8, Sampling(0.0, max_tokens=60), 0), *single, *single)
    policy.close()
    assert [answer[-1].text for answer in answers[1:]] == expected * 2
    assert 8 < max(widest) <= 2 * 16


def test_no_samples_are_no_work(policy: TransformersPolicy) -> None:
    assert propose(policy, (TEXTS[0], 0, GREEDY, 0)) == [[]]


def test_the_same_request_gives_the_same_samples_and_another_seed_others(policy: TransformersPolicy) -> None:
    first, again, other = (propose(policy, (TEXTS[1], 8, HOT, seed))[0] for seed in (1, 1, 2))
    assert [c.text for c in first] == [c.text for c in again]
    assert not {c.text for c in first} & {c.text for c in other}
    assert len({c.text for c in first}) == 8


def test_samples_follow_the_models_probabilities(policy: TransformersPolicy, llama: Any, tokenizer: Any) -> None:
    with torch.inference_mode():
        logits = llama()(torch.tensor([tokenizer(TEXTS[2])["input_ids"]])).logits[0, -1]
    probability, token = torch.softmax(logits / 2, -1).max(-1)
    answers = propose(policy, *((TEXTS[2], 500, Sampling(2.0, max_tokens=1), seed) for seed in range(4)))
    share = sum(c.text == tokenizer.decode([int(token)]) for answer in answers for c in answer) / 2000
    assert abs(share - float(probability)) < 5 * math.sqrt(float(probability) / 2000)


def test_log_probabilities_are_those_of_the_model(policy: TransformersPolicy, llama: Any, tokenizer: Any) -> None:
    model = llama()
    prompt = tokenizer(TEXTS[3])["input_ids"]
    sampling = Sampling(0.7, max_tokens=3, logprobs=True)
    checked = 0
    for completion in propose(policy, (TEXTS[3], 40, sampling, 0))[0]:
        new = tokenizer(completion.text)["input_ids"]
        if len(new) == completion.tokens and "\ufffd" not in completion.text:  # spelled as the tokenizer would
            with torch.inference_mode():
                logits = model(torch.tensor([prompt + new])).logits[0, len(prompt) - 1 : -1]
            logprob = torch.log_softmax(logits / 0.7, -1)[range(len(new)), new].sum()
            assert completion.logprob == pytest.approx(float(logprob), abs=1e-3)
            checked += 1
    assert checked > 3
    assert propose(policy, (TEXTS[3], 1, HOT, 0))[0][0].logprob is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(0, 23), st.integers(0, 8), st.integers(1, 8))
def test_a_text_is_trimmed_at_the_first_stop(
    policy: TransformersPolicy, expected: list[str], which: int, start: int, length: int
) -> None:
    stop = expected[which][start : start + length]
    if not stop or "\ufffd" in stop:
        return
    sampling = Sampling(0.0, max_tokens=10 + which, stop=("never to be seen", stop))
    completion = propose(policy, (TEXTS[which], 1, sampling, 0))[0][0]
    assert completion.text == expected[which][: expected[which].index(stop)]
    assert (completion.ended, completion.stop) == (Ended.STOP, stop)


def test_the_end_of_the_text_and_the_token_limit_are_told_apart(llama: Callable[..., Any], tokenizer: Any) -> None:
    text = generated(llama(), tokenizer, TEXTS[0], 10)
    third = tokenizer(text)["input_ids"][2]
    model = llama()
    model.generation_config.eos_token_id = [third]
    policy = TransformersPolicy(model, tokenizer)
    ((ended,), (cut,)) = propose(policy, (TEXTS[0], 1, GREEDY, 0), (TEXTS[0], 1, Sampling(0.0, max_tokens=2), 0))
    policy.close()
    assert (ended.text, ended.ended, ended.tokens) == (tokenizer.decode(tokenizer(text)["input_ids"][:2]), Ended.EOS, 3)
    assert (cut.text, cut.ended, cut.tokens) == (ended.text, Ended.LENGTH, 2)


def test_tokens_are_counted_and_those_that_were_shared(policy_folder: Path, tokenizer: Any) -> None:
    policy = TransformersPolicy(policy_folder)
    length = len(tokenizer(TEXTS[4])["input_ids"])
    first = propose(policy, (TEXTS[4], 2, GREEDY, 0))[0]
    assert [(c.prompt_tokens, c.cached_tokens) for c in first] == [(length, 0), (length, length)]
    assert all(c.tokens == 24 or c.ended is Ended.EOS for c in first)
    known = (length - 1) // BLOCK * BLOCK
    longer = TEXTS[4] + "y = 1\n"
    assert propose(policy, (longer, 1, GREEDY, 0))[0][0].cached_tokens in (length // BLOCK * BLOCK, known)
    assert propose(policy, (TEXTS[4], 1, GREEDY, 0))[0][0].cached_tokens == known
    policy.close()


def test_requests_that_begin_alike_compute_their_beginning_once(policy_folder: Path) -> None:
    policy = TransformersPolicy(policy_folder)
    shots = "Ann has 3 apples and gives Ben twice as many. " * 5
    answers = propose(policy, *((shots + text, 1, GREEDY, 0) for text in TEXTS[:8]))
    assert sorted(answer[0].cached_tokens > 0 for answer in answers) == [False] + [True] * 7
    policy.close()


def test_the_context_cuts_a_sample_off(policy: TransformersPolicy, tokenizer: Any) -> None:
    text = "Ann " * 200
    room = 256 - len(tokenizer(text)["input_ids"])
    completion = propose(policy, (text, 1, Sampling(0.0, max_tokens=1000, stop=()), 0))[0][0]
    assert (completion.tokens, completion.ended) == (room, Ended.LENGTH)


def test_a_prompt_that_fills_the_context_is_refused_and_others_are_served(policy: TransformersPolicy) -> None:
    async def both() -> list[Any]:
        requests = (policy.propose(Prompt("", text), 1, GREEDY, 0) for text in ("Ann " * 300, TEXTS[0]))
        return await asyncio.gather(*requests, return_exceptions=True)

    failed, served = asyncio.run(both())
    assert isinstance(failed, RefusedError)
    assert "leaves no room to generate in the model's context of 256" in str(failed)
    assert len(served) == 1


def test_a_request_whose_caller_gives_up_makes_room_for_others(policy: TransformersPolicy, expected: list[str]) -> None:
    async def give_up() -> list[Completion]:
        long = asyncio.create_task(policy.propose(Prompt("", "Ann"), 16, Sampling(1.0, max_tokens=240), 0))
        await asyncio.sleep(0.02)
        long.cancel()
        answer = await policy.propose(Prompt("", TEXTS[0]), 1, Sampling(0.0, max_tokens=10), 0)
        assert long.cancelled()
        return answer

    assert asyncio.run(give_up())[0].text == expected[0]


def test_an_error_of_the_model_fails_those_who_asked_and_nobody_later(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, expected: list[str]
) -> None:
    policy = TransformersPolicy(policy_folder)
    with monkeypatch.context() as patch:
        patch.setattr(type(policy._model), "forward", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(BackendError, match=r"failed: ZeroDivisionError"):
            propose(policy, (TEXTS[0], 1, GREEDY, 0))
    assert propose(policy, (TEXTS[0], 1, Sampling(0.0, max_tokens=10), 0))[0][0].text == expected[0]
    policy.close()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_out_of_memory_halves_the_batch_until_it_fits(
    policy_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    expected: list[str],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    policy = TransformersPolicy(policy_folder)
    forward = type(policy._model).forward
    sizes = []

    def limited(self: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["logits_to_keep"]))
        if sizes[-1] > 9:
            raise error
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(policy._model), "forward", limited)
    with caplog.at_level(logging.WARNING):
        answers = propose(policy, *((text, 1, Sampling(0.0, max_tokens=10 + i), 0) for i, text in enumerate(TEXTS)))
    policy.close()
    assert [answer[0].text for answer in answers] == expected
    assert max(sizes) > 9
    assert "out of memory" in caplog.text


def test_out_of_memory_for_a_single_request_is_an_error_with_advice(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = TransformersPolicy(policy_folder)

    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(policy._model), "forward", full)
    with pytest.raises(BackendError, match=r"out of memory with a single request of 3 samples: use a smaller model"):
        propose(policy, (TEXTS[0], 3, GREEDY, 0))
    policy.close()


def test_diverged_weights_are_an_error(llama: Callable[..., Any], tokenizer: Any) -> None:
    model = llama()
    with torch.no_grad():
        model.lm_head.weight[3] = float("nan")
    policy = TransformersPolicy(model, tokenizer)
    with pytest.raises(BackendError, match="its weights are damaged or its training diverged"):
        propose(policy, (TEXTS[0], 1, GREEDY, 0))
    policy.close()


def test_half_precision_runs_too(policy_folder: Path) -> None:
    policy = TransformersPolicy(policy_folder, dtype="bfloat16")
    (answer,) = propose(policy, (TEXTS[0], 4, HOT, 0))
    assert len({c.text for c in answer}) == 4
    policy.close()


def test_a_model_is_left_as_it_was(llama: Callable[..., Any], tokenizer: Any) -> None:
    model = llama()
    before = generated(model, tokenizer, TEXTS[0], 10)
    policy = TransformersPolicy(model, tokenizer)
    propose(policy, (TEXTS[0], 1, GREEDY, 0))
    policy.close()
    assert generated(model, tokenizer, TEXTS[0], 10) == before


def test_load_policy_serves_a_folder(policy_folder: Path, expected: list[str]) -> None:
    policy = load_policy(str(policy_folder))
    answer = asyncio.run(policy.propose(Prompt("", TEXTS[0]), 1, Sampling(0.0, max_tokens=10), derive_seed(0)))
    assert answer[0].text == expected[0]


def test_a_folder_that_is_missing_or_holds_no_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"there is no checkpoint at .*nowhere: name a folder"):
        load_policy(str(tmp_path / "nowhere"))
    with pytest.raises(PonderosaError, match=r"holds no checkpoint \(no config.json\)"):
        load_policy(str(tmp_path))


def test_a_model_without_its_tokenizer_is_one_clear_line(llama: Callable[..., Any]) -> None:
    with pytest.raises(PonderosaError, match="needs its tokenizer"):
        TransformersPolicy(llama())


def test_a_reward_model_is_no_policy(reward_folder: Path) -> None:
    with pytest.raises(PonderosaError, match="is a reward model: name a policy"):
        TransformersPolicy(reward_folder)
