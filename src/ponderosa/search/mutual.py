"""rStar's mutual reasoning (arXiv 2408.06195): MCTS over five kinds of actions, and a second model that must agree.

The policy searches with the actions a person has; what a solution is worth is how often the policy comes to its answer
(self-consistency), so that neither a reward model nor a known answer is needed. Then the *discriminator* is given the
beginning of each solution: one is kept if the discriminator's own ends come to its answer (see `answer.mutual_choice`).
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ponderosa.core import (
    Ended,
    Outcome,
    ParsedStep,
    PonderosaError,
    Prompt,
    Reward,
    Sampling,
    StepFormat,
    Tree,
    boxed_answer,
    derive_seed,
)
from ponderosa.core.plain_formats import BLANK_LINE
from ponderosa.search.actions import (
    FINAL,
    IN_WORDS,
    NEXT,
    Action,
    answered,
    ask_answer,
    ask_rephrased,
    ask_subquestion,
    context,
    subquestion_of,
)
from ponderosa.search.agreement import ends_from, same_answer
from ponderosa.search.answer import merge_answers
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import Backends, Limits, back_up, propose, score, unique, verify
from ponderosa.search.sampling import chain_like, chains
from ponderosa.search.selection import uct


@dataclass(frozen=True, slots=True)
class MutualSettings:
    """rStar's settings. `candidates` steps and sub-questions are drawn at a time, one of all else.

    What answers the question (all that is left, a last sub-question) is drawn `votes` times and brings the share of the
    most frequent answer; the answer of a sub-question is the most frequent of `part_votes`. A trajectory has at most
    `max_depth` actions. The discriminator gets each of `prefixes`, shares of a solution's words. `decompositions` are
    examples of problems broken into sub-questions, a text that stands before the question where one is asked for.
    """

    rollouts: int = 16
    actions: tuple[Action, ...] = tuple(Action)
    candidates: int = 3
    votes: int = 32
    part_votes: int = 10
    max_depth: int = 5
    c: float = 2.0
    code_errors: int = 1
    chain_steps: int = 32
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 40
    max_tokens: int = 1024
    prefixes: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
    discriminator_temperature: float = 1.0
    decompositions: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    """A child to be added. What is a `step` of the format is still to be verified."""

    action: Action
    text: str
    outcome: Outcome | None = None
    answer: str | None = None
    reward: float | None = None
    tokens: int = 0
    step: ParsedStep | None = None


def check(settings: MutualSettings, format: StepFormat) -> None:
    """Raises `PonderosaError` for actions that the format has no words for, and for none that may be the first."""
    lacking = [action for action in settings.actions if action in IN_WORDS]
    if lacking and not format.in_words:
        raise PonderosaError(
            f"the actions {', '.join(lacking)} take a format whose steps are words: use --format text or fenced, or "
            "let `actions` be step and finish alone"
        )
    if not set(settings.actions) & set(NEXT[""]):
        raise PonderosaError(f"mutual reasoning needs an action to begin with, one of {', '.join(NEXT[''])}")


async def mutual(
    problem_id: str, question: str, backends: Backends, settings: MutualSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem; with a discriminator each solution's `value` says how far that agreed, in [-1, 1].

    A solution that a single step came to brings 0, as one that failed does. Raises `PonderosaError` for actions that
    the format has no words for.
    """
    check(settings, backends.format)
    tree = Tree(problem_id, question, seed=seed, index=index, method="mutual")
    search = _Search(tree, backends, settings)
    async with ending(tree, backends.budget):
        for rollout in range(settings.rollouts):
            end = await search.descend(random.Random(derive_seed(seed, problem_id, index, f"rollout {rollout}")))
            back_up(tree, end, tree.nodes[end].reward or 0.0)
            tree.rollouts.append(end)
        if backends.discriminator is not None:
            await _discriminate(tree, backends, settings)
    return tree


@dataclass(frozen=True, slots=True)
class _Search:
    tree: Tree
    backends: Backends
    settings: MutualSettings

    async def descend(self, rng: random.Random) -> int:
        """One rollout: to an end, at each node to a child that was not tried yet, else to that of highest UCT."""
        tree, node = self.tree, 0
        while not tree.nodes[node].terminal:
            if not tree.nodes[node].expanded:
                await self._expand(node)
            children = tree.nodes[node].children
            if not children:
                tree.nodes[node].outcome = Outcome.NO_VALID_CHILD
            elif untried := [child for child in children if not tree.nodes[child].visits]:
                node = rng.choice(untried)
            else:
                node = max(children, key=lambda child: uct(tree, child, self.settings.c))
        return node

    async def _expand(self, node: int) -> None:
        """Adds what each action that may follow gives, in the order of the actions."""
        tree, settings = self.tree, self.settings
        tries = {
            Action.STEP: self._steps,
            Action.FINISH: self._finish,
            Action.SUBQUESTION: self._subquestions,
            Action.REANSWER: self._reanswer,
            Action.REPHRASE: self._rephrase,
        }
        allowed = [action for action in NEXT[tree.nodes[node].action] if action in settings.actions]
        made = await together(tries[action](node) for action in allowed)
        added: list[tuple[int, ParsedStep]] = []
        for one in (one for some in made for one in some):
            child = tree.add(
                node,
                one.text,
                action=one.action,
                outcome=one.outcome,
                answer=one.answer,
                reward=one.reward,
                tokens=one.tokens,
            )
            if one.step is not None:
                added.append((child, one.step))
        limits = Limits(settings.max_depth, settings.code_errors)
        _, before = context(tree, node)
        await together(verify(tree, child, step, self.backends, limits, before) for child, step in added)
        for record in map(tree.nodes.__getitem__, tree.nodes[node].children):
            if record.outcome is None and record.depth >= settings.max_depth:
                record.outcome = Outcome.TOO_DEEP
        tree.nodes[node].expanded = True

    async def _ask(
        self, node: int, prompt: Prompt, n: int, stops: tuple[str, ...], *salts: str
    ) -> list[tuple[str, int]]:
        """`n` texts that continue `prompt`, and their tokens; those that were cut off or are empty left out."""
        sampling = self._sampling(stops)
        seed = self._seed(node, *salts)
        completions = await propose(self.tree, node, n, sampling, self.backends, seed, prompt)
        whole = (c for c in completions if c.ended is not Ended.LENGTH)
        return [(c.text.strip(), c.tokens) for c in whole if c.text.strip()]

    def _sampling(self, stops: tuple[str, ...]) -> Sampling:
        settings = self.settings
        return Sampling(settings.temperature, settings.top_p, settings.top_k, settings.max_tokens, stops)

    def _seed(self, node: int, *salts: str) -> int:
        tree = self.tree
        return derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node), *salts)

    async def _steps(self, node: int) -> list[_Made]:
        question, steps = context(self.tree, node)
        format = self.backends.format
        completions = await propose(
            self.tree,
            node,
            self.settings.candidates,
            self._sampling(format.step_stops),
            self.backends,
            self._seed(node, Action.STEP),
            format.render(question, steps) if node else None,
        )
        parsed = [(format.parse(c), c.tokens) for c in unique(completions)]
        return [_Made(Action.STEP, s.text, s.outcome, s.answer, tokens=tokens, step=s) for s, tokens in parsed]

    async def _finish(self, node: int) -> list[_Made]:
        question, steps = context(self.tree, node)
        aside = await self._chains(node, Action.FINISH, question, steps, self.settings.votes)
        tokens = sum(record.tokens for record in aside.nodes[1:])
        end, share = await self._elected(aside)
        if end is None:
            return [_Made(Action.FINISH, "", Outcome.MALFORMED, tokens=tokens)]
        text = "".join(aside.steps(end)[len(steps) :])
        return [_Made(Action.FINISH, text, Outcome.ANSWERED, aside.nodes[end].answer, share, tokens)]

    async def _subquestions(self, node: int) -> list[_Made]:
        question, steps = context(self.tree, node)
        prompt = ask_subquestion(question, steps, self.settings.decompositions)
        asked = await self._ask(node, prompt, self.settings.candidates, ("\n",), Action.SUBQUESTION)
        distinct = dict(asked)
        return await together(self._answered(node, text, tokens) for text, tokens in distinct.items())

    async def _answered(self, node: int, subquestion: str, tokens: int) -> _Made:
        """The sub-question with its most frequent answer."""
        question, steps = context(self.tree, node)
        final = subquestion.lower().startswith(FINAL.lower())
        votes = self.settings.votes if final else self.settings.part_votes
        prompt = ask_answer(question, steps, subquestion, self.settings.decompositions)
        texts = await self._ask(node, prompt, votes, (BLANK_LINE,), Action.SUBQUESTION, subquestion)
        tokens += sum(cost for _, cost in texts)
        keys = [(boxed_answer(text) if final else _part_answer(text)) for text, _ in texts]
        found = [(text, key) for (text, _), key in zip(texts, keys, strict=True) if key]
        if not found:
            return _Made(Action.SUBQUESTION, answered(subquestion, ""), Outcome.MALFORMED, tokens=tokens)
        first, count = await self._most_frequent([key for _, key in found])
        text, key = found[first]
        outcome, answer, reward = (Outcome.ANSWERED, key, count / votes) if final else (None, None, None)
        return _Made(Action.SUBQUESTION, answered(subquestion, text), outcome, answer, reward, tokens)

    async def _reanswer(self, node: int) -> list[_Made]:
        question, _ = context(self.tree, node)
        subquestion = subquestion_of(self.tree.nodes[node].text)
        alone = f"{question}{BLANK_LINE}{subquestion}"
        aside = await self._chains(node, Action.REANSWER, alone, (), self.settings.part_votes)
        tokens = sum(record.tokens for record in aside.nodes[1:])
        end, _ = await self._elected(aside)
        return (
            []
            if end is None
            else [_Made(Action.REANSWER, answered(subquestion, "".join(aside.steps(end))), tokens=tokens)]
        )

    async def _rephrase(self, node: int) -> list[_Made]:
        texts = await self._ask(node, ask_rephrased(self.tree.question), 1, (), Action.REPHRASE)
        return [_Made(Action.REPHRASE, text, tokens=tokens) for text, tokens in texts]

    async def _chains(self, node: int, action: Action, question: str, steps: Sequence[str], n: int) -> Tree:
        chain = chain_like(self.settings, n, max_depth=self.settings.chain_steps)
        return await chains(self.tree, question, steps, self.backends, chain, f"{action} {self.tree.tag(node)}")

    async def _elected(self, aside: Tree) -> tuple[int | None, float]:
        """The first end with the most frequent answer, and that answer's share of all chains."""
        ends = [end for end in aside.rollouts if aside.nodes[end].outcome is Outcome.ANSWERED]
        if not ends:
            return None, 0.0
        first, count = await self._most_frequent([aside.nodes[end].answer or "" for end in ends])
        return ends[first], count / len(aside.rollouts)

    async def _most_frequent(self, answers: Sequence[str]) -> tuple[int, int]:
        """Where the most frequent answer first stands, and how often it was given."""
        merged = await merge_answers(answers, self.backends.equivalent)
        winner, count = Counter(merged).most_common(1)[0]
        return merged.index(winner), count


async def _discriminate(tree: Tree, backends: Backends, settings: MutualSettings) -> None:
    """Sets the `value` of every solution, in [-1, 1], to the share of its beginnings from which the discriminator comes
    to its answer as well, or to the word of one that judges it. Where all solutions agree there is nothing to tell
    apart.
    """
    ends = list(tree.answered())
    merged = await merge_answers([tree.nodes[end].answer or "" for end in ends], backends.equivalent)
    if len(set(merged)) < 2:
        return
    if isinstance(backends.discriminator, Reward):
        paths = [(tree.question, context(tree, end)[1]) for end in ends]
        for end, values in zip(ends, await score(tree, paths, backends.discriminator, last_only=True), strict=True):
            tree.nodes[end].value = values[-1]
        return
    assert backends.discriminator is not None
    second = replace(backends, policy=backends.discriminator)
    before = tree.usage.generated_tokens
    try:
        shares = await together(_agreement(tree, end, second, settings) for end in ends)
    finally:
        tree.usage.discriminator_tokens = tree.usage.generated_tokens - before
    for end, share in zip(ends, shares, strict=True):
        tree.nodes[end].value = 2 * share - 1


async def _agreement(tree: Tree, end: int, second: Backends, settings: MutualSettings) -> float:
    question, steps = context(tree, end)
    chain = chain_like(
        settings, 1, max_depth=settings.chain_steps, temperature=settings.discriminator_temperature, top_p=1.0, top_k=0
    )
    answer, solution = tree.nodes[end].answer or "", "".join(steps)
    agreed = 0
    for share in settings.prefixes:
        aside = await ends_from(tree, question, solution, share, second, chain, f"from {share} of {tree.tag(end)}")
        agreed += sum(await same_answer(aside, answer, second))
    return agreed / len(settings.prefixes)


_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")


def _part_answer(text: str) -> str:
    """What a sub-question's answer comes to: what stands in a box, after "the answer is", or the last number."""
    if boxed := boxed_answer(text):
        return boxed
    _, said, rest = text.lower().rpartition("the answer is")
    if said and rest.strip(" .:\n"):
        return rest.strip(" .:\n")
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else text
