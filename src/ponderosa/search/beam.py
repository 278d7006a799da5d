"""Step beam search and DVTS: at every step the candidates of highest value go on.

Beam search as in Snell et al. (arXiv 2408.03314, section 5.1); diverse verifier tree search (DVTS) as in Hugging Face's
"Scaling test-time compute": beams that are split into subtrees from the start, each of which keeps its own best.
"""

from dataclasses import dataclass

from ponderosa.core import Outcome, PonderosaError, Sampling, StepFormat, Tree, derive_seed
from ponderosa.search.answer import Aggregation, trajectory_score
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import Backends, Limits, expand, judge_ends
from ponderosa.search.sampling import merge


@dataclass(frozen=True, slots=True)
class BeamSettings:
    """`width` beams with `candidates` each, so that width * candidates steps are sampled at a time.

    The beams are shared among `subtrees`, which know nothing of each other: 1 is beam search, as many as `width` is
    DVTS. A beam is worth what its steps' values come to by `aggregation`. An answer ends its beam, and is a rollout.
    """

    width: int = 4
    candidates: int = 4
    subtrees: int = 1
    aggregation: Aggregation = "last"
    max_depth: int = 40
    code_errors: int = 1
    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 2048


def check(settings: BeamSettings, format: StepFormat) -> None:
    """Raises `PonderosaError` if the subtrees do not share evenly."""
    if settings.width % settings.subtrees:
        raise PonderosaError(f"{settings.width} beams cannot be shared evenly among {settings.subtrees} subtrees")


async def beam(
    problem_id: str, question: str, backends: Backends, settings: BeamSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Raises `PonderosaError` without a reward model, or if the subtrees do not share evenly."""
    if backends.reward is None:
        raise PonderosaError("beam search needs a reward model: it keeps the steps of highest value")
    check(settings, backends.format)
    tree = Tree(problem_id, question, seed=seed, index=index, method="beam")
    width = settings.width // settings.subtrees
    subtrees = [Tree(problem_id, question, seed=seed, index=index, usage=tree.usage) for _ in range(settings.subtrees)]
    async with ending(tree, backends.budget):
        await together(
            _descend(subtree, width, f"subtree {i}" if i else "", backends, settings)
            for i, subtree in enumerate(subtrees)
        )
    for subtree in subtrees:
        tree.rollouts += merge(tree, subtree)
    await judge_ends(tree, tree.rollouts, backends)
    return tree


async def _descend(tree: Tree, width: int, salt: str, backends: Backends, settings: BeamSettings) -> None:
    """Keeps the `width` best of the candidates and continues them, until each has ended."""
    candidates = await _candidates(tree, 0, width * settings.candidates, salt, backends, settings)
    while candidates and width:
        ranked = sorted(candidates, key=lambda node: trajectory_score(tree, node, settings.aggregation), reverse=True)
        kept = ranked[:width]
        live = [node for node in kept if not tree.nodes[node].terminal]
        width -= len(kept) - len(live)
        below = await together(_candidates(tree, node, settings.candidates, salt, backends, settings) for node in live)
        candidates = [child for children in below for child in children]


async def _candidates(
    tree: Tree, node: int, n: int, salt: str, backends: Backends, settings: BeamSettings
) -> list[int]:
    """The next steps of `node` that are worth keeping: those that are alive, and answers."""
    sampling = Sampling(
        settings.temperature, settings.top_p, max_tokens=settings.max_tokens, stop=backends.format.step_stops
    )
    seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node), *([salt] if salt else []))
    children = await expand(tree, node, n, sampling, backends, Limits(settings.max_depth, settings.code_errors), seed)
    return [child for child in children if tree.nodes[child].outcome in (None, Outcome.ANSWERED)]
