"""What is kept of a grader's verdicts."""

import asyncio

import pytest

from ponderosa.core import Graded, PonderosaError, Problem, RefusedError, Verdict
from ponderosa.evaluation.verdicts import Verdicts

PROBLEM = Problem("p", "Prove it.")


class Judge:
    """Says what its table says, and refuses what is not in it."""

    def __init__(self, **table: Verdict) -> None:
        self._table = table
        self.asked = 0

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        self.asked += 1
        await asyncio.sleep(0)
        if answer not in self._table:
            raise RefusedError("too long")
        return self._table[answer]

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        return a == b


def graded(judge: Judge, *answers: str) -> tuple[Verdicts, list[Verdict]]:
    verdicts = Verdicts(judge)

    async def go() -> list[Verdict]:
        return [await verdicts.grade(answer, PROBLEM) for answer in answers]

    return verdicts, asyncio.run(go())


def test_an_answer_is_graded_once_and_counted_once() -> None:
    judge = Judge(a=Verdict(True, judged=True), b=Verdict(False))
    verdicts, said = graded(judge, "a", "b", "a")
    assert [verdict.correct for verdict in said] == [True, False, True]
    assert judge.asked == 2
    assert verdicts.summary() == {"answers": 2, "judged": 1, "failed": {}}


def test_an_answer_that_comes_again_while_it_is_graded_waits_for_the_verdict() -> None:
    judge = Judge(a=Verdict(True))
    verdicts = Verdicts(judge)

    async def go() -> list[Verdict]:
        return await asyncio.gather(*(verdicts.grade(answer, PROBLEM) for answer in "aabb"))

    assert [verdict.correct for verdict in asyncio.run(go())] == [True, True, False, False]
    assert judge.asked == 2


def test_problems_that_ask_the_same_are_graded_each_by_its_own_tests() -> None:
    judge = Judge(a=Verdict(True))
    verdicts = Verdicts(judge)
    for name in "pq":
        asyncio.run(verdicts.grade("a", Problem(name, "Add.", meta={"tests": [{"stdin": name, "stdout": ""}]})))
    assert judge.asked == 2


def test_what_could_not_be_graded_is_counted_by_how_it_failed() -> None:
    unread = Verdict(False, Graded.UNREADABLE, judged=True)
    verdicts, said = graded(Judge(a=Verdict(True, judged=True), b=unread, c=unread), "a", "b", "c", "other")
    assert said[-1] == Verdict(False, Graded.REFUSED, "too long")
    assert verdicts.summary() == {"answers": 4, "judged": 3, "failed": {"unreadable": 2, "refused": 1}}


def test_a_grader_without_a_word_on_anything_is_an_error_and_not_nothing_right() -> None:
    verdicts, _ = graded(Judge(a=Verdict(False, Graded.UNREADABLE, "it mumbles", judged=True)), "a", "b")
    with pytest.raises(PonderosaError, match="no word on any of 2 answers: it mumbles"):
        verdicts.summary()


def test_answers_that_are_none_to_compare_are_wrong_and_no_error() -> None:
    verdicts, _ = graded(Judge(a=Verdict(False, Graded.TOO_LONG)), "a")
    assert verdicts.summary()["failed"] == {"too_long": 1}
    assert Verdicts(Judge()).summary() == {"answers": 0, "judged": 0, "failed": {}}
