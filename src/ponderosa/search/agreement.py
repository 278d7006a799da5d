"""Does a second model agree? It is given the beginning of a solution, and ends it in its own way.

rStar's discriminator (arXiv 2408.06195, section 3.3), which chooses among solutions at test time (`mutual`), and which
can be asked of any solution: what a second model comes to as well is less likely to be right by luck, and no known
answer is needed to see it.
"""

import re
from dataclasses import dataclass

from ponderosa.core import Outcome, Tree
from ponderosa.search.answer import merge_answers
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import Backends, back_up
from ponderosa.search.sampling import SampleSettings, chains, graft

AGREEMENT = "agreement"
"""The kind of search that asks a second model about solutions; `Tree.method` of what it gives."""


@dataclass(frozen=True, slots=True)
class AgreementSettings:
    """How the second model is asked: `samples` ends of each beginning, those of `prefixes`, shares of a solution's
    words. A chain has at most `max_depth` steps of `max_tokens`.
    """

    prefixes: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
    samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_depth: int = 32
    code_errors: int = 1
    max_tokens: int = 1024

    @property
    def chain(self) -> SampleSettings:
        return SampleSettings(
            self.samples,
            self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_depth=self.max_depth,
            code_errors=self.code_errors,
            max_tokens=self.max_tokens,
        )


async def agree(
    problem_id: str,
    question: str,
    solution: str,
    answer: str,
    second: Backends,
    settings: AgreementSettings = AgreementSettings(),
    seed: int = 0,
    index: int = 0,
) -> Tree:
    """The ends that a second model, the policy of `second`, gives to `solution`, which comes to `answer`.

    They are the rollouts of the tree; one that comes to the same answer brings 1, any other 0 (see `agreement_of`).
    """
    tree = Tree(problem_id, question, seed=seed, index=index, method=AGREEMENT)
    async with ending(tree, second.budget):
        begun = await together(
            ends_from(tree, question, solution, share, second, settings.chain, f"from {share}")
            for share in settings.prefixes
        )
        for aside in begun:
            for end, agrees in zip(aside.rollouts, await same_answer(aside, answer, second), strict=True):
                place = graft(tree, aside, end)
                if tree.nodes[place].outcome is Outcome.ANSWERED:
                    tree.nodes[place].reward = float(agrees)
                back_up(tree, place, float(agrees))
                tree.rollouts.append(place)
    return tree


def agreement_of(tree: Tree) -> float:
    """The share of the ends in a tree of `agree` that come to the solution's answer; 0 if there are none."""
    return sum((tree.nodes[end].reward or 0.0) > 0 for end in tree.rollouts) / max(1, len(tree.rollouts))


async def ends_from(
    tree: Tree, question: str, solution: str, share: float, second: Backends, settings: SampleSettings, salt: str
) -> Tree:
    """The ends that `second` gives to the first `share` of a solution, in a tree of their own; `tree` pays for them."""
    return await chains(tree, question, (beginning(solution, share),), second, settings, salt)


async def same_answer(aside: Tree, answer: str, second: Backends) -> list[bool]:
    """For each end whether it comes to `answer`."""
    others = [aside.nodes[end].answer for end in aside.rollouts]
    return [
        other is not None and len(set(await merge_answers([answer, other], second.equivalent))) == 1 for other in others
    ]


def beginning(text: str, share: float) -> str:
    """So many of the words of a text, at least one."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    return text[: ends[max(1, round(share * len(ends))) - 1]] if ends else text
