"""`ponderosa.search`: answers to questions, in this process."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, overload

from ponderosa.api.waiting import wait_for
from ponderosa.core import (
    PROOF,
    Executor,
    Grader,
    Policy,
    PonderosaError,
    Problem,
    Reward,
    StepFormat,
    close,
    make_format,
)
from ponderosa.search import (
    Aggregation,
    Backends,
    Budget,
    Method,
    SearchSettings,
    Solution,
    Watch,
    Watched,
    check_needs,
    find_method,
    find_search,
    search_all,
)
from ponderosa.search import search as search_one

WATCH_EVERY_S = 1 / 8

R = TypeVar("R")


@overload
def search(  # type: ignore[overload-overlap]  # a question, too, is an iterable of texts
    problems: str | Problem,
    *,
    policy: str | Policy | None = ...,
    reward: str | Reward | None = ...,
    discriminator: str | Policy | Reward | None = ...,
    outcome_reward: str | Reward | None = ...,
    method: str | Method | None = ...,
    aggregation: Aggregation | None = ...,
    settings: SearchSettings | None = ...,
    format: str | StepFormat | None = ...,
    grader: str | Grader | None = ...,
    executor: Executor | None = ...,
    budget: Budget | None = ...,
    seed: int = ...,
    concurrency: int = ...,
    watch: Watch | None = ...,
) -> Solution: ...
@overload
def search(
    problems: Iterable[str | Problem],
    *,
    policy: str | Policy | None = ...,
    reward: str | Reward | None = ...,
    discriminator: str | Policy | Reward | None = ...,
    outcome_reward: str | Reward | None = ...,
    method: str | Method | None = ...,
    aggregation: Aggregation | None = ...,
    settings: SearchSettings | None = ...,
    format: str | StepFormat | None = ...,
    grader: str | Grader | None = ...,
    executor: Executor | None = ...,
    budget: Budget | None = ...,
    seed: int = ...,
    concurrency: int = ...,
    watch: Watch | None = ...,
) -> list[Solution]: ...
def search(
    problems: str | Problem | Iterable[str | Problem],
    *,
    policy: str | Policy | None = None,
    reward: str | Reward | None = None,
    discriminator: str | Policy | Reward | None = None,
    outcome_reward: str | Reward | None = None,
    method: str | Method | None = None,
    aggregation: Aggregation | None = None,
    settings: SearchSettings | None = None,
    format: str | StepFormat | None = None,
    grader: str | Grader | None = None,
    executor: Executor | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    concurrency: int = 32,
    watch: Watch | None = None,
) -> Solution | list[Solution]:
    """Answers a question, or many at once, and gives the trees that were searched.

    Models, the grader and the method are named as on the command line, or are objects of your own with the methods of
    `core.protocols`. Objects are used from an event loop of this call, and are yours to close.

    Parameters
    ----------
    problems
        A question, a `Problem`, or several of them (`load_problems`), of which `concurrency` are searched at a time.
    policy
        Who proposes steps: a checkpoint, the address of a server, `scripted:FILE`, `python:module:attribute`, or a run
        of `evolve`, which brings its PPM and the settings of its search; by default the embedded model.
    reward
        Who values steps, named likewise.
    discriminator
        A second policy, for mutual reasoning, or `judge:POLICY`.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    method
        One of `search.METHODS`, `python:module:attribute` or a `Method`; by default `mcts` with a reward, else
        `majority`, and `greedy` of proofs.
    aggregation
        How step values become the score of a solution; by default as `settings` say.
    settings
        The settings of all methods.
    format
        How steps are written: one of `core.FORMATS`, or a `StepFormat`; by default as the run says, or `rstar`.
    grader
        Who says which answers are the same, for votes; by default as each problem's kind asks.
    executor
        Who runs programs; by default the sandbox.
    budget
        What the search of one problem may cost.
    seed
        The seed of the search.
    watch
        Called eight times a second with how far a search is.

    Returns
    -------
    Solution | list[Solution]
        One for a question, a list in the order of `problems` for several. One whose search a backend refused has no
        answer, and says why (`Solution.refused`).

    Raises
    ------
    PonderosaError
        For names that there are not, for what a method lacks, and (`BackendError`) if a backend cannot serve.
    """
    alone = isinstance(problems, str | Problem)
    asked = [problems] if isinstance(problems, str | Problem) else list(problems)
    found = [
        Problem("question" if alone else str(number), problem) if isinstance(problem, str) else problem
        for number, problem in enumerate(asked)
    ]
    for problem in found:
        if not problem.question.strip():
            raise PonderosaError("the question is empty" if alone else f"the question of problem {problem.id} is empty")
    models = _Models.named(policy, reward, discriminator, outcome_reward, settings, format)
    if aggregation:
        models = replace(models, settings=models.settings.aggregated(aggregation))
    chosen = method or ("mcts" if models.reward else "greedy" if models.format == PROOF else "majority")
    steps = make_format(models.format) if isinstance(models.format, str) else models.format
    kind = find_method(chosen)
    check_needs(str(chosen), kind.needs, lambda need: getattr(models, need))
    find_search(kind.search).check(kind.settings(models.settings, None), steps)  # before models are loaded
    with ExitStack() as stack:
        loaded = models.loaded(steps, stack)
        work = _search_all(found, chosen, loaded, steps, grader, executor, budget or Budget(), seed, concurrency, watch)
        solutions = wait_for(work)
    return solutions[0] if alone else solutions


@dataclass(frozen=True, slots=True)
class _Models:
    """Who serves in which role, by name or in person, the settings of searches, and how steps are written."""

    policy: Any
    reward: Any
    discriminator: Any
    outcome_reward: Any
    settings: SearchSettings
    format: str | StepFormat

    @classmethod
    def named(
        cls,
        policy: Any,
        reward: Any,
        discriminator: Any,
        outcome_reward: Any,
        settings: SearchSettings | None,
        format: str | StepFormat | None,
    ) -> "_Models":
        """With the embedded model, and with what a run of `evolve` brings, where they are meant."""
        from ponderosa.evolution.evolved import embedded, evolved
        from ponderosa.sapling import base_or

        policy = policy or embedded()
        if policy is None:
            raise PonderosaError(
                "which model? Name one with --model or policy=, a checkpoint or http://host:port; or make the embedded "
                "one: ponderosa evolve sapling-quick --out runs/demo"
            )
        run = None
        if isinstance(policy, str):
            policy = base_or(policy)
            run = evolved(policy)
        if run is not None:
            policy, reward = run.policy, reward or run.ppm
            guided = replace(run.recipe.search, rollouts=run.recipe.evaluation.rollouts)
            settings, format = settings or SearchSettings(mcts=guided), format or run.recipe.format
        return cls(policy, reward, discriminator, outcome_reward, settings or SearchSettings(), format or "rstar")

    def loaded(self, steps: StepFormat, stack: ExitStack) -> "_Models":
        """In person; what was loaded for it ends with `stack`."""
        from ponderosa.models import load_discriminator, load_policy, load_reward

        def load(model: Any, by_name: Callable[[str], Any]) -> Any:
            if not isinstance(model, str):
                return model
            made = by_name(model)
            stack.callback(close, made)
            return made

        def as_reward(name: str) -> Reward:
            return load_reward(name, steps)

        return _Models(
            load(self.policy, load_policy),
            load(self.reward, as_reward),
            load(self.discriminator, load_discriminator),
            load(self.outcome_reward, as_reward),
            self.settings,
            steps,
        )


async def _search_all(
    problems: Sequence[Problem],
    method: str | Method,
    models: _Models,
    format: StepFormat,
    grader: str | Grader | None,
    executor: Executor | None,
    budget: Budget,
    seed: int,
    concurrency: int,
    watch: Watch | None,
) -> list[Solution]:
    from ponderosa.evolution.grading import open_grader
    from ponderosa.execution import make_executor

    async with AsyncExitStack() as stack:
        runner: Executor = executor if executor is not None else await stack.enter_async_context(make_executor())
        if grader is None or isinstance(grader, str):
            grader = await stack.enter_async_context(open_grader(grader, runner))
        judge: Grader = grader
        backends = Backends(
            models.policy,
            runner,
            format,
            models.reward,
            discriminator=models.discriminator,
            outcome_reward=models.outcome_reward,
            budget=budget,
        )

        async def one(number: int) -> tuple[int, Solution]:
            problem, made = problems[number], models.settings
            equivalent = partial(judge.equivalent, problem=problem)
            watched = Watched(problem, method, made, equivalent)
            own = replace(backends, equivalent=equivalent)
            if watch:
                own = replace(own, watch=watched.extended)
            searched = search_one(problem.id, problem.question, method, own, made, seed)
            tree, choice = await (_followed(searched, watched, watch) if watch else searched)
            return number, Solution(problem, str(method), tree, choice)

        solutions = dict([each async for each in search_all(range(len(problems)), one, concurrency)])
    return [solutions[number] for number in range(len(problems))]


async def _followed(search: Coroutine[Any, Any, R], watched: Watched, watch: Watch) -> R:
    """The result of `search`, of which `watch` is told meanwhile; an error of `watch` ends it."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if (growth := await watched.growth()) is not None:
                watch(growth)

    searching, telling = asyncio.ensure_future(search), asyncio.ensure_future(tell())
    try:
        await asyncio.wait((searching, telling), return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
        return await searching
    finally:
        searching.cancel()
        telling.cancel()
        await asyncio.gather(searching, telling, return_exceptions=True)
