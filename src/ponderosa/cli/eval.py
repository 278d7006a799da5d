"""`ponderosa eval` and `ponderosa compare`."""

import asyncio
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown

from ponderosa.cli.problems import problems_of
from ponderosa.core import PonderosaError
from ponderosa.evaluation.accounting import Sizes
from ponderosa.evaluation.statistics import paired_difference
from ponderosa.evolution import Run
from ponderosa.evolution.evaluating import PARTS, EvalRun, evaluate, results
from ponderosa.evolution.recipe import assignment, parse
from ponderosa.evolution.run import RECIPE, read_json, write_json, write_whole
from ponderosa.models.size import parameters
from ponderosa.search import METHODS, SampleSettings
from ponderosa.view import accounting, curves
from ponderosa.view.figures import save
from ponderosa.view.progress import progress

RESULTS = "results.json"


def evaluation(
    problems: str,
    *,
    policy: str,
    out: Path,
    reward: str | None = None,
    discriminator: str | None = None,
    outcome_reward: str | None = None,
    methods: str | None = None,
    budgets: str = "1,2,4,8,16",
    dev: str | None = None,
    format: str = "rstar",
    few_shot: Path | None = None,
    data_dir: Path | None = None,
    grader: str | None = None,
    candidates: int | None = None,
    temperature: float | None = None,
    max_depth: int | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    processes: int = 2,
    concurrency: int = 256,
    set: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006 - the option's name; never changed
) -> None:
    """Compare methods on the same problems and models: accuracy against tokens and FLOPs. The same command resumes.

    Parameters
    ----------
    problems
        Problems with answers: a file (.jsonl, .json, .csv, .parquet), a benchmark (aime24, math500, gsm8k, ...),
        reasoning-gym:FAMILY or hub:OWNER/NAME; options follow after ?, e.g. file.csv?question=COLUMN&limit=50
        (docs/problems.md).
    policy
        Who proposes: a checkpoint, scripted:FILE, or a run of `ponderosa evolve`, which also brings its PPM.
    out
        The folder of the evaluation.
    reward
        Who values steps: a checkpoint, or scripted:FILE.
    discriminator
        A second policy, for mutual reasoning.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    methods
        Of greedy, majority, best_of_n, weighted, adaptive, pooled, beam, dvts, particles, playouts, mcts, trees,
        mutual, revision and long_chain, divided by commas; by default the first twelve that can be run.
    budgets
        Samples, beams times candidates, particles, rollouts, attempts, or trees of a problem, divided by commas.
    dev
        Problems on which it is chosen how step values are aggregated and answers are read from trees.
    format
        How steps are written: `rstar`, `text`, `fenced`, ...
    few_shot
        A text file that stands before every question.
    data_dir
        A folder with copies of benchmarks.
    grader
        scripted:FILE, in place of the mathematical grader.
    candidates
        Samples for a step in tree searches.
    temperature
        Of all sampling but greedy decoding.
    max_depth
        Steps of a trajectory.
    max_tokens
        Tokens of a completion.
    seed
        The seed of all searches.
    processes
        Worker processes.
    concurrency
        Problems in flight in each of them.
    set
        Any other setting of a search: `--set mcts.c=1.5 --set sample.top_p=0.9`, or of adaptive votes, `--set batch=4`.
    """
    policy, reward, like = _models(policy, reward)
    common = {"temperature": temperature, "max_depth": max_depth, "max_tokens": max_tokens, "candidates": candidates}
    given = {key: value for key, value in common.items() if value is not None}
    settings: dict[str, dict[str, Any]] = {
        name: {key: value for key, value in given.items() if key in {f.name for f in fields(kind)}}
        for name, kind in PARTS.items()
    }
    whole: dict[str, Any] = {}
    for key, value in map(assignment, set):
        part, dot, name = key.partition(".")
        if key == "batch":
            whole[key] = value
            continue
        if not dot or part not in settings:
            raise PonderosaError(f"--set {key}: name a setting of a search, e.g. mcts.c or sample.top_p")
        settings[part] = settings[part] | {name: value}
    run = parse(
        EvalRun,
        {
            "policy": policy,
            "reward": reward,
            "methods": _methods(methods, reward),
            "budgets": _budgets(budgets),
            "format": format,
            "few_shot": few_shot.read_text(encoding="utf-8") if few_shot else "",
            "grader": grader,
            "seed": seed,
            "discriminator": discriminator,
            "outcome_reward": outcome_reward,
            **{name: asdict(like[name]) | settings[name] for name in PARTS},
            **whole,
            "workers": {"processes": processes, "concurrency": concurrency},
        },
        "these settings",
    )
    run.check()
    valued = None if outcome_reward else parameters(reward)  # tokens of two reward models have no one size
    sizes = Sizes(parameters(policy), valued, parameters(discriminator))
    tested, chosen_on = problems_of(problems, data_dir), problems_of(dev, data_dir) if dev else []
    console = Console()
    with run.claim(out), progress(console) as shown:
        measured = asyncio.run(evaluate(out, run, tested, chosen_on, shown))
    found = results(out, run, measured, sizes)
    write_json(out / RESULTS, found)
    shown_table = curves.markdown(found)
    text = f"{shown_table}\n{accounting.CAPTION}:\n\n{accounting.markdown(found['searches'])}"
    write_whole(out / "table.csv", curves.table(found))
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
            save(picture, out / f"{name}.{suffix}")
    write_whole(out / "table.md", text)
    console.print(Markdown(shown_table))
    console.print(
        "Methods that only read samples share them, and a smaller number of samples is the first of the larger; so it "
        "is with rollouts of MCTS, and with trees that vote. Other searches are made anew for each budget."
    )
    console.print(f"results: {out / RESULTS}\ntable:   {out / 'table.md'}")
    for name in pictures:
        console.print(f"picture: {out / name}.png")


def compare(first: Path, second: Path) -> None:
    """The paired differences between two evaluations of the same problems.

    Parameters
    ----------
    first
        A folder made by `ponderosa eval`.
    second
        Another; positive differences are in its favour.
    """
    before, after = _results(first), _results(second)
    differences = {}
    theirs = {(point["method"], point["budget"]): point for point in after["points"]}
    for point in before["points"]:
        other = theirs.get((point["method"], point["budget"]))
        if other is None or point["right"] is None:
            continue
        if len(point["right"]) != len(other["right"]):
            raise PonderosaError(f"{first} and {second} are not of the same problems")
        mine, others = ([float(right) for right in record["right"]] for record in (point, other))
        differences[point["method"], point["budget"]] = asdict(paired_difference(mine, others))
    if not differences:
        raise PonderosaError(f"{first} and {second} have no method at one budget in common")
    Console().print(Markdown(curves.compared((str(first), str(second)), differences)))


def _results(path: Path) -> dict[str, Any]:
    found = read_json(path / RESULTS)
    if not isinstance(found, dict) or "points" not in found:
        raise PonderosaError(f"{path} is not a finished evaluation: name a folder made by `ponderosa eval`")
    return found


def _models(policy: str, reward: str | None) -> tuple[str, str | None, dict[str, Any]]:
    """The policy, the reward and the settings to start from: a run's last ones, where the policy is a run."""
    like: dict[str, Any] = {name: kind() for name, kind in PARTS.items()} | {"sample": SampleSettings(temperature=0.7)}
    path = Path(policy)
    if not (path / RECIPE).exists():
        return policy, reward, like
    recipe = Run.recipe_of(path)
    done = [number for number in range(len(recipe.rounds), 0, -1) if (path / f"round-{number}" / "policy").exists()]
    if not done:
        raise PonderosaError(f"the run {path} has no policy yet: go on with `ponderosa evolve`")
    folder = path / f"round-{done[0]}"
    search, asked = recipe.search, recipe.evaluation
    like["sample"] = SampleSettings(
        temperature=asked.temperature, max_depth=search.max_depth, max_tokens=asked.max_tokens
    )
    like["mcts"] = search
    steps = {"temperature": search.temperature, "max_depth": search.max_depth, "max_tokens": search.max_tokens}
    for name in ("beam", "particles", "playouts"):
        like[name] = replace(like[name], **steps)
    own = str(folder / "ppm") if (folder / "ppm").exists() else None
    return str(folder / "policy"), reward or own, like


def _methods(text: str | None, reward: str | None) -> tuple[str, ...]:
    if text is None:
        plain = ("greedy", "majority", "best_of_n", "weighted", "adaptive", "pooled")
        guided = ("beam", "dvts", "particles", "playouts", "mcts", "trees")
        return tuple(name for name in (*plain, *guided) if reward is not None or not METHODS[name].needs)
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def _budgets(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(word) for word in text.split(",") if word.strip()}))
    except ValueError:
        raise PonderosaError(f"--budgets {text}: expected whole numbers divided by commas, e.g. 1,4,16") from None
