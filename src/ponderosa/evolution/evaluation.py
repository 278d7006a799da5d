"""What a round is worth: coverage, held-out accuracy by method, and how good its PPM and its data are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ponderosa.core import Grader, PonderosaError, Tree
from ponderosa.evaluation import Accuracy, Sampled, metrics, statistics
from ponderosa.evaluation.answers import chosen_answers, graded_samples
from ponderosa.evaluation.choices import AGGREGATED, best_aggregations
from ponderosa.evaluation.rewards import outcome_calibration
from ponderosa.evaluation.verdicts import Verdicts
from ponderosa.evolution.grading import open_grader
from ponderosa.evolution.run import read_json
from ponderosa.evolution.stages import Forest, SearchPlan, Stages, solved
from ponderosa.execution import make_executor
from ponderosa.forest import PairRow, SFTRow, read_rows
from ponderosa.forest.reflection import count_reflections
from ponderosa.forest.rows import Row
from ponderosa.search import SampleSettings

TREE_RULES = ("best_terminal", "weighted", "majority")
"""How the answer of an MCTS tree may be chosen; the first where there are no dev problems to choose on."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The forests that a round is judged by; those that the recipe does not ask for are empty."""

    greedy: Forest
    samples: Forest
    dev_greedy: Forest
    dev_samples: Forest
    searched: Forest
    dev_searched: Forest
    probe: Forest


async def search_held_out(stages: Stages, number: int, policy: str, ppm: str | None) -> Evaluation:
    """Runs every search that the recipe asks for to evaluate round `number`, all at once."""
    settings, search = stages.recipe.evaluation, stages.recipe.search
    folder = stages.run.round(number) / "evaluation"
    last = number == len(stages.recipe.rounds)
    sampled, searched = (settings.final,) * 2 if last else (settings.sampled, settings.searched)
    if ppm is None:
        searched = 0
    test = stages.source.held_out("test", max(settings.test, sampled, searched))
    dev = stages.source.held_out("dev", settings.dev if last else 0)
    probe = stages.source.held_out("probe", settings.probe)
    chains = SampleSettings(
        settings.samples, settings.temperature, max_depth=search.max_depth, max_tokens=settings.max_tokens
    )
    greedy = replace(chains, n=1, temperature=0.0)
    tree = replace(search, rollouts=settings.rollouts)
    plans = [
        SearchPlan(folder / "greedy", test[: settings.test], greedy, rewarded=False),
        SearchPlan(folder / "samples", test[:sampled], chains),
        SearchPlan(folder / "dev-greedy", dev, greedy, rewarded=False),
        SearchPlan(folder / "dev-samples", dev, chains),
        SearchPlan(folder / "mcts", test[:searched], tree),
        SearchPlan(folder / "dev-mcts", dev if searched else [], tree),
        SearchPlan(
            folder / "probe", probe, replace(search, rollouts=settings.probe_rollouts), judged=True, rewarded=False
        ),
    ]
    with stages.run.timed(number, "evaluation"):
        return Evaluation(*await stages.search(f"round {number} evaluation", plans, policy, ppm))


async def measure(stages: Stages, evaluation: Evaluation, ppm: str | None) -> dict[str, Any]:
    """The accuracies of a round, and the coverage of its policy on the probe pool.

    What is chosen (how step values are aggregated, how a tree's answer is read, which method is best) is chosen on dev.
    """
    k = stages.recipe.evaluation.samples
    async with (
        make_executor(stages.recipe.execution) as executor,
        open_grader(stages.recipe.grader, executor, stages.run.path) as opened,
    ):
        grader = Verdicts(opened)
        greedy = await _sampled(evaluation.greedy, grader)
        samples = await _sampled(evaluation.samples, grader)
        dev_greedy = await _sampled(evaluation.dev_greedy, grader)
        dev = await _sampled(evaluation.dev_samples, grader)
        trees = await _by_rule(evaluation.searched, grader)
        dev_trees = await _by_rule(evaluation.dev_searched, grader)
        grading = grader.summary()
    by_name: dict[str, Accuracy] = {}
    chosen: dict[str, dict[str, Any]] = {}
    on_dev: dict[str, Accuracy] = {}
    if greedy:
        by_name["greedy"] = metrics.greedy(greedy)
    if samples:
        by_name["majority"] = metrics.majority(samples, k)
    if dev:
        on_dev |= {"greedy": metrics.greedy(dev_greedy), "majority": metrics.majority(dev, k)}
    if samples and ppm is not None:
        aggregations = best_aggregations(dev, k) if dev else dict.fromkeys(AGGREGATED, "last")
        for name, metric in AGGREGATED.items():
            by_name[name] = metric(samples, k, aggregations[name])
            chosen[name] = {"aggregation": aggregations[name]}
            if dev:
                on_dev[name] = metric(dev, k, aggregations[name])
    if trees:
        rule = max(TREE_RULES, key=lambda rule: dev_trees[rule].estimate.value if dev_trees else 0.0)
        by_name["mcts"] = trees[rule]
        chosen["mcts"] = {"rollouts": stages.recipe.evaluation.rollouts, "answer": rule}
        if dev_trees:
            on_dev["mcts"] = dev_trees[rule]
    sampled = {"majority", "best_of_n", "weighted"}
    record: dict[str, Any] = {
        name: _entry(by_name[name], k if name in sampled else None) | chosen.get(name, {}) if name in by_name else None
        for name in ("greedy", "majority", "best_of_n", "weighted", "mcts")
    }
    measured = max(evaluation.greedy, evaluation.samples, evaluation.searched, key=lambda forest: len(forest.problems))
    record["problems"] = [tree.problem_id for tree in measured.trees()]
    record["pass_at_k"] = metrics.pass_at(samples, k).to_json() | {"k": k} if samples else None
    record["calibration"] = outcome_calibration(samples) if ppm is not None else None
    record["grading"] = grading
    record["probe_coverage"] = coverage([evaluation.probe])
    record["against_majority"] = {
        name: _against_majority(by_name[name], samples, k)
        for name in ("best_of_n", "weighted", "mcts")
        if name in by_name and samples
    }
    values = {name: accuracy.estimate.value for name, accuracy in on_dev.items() if name in by_name}
    if values:
        best = max(values, key=lambda name: values[name])
        record["best"] = {"method": best, "dev": values} | record[best]
    return record


def _against_majority(accuracy: Accuracy, samples: Sequence[Sampled], most: int) -> dict[str, Any]:
    """The paired difference of a method to the majority of as many samples as cost as many tokens, at most `most`."""
    a_sample = metrics.majority(samples, 1).tokens
    k = min(most, max(1, round(accuracy.tokens / a_sample)))
    majority = metrics.majority(samples, k)
    n = min(len(accuracy.rates), len(majority.rates))  # both are of the first held-out problems
    difference = asdict(statistics.paired_difference(majority.rates[:n], accuracy.rates[:n]))
    return difference | {"k": k, "tokens": accuracy.tokens, "majority_tokens": majority.tokens}


def coverage(forests: Sequence[Forest]) -> dict[str, Any] | None:
    """The share of the problems with at least one right trajectory in any of their trees; None without problems."""
    problems = {problem.id for forest in forests for problem in forest.problems}
    if not problems:
        return None
    covered = {tree.problem_id for forest in forests for tree in forest.trees() if solved(tree)}
    share: dict[str, Any] = asdict(statistics.proportion(len(covered), len(problems)))
    return share


def data_quality(stages: Stages, number: int, forests: Sequence[Forest]) -> dict[str, Any]:
    """The sizes of the round's data sets, and the share of its trajectories with a wrong intermediate value.

    That share, right answers by luck, is None where the source of problems does not know the values; `mutual` are the
    counts of a filter by a second model, `judgement` those of a judge, if there is one.
    """
    problems = {problem.id: problem for forest in forests for problem in forest.problems}
    chosen: dict[str, list[SFTRow]] = {}
    for row in _rows(stages, number, "sft", SFTRow):
        chosen.setdefault(row.tree_id, []).append(row)
    verdicts: list[bool] = []
    for forest in forests:
        for tree in forest.trees():
            for row in chosen.get(tree.id, []):
                truths = stages.source.truths(problems[row.problem_id], [tree.nodes[i].text for i in row.nodes])
                verdicts += [] if truths is None else [all(truths)]
    wrong = asdict(statistics.proportion(verdicts.count(False), len(verdicts))) if verdicts else None
    return {
        "rows": sum(map(len, chosen.values())),
        "pairs": len(_rows(stages, number, "pairs", PairRow)),
        "wrong_intermediate": wrong,
        "mutual": read_json(stages.run.round(number) / "agreement.json"),
        "judgement": read_json(stages.run.round(number) / "judgement.json"),
    }


def _rows(stages: Stages, number: int, name: str, kind: type[Row]) -> list[Row]:
    """The rows of a data set of the round; none where its loop makes no such."""
    return [row for folder in stages.data(name, number) if folder.exists() for row in read_rows(folder, kind)]


def reflection_counts(trees: Iterable[Tree], model: str, examples: int = 2) -> dict[str, Any]:
    """How many of the trajectories that `model` found abandon a failing line, and how many of the right ones do."""
    count = count_reflections(trees, examples)
    share = asdict(statistics.proportion(count.recovered, count.correct)) if count.correct else None
    return count.to_json() | {"share": share, "model": model}


def rates_of(record: Mapping[str, Any], method: str = "greedy") -> list[float]:
    """A method's result on each problem, in a round's entry; empty if it was not evaluated."""
    return [float(right) for right in (record.get(method) or {}).get("right", "")]


def paired_rates(sides: Iterable[tuple[Mapping[str, Any], str]]) -> list[list[float]]:
    """The results of each side, a round's entry and a method, on the problems that all were evaluated on: their first.

    Raises `PonderosaError` if their problems are not the same, in the same order, or are not known.
    """
    sides = list(sides)
    rates = [rates_of(record, method) for record, method in sides]
    n = min(map(len, rates))
    for record, _ in sides:
        if "problems" not in record:
            summary = f"round-{record['round']}/summary.json"
            raise PonderosaError(
                f"a result does not say which problems it is of, as those of earlier versions: remove {summary} of its "
                "run, and the same command makes it anew"
            )
        if record["problems"][:n] != sides[0][0]["problems"][:n]:
            raise PonderosaError("results are compared that are not of the same held-out problems")
    return [row[:n] for row in rates]


def _entry(accuracy: Accuracy, k: int | None) -> dict[str, Any]:
    """A method's entry. `right` has for each problem 1 if it was solved, else 0: what paired comparisons need."""
    right = "".join(str(int(rate)) for rate in accuracy.rates)
    return accuracy.to_json() | {"right": right} | ({} if k is None else {"k": k})


async def _sampled(forest: Forest, grader: Grader) -> list[Sampled]:
    return await graded_samples(forest.trees(), {problem.id: problem for problem in forest.problems}, grader)


async def _by_rule(forest: Forest, grader: Grader) -> dict[str, Accuracy]:
    """By rule the accuracy of the answers that it reads from the forest's trees; nothing for an empty forest."""
    if not forest.problems:
        return {}
    problems = {problem.id: problem for problem in forest.problems}
    return {rule: await chosen_answers(forest.trees(), problems, grader, rule) for rule in TREE_RULES}
