"""What every search shares: candidates are proposed, parsed, executed and scored; what fails is kept as a failure.

rStar-Math, section 3.2: only nodes whose Python code executes stay alive.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from ponderosa.core import (
    Completion,
    Equivalent,
    Executor,
    Judge,
    Outcome,
    ParsedStep,
    Path,
    Policy,
    Prompt,
    Reward,
    Sampling,
    StepFormat,
    StepKind,
    Tree,
)
from ponderosa.search.budget import UNLIMITED, Budget, BudgetSpentError, ending
from ponderosa.search.concurrent import together

_OUTPUT = 1024
"""Characters of what a step on the way printed that its node keeps."""


@dataclass(frozen=True, slots=True)
class Backends:
    """Who serves a search, and what it may cost. `judge` is given when data are made and never at test time.

    `equivalent` says whether two answers are the same value, for votes within a search; the same text without it.
    `discriminator` is the second model of mutual reasoning: a policy, which completes what was begun, or a reward (a
    judge), which values what is whole. `outcome_reward` is a reward model of whole solutions (ORM) where another one
    values steps. `watch` is told of every request to the policy: the tree, or the part of one that is yet apart, and
    the node that is extended.
    """

    policy: Policy
    executor: Executor
    format: StepFormat
    reward: Reward | None = None
    judge: Judge | None = None
    discriminator: Policy | Reward | None = None
    outcome_reward: Reward | None = None
    equivalent: Equivalent | None = None
    budget: Budget = UNLIMITED
    watch: Callable[[Tree, int], None] = lambda tree, node: None


@dataclass(frozen=True, slots=True)
class Limits:
    """When a trajectory is given up: it has more than `depth` steps, or `errors` consecutive steps failed to run."""

    depth: int = 16
    errors: int = 1


async def propose(
    tree: Tree, node: int, n: int, sampling: Sampling, backends: Backends, seed: int, prompt: Prompt | None = None
) -> list[Completion]:
    """`n` continuations of `prompt`, by default the path to `node`, accounted for in the tree.

    Raises `BudgetSpentError`.
    """
    if backends.budget.spent(tree):
        raise BudgetSpentError
    backends.watch(tree, node)
    usage = tree.usage
    usage.policy_calls += 1
    asked = prompt or backends.format.render(tree.question, tree.steps(node))
    completions = await backends.policy.propose(asked, n, sampling, seed)
    if node == 0 and prompt is None:
        tree.nodes[0].tokens = completions[0].prompt_tokens if completions else 0
    for completion in completions:
        usage.prompt_tokens += completion.prompt_tokens
        usage.cached_tokens += completion.cached_tokens
        usage.generated_tokens += completion.tokens
    return completions


def unique(completions: Sequence[Completion]) -> list[Completion]:
    """The first completion of each text, in order."""
    first: dict[str, Completion] = {}
    for completion in completions:
        first.setdefault(completion.text, completion)
    return list(first.values())


ALIVE_OR_ANSWERED = (None, Outcome.ANSWERED)


async def expand(
    tree: Tree,
    node: int,
    n: int,
    sampling: Sampling,
    backends: Backends,
    limits: Limits,
    seed: int,
    valued: Collection[Outcome | None] = ALIVE_OR_ANSWERED,
) -> list[int]:
    """Adds the distinct candidates for the next step of `node` that it does not have; their indices, in order.

    Children that fail (malformed, error, too deep) are added with their outcome. With a reward model the children whose
    outcome is among `valued` get their `value`.
    """
    completions = await propose(tree, node, n, sampling, backends, seed)
    known = [tree.nodes[child].text for child in tree.nodes[node].children]  # of a simulation, see `playouts`
    distinct = [
        c for c in unique(completions) if not any(text.startswith(backends.format.parse(c).text) for text in known)
    ]
    tree.nodes[node].drawn += sum(completion.tokens for completion in completions)
    children = await together(_add(tree, node, c, backends, limits) for c in distinct)
    tree.nodes[node].expanded = True
    if backends.reward is not None:
        await score_last(tree, [c for c in children if tree.nodes[c].outcome in valued], backends.reward)
    return children


async def _add(tree: Tree, node: int, completion: Completion, backends: Backends, limits: Limits) -> int:
    step = backends.format.parse(completion)
    child = tree.add(node, step.text, outcome=step.outcome, answer=step.answer)
    tree.nodes[child].tokens = completion.tokens
    tree.nodes[child].prior = completion.logprob
    await verify(tree, child, step, backends, limits)
    return child


async def verify(
    tree: Tree,
    node: int,
    step: ParsedStep,
    backends: Backends,
    limits: Limits,
    before: Sequence[str] | None = None,
) -> None:
    """Runs the program up to `node`, whose step is `step` after those `before`, by default those of its path, and
    records the result in the node.

    A step on the way may take the executor's shortcuts. What the policy gets to see, and what an answer rests on, has
    been run whole and alone.
    """
    record = tree.nodes[node]
    parent = tree.nodes[record.parent]
    before = tree.steps(record.parent) if before is None else before
    if step.kind is StepKind.END:
        record.answer = "".join((*before, step.text)).strip() or None
        record.outcome = Outcome.ANSWERED if record.answer else Outcome.MALFORMED
    format, run = backends.format, backends.executor.run
    result = None
    if step.kind is StepKind.CODE:
        program = format.program((*before, step.text))
        result = await run(program, after=format.program(before), group=tree.id)
    elif step.kind is StepKind.CODE_END:
        result = await run(format.program((*before, step.text)))
    elif step.kind is StepKind.ANSWER and not parent.errors and not format.has_output(parent.text):
        program = format.program(before)
        result = await run(program) if program else None
    if result is not None:
        tree.usage.executions += 1
        record.error = result.error
        record.errors = parent.errors + 1 if result.error else 0
        if step.kind is StepKind.CODE_END:
            record.text = format.with_output(step.text, result.error or result.stdout)
        else:
            record.output = result.stdout[:_OUTPUT]
        if record.errors >= limits.errors or (result.error and step.kind is StepKind.ANSWER):
            record.outcome = Outcome.CODE_ERROR
    if record.outcome is None and record.depth >= limits.depth:
        record.outcome = Outcome.TOO_DEEP


async def score_last(tree: Tree, nodes: Sequence[int], reward: Reward) -> None:
    """Sets the `value` of each node to the reward model's score of the path that ends there."""
    if not nodes:
        return
    scores = await score(tree, [(tree.question, tree.steps(node)) for node in nodes], reward, last_only=True)
    for node, values in zip(nodes, scores, strict=True):
        tree.nodes[node].value = values[-1]


async def score_paths(tree: Tree, ends: Sequence[int], reward: Reward) -> list[tuple[float, ...]]:
    """Sets the `value` of every step on the paths to `ends`; the values of each path."""
    scores = await score(tree, [(tree.question, tree.steps(end)) for end in ends], reward)
    for end, values in zip(ends, scores, strict=True):
        for node, value in zip(tree.path(end), values, strict=True):
            tree.nodes[node].value = value
    return scores


async def score(
    tree: Tree, paths: Sequence[Path], reward: Reward, *, last_only: bool = False
) -> list[tuple[float, ...]]:
    """The values of `paths`, accounted for in the tree."""
    scored = await reward.score(paths, last_only=last_only)
    usage = tree.usage
    usage.reward_calls += 1
    for one in scored:
        usage.scored_steps += len(one.values)
        usage.reward_tokens += one.tokens
        usage.reward_cached_tokens += one.cached_tokens
        usage.unread_scores += one.unread
    return [one.values for one in scored]


async def judge_ends(tree: Tree, ends: Iterable[int], backends: Backends) -> None:
    """Sets the `reward` of each answered end to the judge's word, if there is a judge.

    Also in a search that was cut short, whatever its budget: what it found is what data are made of.
    """
    if backends.judge is None:
        return
    async with ending(tree, UNLIMITED):
        for end in ends:
            record = tree.nodes[end]
            if record.outcome is Outcome.ANSWERED and record.reward is None:
                record.reward = await backends.judge(record.answer or "")


def back_up(tree: Tree, node: int, reward: float) -> None:
    """q(s_i) <- q(s_i) + reward for the node and all above it, the root included (rStar-Math, equation 2)."""
    for index in (0, *tree.path(node)):
        visit(tree, index, reward)


def visit(tree: Tree, node: int, reward: float) -> None:
    """A visit that stays with the node."""
    tree.nodes[node].visits += 1
    tree.nodes[node].total += reward
