"""Every method in one visible dictionary: how it searches and how it chooses its answer."""

from dataclasses import dataclass, field
from typing import Literal

from ponderosa.core import Grader, Tree
from ponderosa.search.answer import ANSWER_RULES, AnswerRule, Choice
from ponderosa.search.expansion import Backends
from ponderosa.search.mcts import MCTSSettings, mcts
from ponderosa.search.sampling import SampleSettings, sample


@dataclass(frozen=True, slots=True)
class Method:
    """`kind` is the search that makes the tree, `answer` the rule that reads it."""

    kind: Literal["sample", "mcts"]
    answer: AnswerRule
    needs_reward: bool = False


METHODS: dict[str, Method] = {
    "greedy": Method("sample", ANSWER_RULES["majority"]),
    "majority": Method("sample", ANSWER_RULES["majority"]),
    "best_of_n": Method("sample", ANSWER_RULES["best_of_n"], needs_reward=True),
    "weighted": Method("sample", ANSWER_RULES["weighted"], needs_reward=True),
    "mcts": Method("mcts", ANSWER_RULES["best_terminal"], needs_reward=True),
}


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The settings of the searches that methods are made of; `aggregation` turns step values into a score."""

    sample: SampleSettings = field(default_factory=lambda: SampleSettings(n=16, temperature=1.0))
    mcts: MCTSSettings = field(default_factory=MCTSSettings)
    aggregation: str = "last"


async def search(
    problem_id: str,
    question: str,
    method: str,
    backends: Backends,
    grader: Grader,
    settings: SearchSettings,
    seed: int = 0,
    index: int = 0,
) -> tuple[Tree, Choice | None]:
    """Searches one problem by a method of `METHODS` and chooses the answer; None if the search found none."""
    chosen = METHODS[method]
    if chosen.kind == "mcts":
        tree = await mcts(problem_id, question, backends, settings.mcts, seed, index)
    else:
        chain = SampleSettings() if method == "greedy" else settings.sample
        tree = await sample(problem_id, question, backends, chain, seed, index)
    return tree, await chosen.answer(tree, grader, settings.aggregation)
