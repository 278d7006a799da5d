"""`ponderosa.evaluate`: methods on the same problems and models, at several budgets."""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ponderosa.api.waiting import wait_for
from ponderosa.core import PonderosaError, Problem
from ponderosa.evaluation.accounting import Sizes
from ponderosa.evolution.eval_recipe import EvalRecipe, evaluation_recipe, is_recipe
from ponderosa.evolution.evaluating import PARTS, EvalRun, results
from ponderosa.evolution.evaluating import evaluate as measure
from ponderosa.evolution.evolved import evolved
from ponderosa.evolution.run import Observer, write_json, write_whole
from ponderosa.evolution.settings import find_recipe, parse
from ponderosa.models.size import parameters
from ponderosa.problems import load_problems
from ponderosa.sapling import base_or
from ponderosa.search import METHODS, Aggregation, SampleSettings
from ponderosa.view import accounting, curves
from ponderosa.view.figures import save
from ponderosa.view.progress import Progress

RESULTS = "results.json"
TABLE = "table.md"
PLAIN = ("greedy", "majority", "best_of_n", "weighted", "adaptive", "pooled")
GUIDED = ("beam", "dvts", "particles", "playouts", "mcts", "trees")


def evaluate(
    problems: str | Iterable[Problem] | EvalRecipe,
    *,
    policy: str,
    out: str | Path | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    outcome_reward: str | None = None,
    methods: Iterable[str] | None = None,
    budgets: Iterable[int] | None = None,
    dev: str | Iterable[Problem] | None = None,
    format: str | None = None,
    few_shot: str | None = None,
    data_dir: Path | None = None,
    grader: str | None = None,
    aggregation: Aggregation | None = None,
    candidates: int | None = None,
    temperature: float | None = None,
    max_depth: int | None = None,
    max_tokens: int | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    processes: int | None = None,
    concurrency: int | None = None,
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Compares methods on the same problems and models: accuracy against tokens and FLOPs. The same call resumes.

    Worker processes make the searches, so models, the grader and methods are named, those of your own as
    `python:module:attribute`.

    Parameters
    ----------
    problems
        Problems with answers, or their name (`load_problems`); or an evaluation recipe, a file or a bundled one
        (`eval/aime24`), whose settings are the defaults of what follows.
    policy
        Who proposes: a checkpoint, the address of a server, or a run of `evolve`, which also brings its PPM.
    out
        The folder of the evaluation, by default `evaluation_folder(problems, policy)`.
    reward
        Who values steps.
    discriminator
        A second policy, for mutual reasoning.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    methods
        Of `search.METHODS`; by default the twelve of plain sampling and guided search, those that can be run.
    budgets
        Samples, beams times candidates, particles, rollouts, attempts, or trees of a problem; by default 1, 2, 4, 8
        and 16.
    dev
        Problems on which it is chosen how step values are aggregated and answers are read from trees.
    format
        How steps are written, one of `core.FORMATS`; by default as the run of `policy` says, or `rstar`. `few_shot`
        stands before every question.
    data_dir
        A folder with copies of benchmarks.
    grader
        Who compares answers; by default as each problem's kind asks.
    aggregation
        How step values become the score of a solution, in searches and when answers are chosen; by default what is
        best on `dev`, else the last step's value.
    candidates
        Samples for a step in tree searches; `temperature`, `max_depth` and `max_tokens` are those of all searches.
    settings
        Any other setting of a search: `{"mcts.c": 1.5, "sample.top_p": 0.9}`, or of adaptive votes, `{"batch": 4}`.
    seed
        The seed of all searches, by default 0.
    processes
        Worker processes, by default 2, with `concurrency` problems in flight in each of them, by default 256.
    observer
        Who is told of the progress.

    Returns
    -------
    dict
        What `results.json` in the folder holds; beside it are tables and pictures.

    Raises
    ------
    PonderosaError
        For what cannot be, for a folder that was begun with other settings, and if a backend fails.
    """
    methods = None if methods is None else list(methods)
    for part in (policy, reward, discriminator, outcome_reward, grader, *(methods or ())):
        if not isinstance(part, str | None):
            raise PonderosaError(
                f"worker processes cannot be given a {type(part).__name__}: name it, as python:module:attribute"
            )
    folder = Path(out) if out is not None else evaluation_folder(problems, policy)
    recipe = asked(problems)
    spread = {"processes": processes, "concurrency": concurrency}
    run = evaluation_run(
        policy,
        reward,
        methods,
        {
            "temperature": temperature,
            "max_depth": max_depth,
            "max_tokens": max_tokens,
            "candidates": candidates,
            "aggregation": aggregation,
        },
        settings or {},
        recipe,
        budgets=sorted(set(budgets)) if budgets is not None else None,
        format=format,
        few_shot=few_shot,
        grader=grader,
        aggregation=aggregation,
        seed=seed,
        discriminator=discriminator,
        outcome_reward=outcome_reward,
        workers={key: n for key, n in spread.items() if n is not None} or None,
    )
    valued = None if outcome_reward else parameters(run.reward)  # tokens of two reward models have no one size
    sizes = Sizes(parameters(run.policy), valued, parameters(discriminator))
    tested, chosen_on = _problems(recipe.problems, data_dir), _problems(dev or recipe.dev or [], data_dir)
    with run.claim(folder):
        measured = wait_for(measure(folder, run, tested, chosen_on, observer or Progress()))
        found = results(folder, run, measured, sizes)
        _write(folder, found)
    return found


def asked(problems: str | Iterable[Problem] | EvalRecipe) -> EvalRecipe:
    """The evaluation recipe that is meant: problems alone are one without settings. Raises `PonderosaError`."""
    if isinstance(problems, EvalRecipe):
        return problems
    if isinstance(problems, str):
        return evaluation_recipe(find_recipe(problems)) if is_recipe(problems) else EvalRecipe(problems)
    return EvalRecipe(list(problems))


def summary(found: Mapping[str, Any]) -> str:
    """The table of an evaluation's results, and what must be known of them."""
    remarks = curves.remarks(found)
    return f"{curves.markdown(found)}\n{remarks}\n" if remarks else curves.markdown(found)


def evaluation_folder(problems: object, policy: str) -> Path:
    """Where the evaluation of a policy on problems goes by itself: `runs/eval-PROBLEMS-POLICY`."""
    target, _, options = (problems if isinstance(problems, str) else "problems").partition("?")
    words = re.findall(r"[\w.]+", f"{Path(target).stem} {options} {policy.removeprefix('runs/')}")
    return Path("runs") / "-".join(["eval", *words])


def evaluation_run(
    policy: str,
    reward: str | None,
    methods: Iterable[str] | None,
    common: Mapping[str, Any],
    settings: Mapping[str, Any],
    recipe: EvalRecipe,
    **others: Any,
) -> EvalRun:
    """The settings of an evaluation: those of a run of `evolve`, where the policy is one, then the recipe's, then what
    is `common` to the searches that have it and the `others`, then the single `settings`. None is what nobody said.

    Raises `PonderosaError` for what there is not, or cannot be.
    """
    like: dict[str, Any] = {name: kind() for name, kind in PARTS.items()} | {"sample": SampleSettings(temperature=0.7)}
    of_run = {}
    policy = base_or(policy)
    if (run := evolved(policy)) is not None:
        policy, reward, of_run = run.policy, reward or run.ppm, {"format": run.recipe.format}
        search, asked = run.recipe.search, run.recipe.evaluation
        like["sample"] = SampleSettings(
            temperature=asked.temperature, max_depth=search.max_depth, max_tokens=asked.max_tokens
        )
        like["mcts"] = search
        steps = {"temperature": search.temperature, "max_depth": search.max_depth, "max_tokens": search.max_tokens}
        like |= {name: replace(like[name], **steps) for name in ("beam", "particles", "playouts")}
    parts = {
        name: asdict(like[name])
        | recipe.part(name)
        | {key: value for key, value in common.items() if value is not None and key in {f.name for f in fields(kind)}}
        for name, kind in PARTS.items()
    }
    whole = {}
    for key, value in settings.items():
        part, dot, name = key.partition(".")
        if key == "batch":
            whole[key] = value
        elif dot and part in parts:
            parts[part][name] = value
        else:
            raise PonderosaError(f"--set {key}: name a setting of a search, e.g. mcts.c or sample.top_p")
    if methods is None and "methods" not in recipe.settings:
        methods = [name for name in (*PLAIN, *GUIDED) if reward is not None or not METHODS[name].needs]
    given = {"policy": policy, "reward": reward, "methods": None if methods is None else list(methods), **others}
    said = {key: value for key, value in given.items() if value is not None}
    made = parse(EvalRun, of_run | recipe.settings | said | parts | whole, "these settings")
    made.check()
    return made


def _problems(problems: str | Iterable[Problem], data_dir: Path | None) -> list[Problem]:
    if not isinstance(problems, str):
        return list(problems)
    loaded = load_problems(problems, data_dir)
    for note in loaded.notes:
        warnings.warn(f"{problems}: {note}", stacklevel=3)
    return loaded.problems


def _write(folder: Path, found: dict[str, Any]) -> None:
    """The results as JSON, as tables and as pictures."""
    write_json(folder / RESULTS, found)
    write_whole(folder / "table.csv", curves.table(found))
    text = f"{summary(found)}\n{accounting.CAPTION}:\n\n{accounting.markdown(found['searches'])}"
    pictures = {
        f"accuracy-by-{cost}": curves.picture(found, cost)
        for cost in ("tokens", "flops")
        if any(point[cost] for point in found["points"])
    }
    if found["by_aggregation"]:
        text += f"\n{curves.BY_AGGREGATION}:\n\n{curves.by_aggregation(found)}"
        pictures["accuracy-by-n"] = curves.overoptimisation(found)
    for name, picture in pictures.items():
        for suffix in ("svg", "png"):
            save(picture, folder / f"{name}.{suffix}")
    write_whole(folder / TABLE, text)
