"""What a search came to, and how it is followed, for every method."""

import asyncio
import io
import json

import pytest
from rich.console import Console

import ponderosa
from ponderosa.core import PonderosaError, Problem, RefusedError
from ponderosa.search import METHODS
from ponderosa.view.growth import draw_growth

from .words import BoxReward, NothingRuns, WordsPolicy


class StepByStep(WordsPolicy):
    """Thinks once, then answers."""

    def _text(self, prompt, rng):
        text = super()._text(prompt, rng)
        return text.partition("\n\n")[2] if "think" in prompt.body and text.startswith(" Let me think") else text


class Silent:
    async def propose(self, prompt, n, sampling, seed):
        await asyncio.Event().wait()


class Refusing:
    async def propose(self, prompt, n, sampling, seed):
        raise RefusedError("the question is too long")


def solve(method, **more):
    return ponderosa.search(
        "What is x?",
        policy=StepByStep(4),
        reward=BoxReward() if "reward" in METHODS[method].needs else None,
        discriminator=WordsPolicy(4) if "discriminator" in METHODS[method].needs else None,
        executor=NothingRuns(),
        method=method,
        format="text",
        **more,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_followed_to_its_answer(method, monkeypatch):
    monkeypatch.setattr("ponderosa.api.searching.WATCH_EVERY_S", 0.0005)
    growths = []
    solution = solve(method, watch=growths.append)
    assert solution.answer == "4"
    assert solution.steps[-1].endswith("\\boxed{4}.")
    assert growths
    assert {growth.best.answer for growth in growths} <= {None, "4"}
    spent = [growth.best.tree.usage.generated_tokens for growth in growths]
    assert spent == sorted(spent)
    assert spent[-1] <= solution.tree.usage.generated_tokens
    for growth in growths:
        shown = io.StringIO()
        Console(file=shown, width=80).print(draw_growth(growth, 1.0, 12))
        assert "best so far: " in shown.getvalue()
        assert len(shown.getvalue().splitlines()) <= 12


def test_several_problems_come_back_in_order():
    problems = [Problem(str(i), f"What is x, {i}?") for i in range(5)]
    solutions = ponderosa.search(problems, policy=WordsPolicy(4), executor=NothingRuns(), format="text", concurrency=2)
    assert [solution.problem for solution in solutions] == problems
    assert [solution.tree.problem_id for solution in solutions] == list("01234")


async def _inside():
    return solve("greedy")


def test_it_works_where_an_event_loop_runs():
    assert asyncio.run(_inside()).answer == "4"


def test_the_same_search_is_the_same_with_and_without_a_watcher():
    assert solve("mcts", seed=3).tree == solve("mcts", seed=3, watch=lambda growth: None).tree


def test_an_error_of_the_watcher_ends_the_search(monkeypatch):
    monkeypatch.setattr("ponderosa.api.searching.WATCH_EVERY_S", 0)

    def watch(growth):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ponderosa.search("What is x?", policy=Silent(), executor=NothingRuns(), format="text", watch=watch)


def test_a_refused_search_has_no_answer_and_says_why():
    solution = ponderosa.search("What is x?", policy=Refusing(), executor=NothingRuns(), format="text")
    assert (solution.answer, solution.confidence, solution.steps) == (None, 0.0, ())
    assert solution.refused == "the question is too long"
    assert json.loads(json.dumps(solution.to_json()))["error"] == "the question is too long"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "nonsense"}, "there is no method nonsense: choose one of greedy"),
        ({"method": "mcts"}, "mcts needs a reward model"),
        ({"format": "nonsense"}, "there is no step format nonsense"),
        ({"grader": "nonsense"}, "there is no grader nonsense"),
        ({"method": "long_chain", "format": "rstar"}, "take a format whose steps are words"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(given, message):
    policy = WordsPolicy(4)
    with pytest.raises(PonderosaError, match=message):
        ponderosa.search("What is x?", policy=policy, executor=NothingRuns(), **given)
    assert not policy.asked


def test_an_empty_question_is_named():
    with pytest.raises(PonderosaError, match="the question of problem b is empty"):
        ponderosa.search([Problem("a", "?"), Problem("b", " ")], policy=WordsPolicy(4))
