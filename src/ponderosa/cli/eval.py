"""`ponderosa eval` and `ponderosa compare`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from ponderosa.api.evaluating import RESULTS, TABLE, asked, evaluate, evaluation_folder, summary
from ponderosa.cli.problems import problems_of
from ponderosa.core import PonderosaError
from ponderosa.evaluation.statistics import paired_difference
from ponderosa.evolution.run import read_json
from ponderosa.evolution.settings import assignment
from ponderosa.search import Aggregation
from ponderosa.view import curves
from ponderosa.view.progress import progress


def evaluation(
    problems: str,
    *,
    model: str,
    out: Path | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    outcome_reward: str | None = None,
    method: str | None = None,
    budgets: str | None = None,
    dev: str | None = None,
    format: str | None = None,
    few_shot: Path | None = None,
    data_dir: Path | None = None,
    grader: str | None = None,
    aggregation: Aggregation | None = None,
    candidates: int | None = None,
    temperature: float | None = None,
    max_depth: int | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    processes: int | None = None,
    concurrency: int | None = None,
    set: list[str] | None = None,
) -> None:
    """Compare methods on the same problems and models: accuracy against tokens and FLOPs. The same command resumes.

    Parameters
    ----------
    problems
        Problems with answers: a file (.jsonl, .json, .csv, .parquet), a benchmark (aime24, math500, gsm8k, ...),
        reasoning-gym:FAMILY or hub:OWNER/NAME; options follow after ?, e.g. file.csv?question=COLUMN&limit=50
        (docs/problems.md). Or an evaluation recipe (recipes/eval/aime24.yaml, or eval/aime24 for a bundled one), which
        names problems and settings; options go before what it says.
    model
        Who proposes: a run of `ponderosa evolve`, which also brings its PPM, a Hugging Face checkpoint, an embedded
        base by name (`sapling`), the address of a server (http://host:port), or python:module:attribute.
    out
        The folder of the evaluation, by default runs/eval-PROBLEMS-MODEL. The same command resumes.
    reward
        Who values steps: a checkpoint, the address of a vLLM server, judge:POLICY (docs/judges.md) or
        python:module:attribute; a PPM, or with ?kind=... another process reward model (docs/models.md).
    discriminator
        A second policy, for mutual reasoning, or judge:POLICY.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    method
        Of greedy, majority, best_of_n, weighted, adaptive, pooled, beam, dvts, particles, playouts, mcts, trees,
        mutual, revision, long_chain and python:module:attribute, divided by commas; by default the first twelve that
        can be run.
    budgets
        Samples, beams times candidates, particles, rollouts, attempts, or trees of a problem, divided by commas; by
        default 1,2,4,8,16.
    dev
        Problems on which it is chosen how step values are aggregated and answers are read from trees.
    format
        How steps are written: `rstar`, `text`, `proof`, `program`, `fenced`, ...; by default as the run says, or
        `rstar`.
    few_shot
        A text file that stands before every question.
    data_dir
        A folder with copies of benchmarks.
    grader
        Who compares answers, in place of the grader of each problem's kind (docs/grading.md): judge:POLICY,
        python:module:attribute or scripted:FILE.
    aggregation
        How step values become the score of a solution, in searches and when answers are chosen; by default what is
        best on `dev`, else the last step's value (docs/search.md).
    candidates
        Samples for a step in tree searches.
    temperature
        Of all sampling but greedy decoding.
    max_depth
        Steps of a trajectory.
    max_tokens
        Tokens of a completion.
    seed
        The seed of all searches, by default 0.
    processes
        Worker processes, by default 2.
    concurrency
        Problems in flight in each of them, by default 256.
    set
        Any other setting of a search: `--set mcts.c=1.5 --set sample.top_p=0.9`, or of adaptive votes, `--set batch=4`.
    """
    folder = out or evaluation_folder(problems, model)
    recipe = asked(problems)
    chosen_on = dev or recipe.dev
    console = Console()
    with progress(console) as shown:
        found = evaluate(
            replace(recipe, problems=problems_of(recipe.problems, data_dir)),
            policy=model,
            out=folder,
            reward=reward,
            discriminator=discriminator,
            outcome_reward=outcome_reward,
            methods=_words(method) if method is not None else None,
            budgets=_budgets(budgets) if budgets is not None else None,
            dev=problems_of(chosen_on, data_dir) if chosen_on else None,
            format=format,
            few_shot=few_shot.read_text(encoding="utf-8") if few_shot else None,
            grader=grader,
            aggregation=aggregation,
            candidates=candidates,
            temperature=temperature,
            max_depth=max_depth,
            max_tokens=max_tokens,
            settings=dict(map(assignment, set or ())),
            seed=seed,
            processes=processes,
            concurrency=concurrency,
            observer=shown,
        )
    console.print(Markdown(summary(found)))
    console.print(
        "Methods that only read samples share them, and a smaller number of samples is the first of the larger; so it "
        "is with rollouts of MCTS, and with trees that vote. Other searches are made anew for each budget."
    )
    console.print(f"results: {folder / RESULTS}\ntable:   {folder / TABLE}")
    for picture in sorted(folder.glob("accuracy-by-*.png")):
        console.print(f"picture: {picture}")


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
    if sorted(before["problems"]) != sorted(after["problems"]):
        raise PonderosaError(f"{first} and {second} are not of the same problems")
    numbers = {id: number for number, id in enumerate(before["problems"])}
    places = [numbers[id] for id in after["problems"]]  # of the second's problems among the first's
    differences = {}
    theirs = {(point["method"], point["budget"]): point for point in after["points"]}
    for point in before["points"]:
        other = theirs.get((point["method"], point["budget"]))
        if other is None or point["right"] is None:
            continue
        rates = ([float(point["right"][place]) for place in places], [float(right) for right in other["right"]])
        differences[point["method"], point["budget"]] = asdict(paired_difference(*rates))
    if not differences:
        raise PonderosaError(f"{first} and {second} have no method at one budget in common")
    console = Console()
    console.print(Markdown(curves.compared((str(first), str(second)), differences)))
    for path, found in ((first, before), (second, after)):
        if curves.judged(found):
            console.print(f"{path}: judged by a model, not checked")


def _results(path: Path) -> dict[str, Any]:
    found = read_json(path / RESULTS)
    if not isinstance(found, dict) or "points" not in found:
        raise PonderosaError(f"{path} is not a finished evaluation: name a folder made by `ponderosa eval`")
    if "problems" not in found:
        raise PonderosaError(f"{path} does not say which problems it is of: run the same `ponderosa eval` once more")
    return found


def _words(text: str) -> list[str]:
    return [word for word in map(str.strip, text.split(",")) if word]


def _budgets(text: str) -> list[int]:
    try:
        return list(map(int, _words(text)))
    except ValueError:
        raise PonderosaError(f"--budgets {text}: expected whole numbers divided by commas, e.g. 1,4,16") from None
