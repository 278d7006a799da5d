"""One chain that is made longer or cut short: budget forcing, as in s1 (arXiv 2501.19393, section 3.1).

Where the chain would end, it is told to wait and goes on; where its tokens are spent, it is told to give its answer.
"""

from dataclasses import dataclass, replace

from ponderosa.core import Outcome, PonderosaError, Sampling, StepFormat, Tree, boxed_answer, derive_seed
from ponderosa.core.plain_formats import BLANK_LINE
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, back_up, judge_ends, propose, score_paths
from ponderosa.search.sampling import chain_like, go_on

CLOSING = f"{BLANK_LINE}The final answer is \\boxed{{"


@dataclass(frozen=True, slots=True)
class LongChainSettings:
    """To the chain's first `waits` ends `wait` is added. After `tokens` it is brought to an answer, which may take
    `answer_tokens` more; None: when it ends by itself.
    """

    waits: int = 2
    wait: str = "Wait,"
    tokens: int | None = None
    answer_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    max_depth: int = 1000
    code_errors: int = 3
    max_tokens: int = 8192


def check(settings: LongChainSettings, format: StepFormat) -> None:
    """Raises `PonderosaError` for a format in which there is no place for second thoughts."""
    if not format.in_words:
        raise PonderosaError("second thoughts take a format whose steps are words: use --format text or fenced")


async def long_chain(
    problem_id: str, question: str, backends: Backends, settings: LongChainSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Every end that the chain came to is a rollout; the last one with an answer counts.

    Raises `PonderosaError` for a format in which there is no place for second thoughts.
    """
    check(settings, backends.format)
    tree = Tree(problem_id, question, seed=seed, index=index, method="long_chain")
    async with ending(tree, backends.budget):
        node = await _to_an_end(tree, 0, backends, settings)
        while _answered(tree, node) and len(tree.rollouts) <= settings.waits and _left(tree, settings) > 0:
            tree.nodes[node].outcome = None
            node = tree.add(node, f"{BLANK_LINE}{settings.wait}")
            node = await _to_an_end(tree, node, backends, settings)
        if backends.reward is not None:
            await score_paths(tree, [node], backends.reward)
    last = next((end for end in reversed(tree.rollouts) if _answered(tree, end)), None)
    if last is not None:
        tree.nodes[last].outcome = Outcome.ANSWERED  # also where it was told to wait and came to no other
        await judge_ends(tree, [last], backends)
        back_up(tree, last, tree.nodes[last].reward or 0.0)
    return tree


async def _to_an_end(tree: Tree, node: int, backends: Backends, settings: LongChainSettings) -> int:
    """Where the chain ends that goes on from `node`; with its tokens spent, at the answer that it is asked for."""
    ends, standing = [node], {node: [0]}
    while standing and (left := _left(tree, settings)) > 0:
        chain = chain_like(settings, 1, max_tokens=min(settings.max_tokens, left))
        standing = await go_on(tree, standing, ends, backends, chain)
    end = ends[0]
    if not _answered(tree, end) and _left(tree, settings) <= 0:
        end = await _answer(tree, end, backends, settings)
    tree.rollouts.append(end)
    return end


def _answered(tree: Tree, node: int) -> bool:
    return tree.nodes[node].answer is not None


def _left(tree: Tree, settings: LongChainSettings) -> int:
    """The tokens that the chain may still have."""
    return settings.max_tokens if settings.tokens is None else settings.tokens - tree.usage.generated_tokens


async def _answer(tree: Tree, node: int, backends: Backends, settings: LongChainSettings) -> int:
    """The node of the answer that the chain gives when it is asked for one."""
    tree.nodes[node].outcome = None
    prompt = backends.format.render(tree.question, tree.steps(node))
    prompt = replace(prompt, body=prompt.body + CLOSING)
    seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node), "answer")
    sampling = Sampling(settings.temperature, settings.top_p, max_tokens=settings.answer_tokens, stop=("\n",))
    (said,) = await propose(tree, node, 1, sampling, backends, seed, prompt)
    text = CLOSING + said.text
    answer = boxed_answer(text) or said.text.strip(" .$}")
    outcome = Outcome.ANSWERED if answer else Outcome.MALFORMED
    return tree.add(node, text, outcome=outcome, answer=answer or None, tokens=said.tokens)
