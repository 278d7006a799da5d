"""Sequential revision: an attempt, what is found about it, and another attempt that has seen both.

As in Snell et al. (arXiv 2408.03314, section 6), and Self-Refine (arXiv 2303.17651). What is found is what the
attempt's program failed with, which step a reward model doubts, or else no more than that it should be checked.
"""

from dataclasses import dataclass

from ponderosa.core import Outcome, Tree
from ponderosa.core.plain_formats import BLANK_LINE
from ponderosa.search.answer import Aggregation, merge_answers, trajectory_score
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, back_up, judge_ends, score_paths
from ponderosa.search.sampling import chain_like, chains, graft


@dataclass(frozen=True, slots=True)
class RevisionSettings:
    """At most `attempts`; fewer if one stands: the reward model's values come, by `aggregation`, to `enough`, or, where
    there is none, an answer is given twice in a row.
    """

    attempts: int = 4
    enough: float = 0.9
    aggregation: Aggregation = "min"
    temperature: float = 0.7
    top_p: float = 1.0
    max_depth: int = 32
    code_errors: int = 1
    max_tokens: int = 2048


async def revision(
    problem_id: str, question: str, backends: Backends, settings: RevisionSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Every attempt is a chain of its own from the question, and a rollout of the tree."""
    tree = Tree(problem_id, question, seed=seed, index=index, method="revision")
    chain = chain_like(settings, 1)
    asked = question
    async with ending(tree, backends.budget):
        while len(tree.rollouts) < settings.attempts:
            aside = await chains(tree, asked, (), backends, chain, f"attempt {len(tree.rollouts)}")
            end = graft(tree, aside, aside.rollouts[0])
            tree.rollouts.append(end)
            if backends.reward is not None:
                await score_paths(tree, [end], backends.reward)
            found = await _found(tree, backends, settings)
            if found is None:
                break
            asked = revised(question, "".join(tree.steps(end)), found)
    await judge_ends(tree, tree.rollouts, backends)
    for end in tree.rollouts:
        back_up(tree, end, tree.nodes[end].reward or 0.0)
    return tree


def revised(question: str, attempt: str, found: str) -> str:
    """The question with an earlier attempt and what was found about it."""
    parts = (
        question,
        f"An earlier attempt:\n{attempt.strip()}",
        f"What was found: {found}",
        "Solve the problem again, and put right what was wrong.",
    )
    return BLANK_LINE.join(parts)


async def _found(tree: Tree, backends: Backends, settings: RevisionSettings) -> str | None:
    """What is to be said of the last attempt; None if it stands."""
    end = tree.rollouts[-1]
    record = tree.nodes[end]
    if record.outcome is Outcome.CODE_ERROR:
        return f"its program fails with {record.error}"
    if record.outcome is not Outcome.ANSWERED:
        return "it ends without an answer"
    if backends.reward is not None:
        if trajectory_score(tree, end, settings.aggregation) >= settings.enough:
            return None
        doubted = min(tree.path(end), key=lambda node: tree.nodes[node].value or 0.0)
        return f"this step is doubtful:\n{tree.nodes[doubted].text.strip()}"
    answers = [tree.nodes[end].answer for end in tree.rollouts[-2:]]
    if len(answers) == 2 and answers[0] is not None:
        first, second = await merge_answers([answer or "" for answer in answers], backends.equivalent)
        if first == second:
            return None
    return "nothing yet; check every step"
