"""A language model as judge: what it is asked, how its word is read, and what it is worth."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import (
    CodeFormat,
    Completion,
    Ended,
    Graded,
    Kind,
    PonderosaError,
    Problem,
    Prompt,
    RefusedError,
    Reward,
    Sampling,
    Scored,
    Verdict,
)
from ponderosa.models import (
    Journal,
    JournaledPolicy,
    JournaledReward,
    JudgeGrader,
    JudgeReward,
    JudgeSettings,
    load_discriminator,
    load_grader,
    load_policy,
    load_reward,
    review_of,
    split_judge,
)
from ponderosa.models.judge import critique, question_of, steps_that_hold, verdict_in

from .conftest import saved
from .servers import Server

STEPS = ("2 + 2 = 4\n\n", "4 * 2 = 9\n\n", "so 9\n\n")
PROOF = Problem("p", "Prove that 2n is even.", kind=Kind.PROOF)


class Says:
    """Replies with the given texts, over and over, and keeps what it was asked."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.asked: list[tuple[Prompt, int, Sampling, int]] = []
        self.closed = False

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.asked.append((prompt, n, sampling, seed))
        texts = [self._texts[i % len(self._texts)] for i in range(n)]
        return [Completion(text, Ended.EOS, None, 5, 100, 100 if i else 40) for i, text in enumerate(texts)]

    def close(self) -> None:
        self.closed = True


def score(policy: Says, steps: Sequence[str] = STEPS, samples: int = 4, last_only: bool = False) -> Scored:
    judge = JudgeReward(policy, JudgeSettings(samples))
    (scored,) = asyncio.run(judge.score([("What?", tuple(steps))], last_only=last_only))
    return scored


def grade(policy: Says, problem: Problem = PROOF, samples: int = 4) -> Verdict:
    return asyncio.run(JudgeGrader(policy, JudgeSettings(samples)).grade("2n = 2 * n.", problem))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("judge:runs/policy", ("runs/policy", JudgeSettings())),
        ("judge:http://h:8000?model=m&api=chat", ("http://h:8000?model=m&api=chat", JudgeSettings())),
        ("judge?samples=8&temperature=1:http://h:8000?model=m", ("http://h:8000?model=m", JudgeSettings(8, 1.0))),
        ("judge?max_tokens=9:scripted:a?b", ("scripted:a?b", JudgeSettings(max_tokens=9))),
        ("http://judge:8000", None),
        ("scripted:judge", None),
        ("judges/policy", None),
    ],
)
def test_the_options_of_a_judge_are_not_those_of_its_policy(name: str, found: object) -> None:
    assert split_judge(name) == found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("judge", "names no model that judges: judge:POLICY"),
        ("judge:", "names no model that judges: judge:POLICY"),
        ("judge?model=m:http://h", "judge has no option model: choose of samples, temperature, max_tokens"),
        ("judge?samples=many:http://h", "the option samples is a whole number, not 'many'"),
        ("judge?samples=0:http://h", "a judge is asked at least once"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, message: str) -> None:
    with pytest.raises(PonderosaError, match=message.replace("?", r"\?")):
        split_judge(name)


def test_a_judge_proposes_nothing() -> None:
    with pytest.raises(PonderosaError, match="judges and proposes nothing"):
        load_policy("judge:runs/policy")


def test_the_steps_are_numbered_paragraphs_as_in_process_bench() -> None:
    text = critique("What?", STEPS)
    assert "[Math Problem]\n\nWhat?\n\n[Solution]\n\n<paragraph_0>\n2 + 2 = 4\n</paragraph_0>\n\n<paragraph_1>" in text
    assert text.endswith("Please put your final answer (i.e., the index) in \\boxed{}.")


@pytest.mark.parametrize(
    ("reply", "held"),
    [
        ("Paragraph 1 says 9. \\boxed{1}", 1),
        ("not \\boxed{2} but \\boxed{0}", 0),
        ("\\boxed{-1}", 3),
        ("\\boxed{\\text{paragraph_2}}", 2),
        ("$\\boxed{ $1$ }$", 1),
        ("\\boxed{3}", None),  # there is no such paragraph
        ("\\boxed{-2}", None),
        ("\\boxed{the first}", None),
        ("1", None),
        ("cut off at \\boxed{1", None),
        ("", None),
    ],
)
def test_the_first_wrong_step_is_read_from_the_last_box(reply: str, held: int | None) -> None:
    assert steps_that_hold(reply, 3) == held


@given(st.text() | st.text().map(lambda text: f"\\boxed{{{text}}}"), st.integers(1, 5))
def test_any_reply_is_read_or_is_not(reply: str, steps: int) -> None:
    assert steps_that_hold(reply, steps) in (None, *range(steps + 1))
    assert verdict_in(reply) in (None, True, False)


def test_a_step_is_worth_the_share_of_replies_by_which_all_up_to_it_is_right() -> None:
    policy = Says("\\boxed{1}", "\\boxed{-1}", "\\boxed{2}", "\\boxed{1}")
    assert score(policy).values == (1.0, 0.0, -0.5)
    assert score(policy, last_only=True).values == (-0.5,)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=8))
def test_values_never_rise_along_a_path(indices: list[int]) -> None:
    values = score(Says(*(f"\\boxed{{{i}}}" for i in indices)), "abcde", samples=len(indices)).values
    assert list(values) == sorted(values, reverse=True)
    assert all(-1 <= value <= 1 for value in values)


def test_replies_that_cannot_be_read_do_not_count() -> None:
    scored = score(Says("no idea", "\\boxed{1}", "\\boxed{7}", "\\boxed{1}"))
    assert (scored.values, scored.unread) == ((1.0, -1.0, -1.0), False)


def test_where_nothing_can_be_read_all_is_worth_nothing_and_marked() -> None:
    scored = score(Says("no idea"))
    assert (scored.values, scored.unread) == ((0.0, 0.0, 0.0), True)


def test_what_the_judge_read_and_wrote_is_counted() -> None:
    scored = score(Says("\\boxed{-1}"))
    assert (scored.tokens, scored.cached_tokens) == (4 * 105, 40 + 3 * 100)


def test_nothing_is_asked_about_no_steps() -> None:
    policy = Says("\\boxed{-1}")
    assert score(policy, ()) == Scored(())
    assert policy.asked == []


def test_a_path_is_asked_about_with_a_seed_of_its_own_whatever_else_is_asked() -> None:
    policy = Says("\\boxed{-1}")
    judge = JudgeReward(policy, JudgeSettings(2, 0.5, 64))
    paths = [("What?", STEPS[:1]), ("What?", STEPS), ("Which?", STEPS)]
    asyncio.run(judge.score(paths))
    asyncio.run(judge.score(paths[1:2]))
    seeds = [seed for *_, seed in policy.asked]
    assert len(set(seeds)) == 3
    assert seeds[3] == seeds[1]
    assert {(n, sampling) for _, n, sampling, _ in policy.asked} == {(2, Sampling(0.5, max_tokens=64))}


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("It holds. \\boxed{correct}", True),
        ("\\boxed{\\text{Incorrect}}", False),
        ("\\boxed{Correct.}", True),
        ("All three hold. \\boxed{accept}", True),
        ("\\boxed{\\text{Reject}}", False),
        ("\\boxed{not correct}", None),
        ("correct", None),
        ("\\boxed{}", None),
    ],
)
def test_a_verdict_is_one_word_in_the_last_box(reply: str, verdict: bool | None) -> None:
    assert verdict_in(reply) is verdict


def test_a_grader_says_what_more_than_half_of_the_readable_replies_say() -> None:
    right, wrong = "\\boxed{correct}", "\\boxed{incorrect}"
    assert grade(Says(right, right, wrong, "hm")) == Verdict(True, judged=True)
    assert grade(Says(right, wrong)) == Verdict(False, judged=True)


def test_where_no_verdict_can_be_read_that_is_the_verdicts_status() -> None:
    verdict = grade(Says("It is what it is."))
    assert (verdict.correct, verdict.status, verdict.judged) == (False, Graded.UNREADABLE, True)
    assert "It is what it is." in verdict.detail


def test_the_judge_sees_the_reference_where_there_is_one() -> None:
    alone = question_of("7", Problem("p", "What is 3 + 4?"))
    compared = question_of("7", Problem("p", "What is 3 + 4?", "seven"))
    proof = question_of("7", Problem("p", "What is 3 + 4?", "seven", kind=Kind.PROOF))
    assert "[Reference]" not in alone
    assert "[Problem]\n\nWhat is 3 + 4?\n\n[Reference]\n\nseven\n\n[Answer]\n\n7\n\n" in compared
    assert "says the same as the reference" in compared
    assert "every step of it holds" in proof


def test_a_review_asks_for_three_criteria_beside_the_reference() -> None:
    alone = review_of("So 7.", Problem("p", "What is 3 + 4?"))
    compared = review_of("So 7.", Problem("p", "What is 3 + 4?", "seven"))
    assert "reference" not in alone.lower()
    assert "[Problem]\n\nWhat is 3 + 4?\n\n[Reference]\n\nseven\n\n[Solution]\n\nSo 7.\n\n" in compared
    assert "says the same as the reference" in compared
    for text in (alone, compared):
        assert all(criterion in text for criterion in ("1. It is correct", "2. It is readable", "3. It is in one"))
        assert text.endswith("accept or reject, in \\boxed{}.")


def test_a_judge_is_asked_as_one_says() -> None:
    policy = Says("\\boxed{accept}")
    verdict = asyncio.run(JudgeGrader(policy, asks=review_of).grade("So.", PROOF))
    assert verdict == Verdict(True, judged=True)
    assert policy.asked[0][0].question == review_of("So.", PROOF)


@given(question=st.text(), answer=st.text())
def test_braces_in_questions_and_answers_stay_what_they_are(question: str, answer: str) -> None:
    text = question_of(answer, Problem("p", question))
    assert f"[Problem]\n\n{question}\n\n[Answer]\n\n{answer}\n\n" in text
    assert f"\n{answer.strip()}\n" in critique(question, (answer,))


def test_two_answers_are_one_for_a_judge_if_they_are_one_text() -> None:
    judge = JudgeGrader(Says("\\boxed{correct}"))
    assert asyncio.run(judge.equivalent("A proof.", "A proof.", PROOF))
    assert not asyncio.run(judge.equivalent("1/2", "0.5", PROOF))


def test_a_judge_is_loaded_with_its_policy_wherever_one_may_be_named(tmp_path: Path) -> None:
    made: dict[str, Says] = {}

    def load(name: str) -> Says:
        return made.setdefault(name, Says("\\boxed{-1}"))

    judges: list[Any] = [
        load_reward("judge:a", CodeFormat(), load),
        load_discriminator("judge:b", load),
        load_grader("judge:c", load),
    ]
    assert [type(judge) for judge in judges] == [JudgeReward, JudgeReward, JudgeGrader]
    assert isinstance(judges[1], Reward)
    assert load_discriminator("d", load) is made["d"]
    assert not isinstance(made["d"], Reward)
    for judge in judges:
        judge.close()
    assert [made[name].closed for name in "abcd"] == [True, True, True, False]
    with pytest.raises(PonderosaError, match="name judge:POLICY, python:module:attribute or scripted:FILE"):
        load_grader("best")


def test_a_journal_answers_for_a_judge_that_was_asked_before(tmp_path: Path) -> None:
    paths = [("What?", STEPS)]
    with Journal(tmp_path / "journal") as journal:
        first = asyncio.run(JudgeReward(JournaledPolicy(Says("hm"), journal)).score(paths))
        scores = asyncio.run(JournaledReward(JudgeReward(Says("hm")), journal).score(paths))
    with Journal(tmp_path / "journal") as journal:
        assert asyncio.run(JudgeReward(JournaledPolicy(None, journal)).score(paths)) == first
        assert asyncio.run(JournaledReward(None, journal).score(paths)) == scores == first
    assert first[0].unread


def test_a_judge_behind_a_server_is_asked_in_chat_for_all_samples_at_once() -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        replies = ["\\boxed{1}", "\\boxed{-1}", "hm"]
        turns = [{"role": "assistant", "content": reply} for reply in replies]
        choices = [{"index": i, "message": turn, "finish_reason": "stop"} for i, turn in enumerate(turns)]
        return {"choices": choices, "usage": {"prompt_tokens": 30, "completion_tokens": 9}}

    with Server(handler) as server:
        judge: Any = load_reward(f"judge?samples=3:{server.url}?api=chat", CodeFormat())
        try:
            (scored,) = asyncio.run(judge.score([("What?", STEPS)]))
        finally:
            judge.close()
        (body,) = server.bodies
    assert scored.values == (1.0, 0.0, 0.0)
    assert body["messages"] == [{"role": "user", "content": critique("What?", STEPS)}]
    assert (body["n"], body["temperature"]) == (3, 0.7)


def test_a_checkpoint_that_knows_nothing_of_judging_is_no_crash(
    llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    folder = saved(llama(max_position_embeddings=1024), tokenizer, tmp_path)
    judge: Any = load_reward(f"judge?samples=2&max_tokens=4:{folder}?device=cpu", CodeFormat())
    try:
        (scored,) = asyncio.run(judge.score([("What?", ("x",))]))
    finally:
        judge.close()
    assert (scored.values, scored.unread) == ((0.0,), True)


def test_what_its_policy_refuses_a_judge_refuses() -> None:
    class Refuses(Says):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            raise RefusedError("too long")

    with pytest.raises(RefusedError, match="too long"):
        grade(Refuses(""))
