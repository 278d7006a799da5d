"""MCTS as rStar-Math's public code does it, move for move: github.com/microsoft/rStar, branch rStar-math, b3c1846.

It differs from the paper (see `mcts`) in what it counts and where it stops:

* Samples are distinct by text; the first that ends an answer displaces all others of its expansion.
* An unvisited child has an urgency of 0, not of infinity.
* A rollout does not stop at an answer. It walks on, one step at a time, until nothing below is alive, and at most
  `max_depth` steps; the first starts at the root, later ones at one of its children.
* A node without a live child is closed silently, one level a visit.
* A step fails if its output has the word "error" in it.
"""

from dataclasses import dataclass

from ponderosa.core import Completion, Outcome, PonderosaError, Sampling, StepFormat, StepKind, Tree, derive_seed
from ponderosa.core.format import END_OF_ANSWER, END_OF_CODE
from ponderosa.core.official_format import OfficialFormat
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, back_up, propose, score_last, unique, visit
from ponderosa.search.selection import select_child, uct_official


@dataclass(frozen=True, slots=True)
class OfficialSettings:
    """The values of `sft_sample_mcts.yaml`. `errors` consecutive failing steps end a trajectory; `width` is that of
    the beam search.
    """

    candidates: int = 12
    width: int = 8
    rollouts: int = 48
    max_depth: int = 16
    c: float = 2.0
    errors: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048


async def official_mcts(
    problem_id: str, question: str, backends: Backends, settings: OfficialSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Needs `OfficialFormat`. A terminal's reward is the judge's, or at test time the reward
    model's; where there is neither nothing is backed up. Raises `PonderosaError` for another format.
    """
    check(settings, backends.format)
    tree = Tree(problem_id, question, seed=seed, index=index, method="official_mcts")
    closed: set[int] = set()
    async with ending(tree, backends.budget):
        for _ in range(settings.rollouts):
            node: int | None = 0
            last = 0
            if tree.nodes[0].expanded:
                node = _select(tree, 0, settings.c, closed)
            for _ in range(settings.max_depth):
                if node is None:
                    break
                last = node
                if not tree.nodes[node].expanded:
                    await _expand(tree, node, backends, settings)
                    await _first_visits(tree, node, backends)
                    closed.update(child for child in tree.nodes[node].children if tree.nodes[child].terminal)
                node = _select(tree, node, settings.c, closed)
            tree.rollouts.append(last)
    return tree


def check(settings: OfficialSettings, format: StepFormat) -> OfficialFormat:
    """The format. Raises `PonderosaError` for another one."""
    if not isinstance(format, OfficialFormat):
        raise PonderosaError("the official searches read steps as the public code does: use --format rstar-official")
    return format


def _select(tree: Tree, node: int, c: float, closed: set[int]) -> int | None:
    child = select_child(tree, node, uct_official, c, closed)
    if child is None:
        closed.add(node)
    return child


async def _expand(tree: Tree, node: int, backends: Backends, settings: OfficialSettings) -> None:
    format = backends.format
    sampling = Sampling(settings.temperature, settings.top_p, max_tokens=settings.max_tokens, stop=format.step_stops)
    seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node))
    completions = await propose(tree, node, settings.candidates, sampling, backends, seed)
    for completion in _chosen(completions):
        await _add(tree, node, completion, backends, settings)
    tree.nodes[node].expanded = True


def _chosen(completions: list[Completion]) -> list[Completion]:
    distinct = unique(completions)
    final = [completion for completion in distinct if completion.stop == END_OF_ANSWER]
    return final[:1] or distinct


async def _add(tree: Tree, node: int, completion: Completion, backends: Backends, settings: OfficialSettings) -> None:
    format = check(settings, backends.format)
    step = format.parse(completion)
    parent = tree.nodes[node]
    child = tree.add(node, step.text, outcome=step.outcome, answer=step.answer)
    record = tree.nodes[child]
    record.tokens, record.prior = completion.tokens, completion.logprob
    if step.kind is StepKind.ANSWER:
        return
    if step.kind is not StepKind.TEXT:
        result = await backends.executor.run(format.program((*tree.steps(node), step.text)))
        tree.usage.executions += 1
        record.output = format.observation(result)
        shown = record.output
        if step.kind is StepKind.CODE_END:
            record.text = format.with_output(step.text, shown)
            shown = record.text[len(step.text) + 1 :]
        if "error" in record.output.lower():
            record.error = record.output
            record.errors = parent.errors + 1
            if record.errors >= settings.errors:
                text = step.text if END_OF_CODE in step.text else step.text + END_OF_CODE
                record.text = format.with_output(text, shown)  # wrapped twice where it was shown already
                record.outcome = Outcome.CODE_ERROR
    if record.outcome is None and record.depth > settings.max_depth:
        record.outcome = Outcome.TOO_DEEP


async def _first_visits(tree: Tree, node: int, backends: Backends) -> None:
    """Answers are backed up; what failed keeps -1 to itself, and a step its value. A judge's word needs no value."""
    judge, unvalued = backends.judge, []
    for child in tree.nodes[node].children:
        record = tree.nodes[child]
        if record.outcome is Outcome.ANSWERED and judge is not None:
            assert record.answer is not None
            record.reward = await judge(record.answer)
            back_up(tree, child, record.reward or 0.0)
        elif record.terminal and record.outcome is not Outcome.ANSWERED:
            visit(tree, child, -1.0)
        else:
            unvalued.append(child)
    if backends.reward is None or not unvalued:
        return
    await score_last(tree, unvalued, backends.reward)
    for child in unvalued:
        record = tree.nodes[child]
        assert record.value is not None
        if record.outcome is Outcome.ANSWERED:
            record.reward = record.value
            back_up(tree, child, record.value)
        else:
            visit(tree, child, record.value)


async def official_beam(
    problem_id: str, question: str, backends: Backends, settings: OfficialSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Step beam search: of all candidates of a step the `width` of highest value go on. An answer takes its place in
    the beam for good, and each one found narrows it by one.

    One defect is left out: once an answer is in the beam, the public code attaches completions to wrong parents.
    Raises `PonderosaError` for another format, and without a reward model.
    """
    check(settings, backends.format)
    if backends.reward is None:
        raise PonderosaError("the beam search needs a reward model")
    tree = Tree(problem_id, question, seed=seed, index=index, method="official_beam")
    beam, width = [0], settings.width
    async with ending(tree, backends.budget):
        for _ in range(settings.max_depth):
            live = [node for node in beam if not tree.nodes[node].terminal]
            if not live:
                break
            for node in live:
                await _expand(tree, node, backends, settings)
            found = [child for node in live for child in tree.nodes[node].children]
            await score_last(tree, found, backends.reward)
            width -= sum(tree.nodes[child].outcome is Outcome.ANSWERED for child in found)
            beam = sorted(found, key=lambda child: tree.nodes[child].value or 0.0, reverse=True)[: max(width, 0)]
    return tree
