"""What a round is worth: coverage, held-out accuracy by method, and how good its PPM and its data are."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ponderosa.core import Outcome, Problem, Tree
from ponderosa.evaluation import Accuracy, Sampled, metrics, statistics
from ponderosa.evolution.stages import Forest, SearchPlan, Stages, solved
from ponderosa.forest import PairRow, SFTRow, preference_pairs
from ponderosa.grading import MathGrader
from ponderosa.search import AGGREGATIONS, ANSWER_RULES, SampleSettings, merge_answers

TREE_RULES = ("best_terminal", "weighted", "majority")
"""How the answer of an MCTS tree may be chosen; the first where there are no dev problems to choose on."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The forests that a round is judged by; those that the recipe does not ask for are empty."""

    greedy: Forest
    samples: Forest
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
    tree = replace(search, rollouts=settings.rollouts)
    plans = [
        SearchPlan(folder / "greedy", test[: settings.test], replace(chains, n=1, temperature=0.0), rewarded=False),
        SearchPlan(folder / "samples", test[:sampled], chains),
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
    async with MathGrader() as grader:
        greedy = await _sampled(evaluation.greedy, grader)
        samples = await _sampled(evaluation.samples, grader)
        dev = await _sampled(evaluation.dev_samples, grader)
        trees = {rule: await _chosen(evaluation.searched, grader, rule) for rule in TREE_RULES}
        dev_trees = {rule: await _chosen(evaluation.dev_searched, grader, rule) for rule in TREE_RULES}
    record: dict[str, Any] = {
        "greedy": metrics.greedy(greedy).to_json() | {"right": _right(greedy)} if greedy else None,
        "majority": _with_k(metrics.majority(samples, k), k) if samples else None,
        "pass_at_k": _with_k(metrics.pass_at(samples, k), k) if samples else None,
        "best_of_n": None,
        "weighted": None,
        "mcts": None,
        "probe_coverage": coverage([evaluation.probe]),
    }
    if ppm is None:
        return record
    on_dev: dict[str, float] = {"greedy": 0.0}
    if dev:
        on_dev = {
            "greedy": metrics.majority(dev, 1).estimate.value,
            "majority": metrics.majority(dev, k).estimate.value,
        }
    if samples:
        for name, metric in (("best_of_n", metrics.best_of), ("weighted", metrics.weighted_vote)):
            by = {a: metric(dev, k, a).estimate.value for a in AGGREGATIONS} if dev else {"last": 0.0}
            aggregation = max(by, key=lambda a: by[a])
            record[name] = _with_k(metric(samples, k, aggregation), k) | {"aggregation": aggregation}
            on_dev[name] = by[aggregation]
    if all(trees.values()):
        by_rule = {rule: rate.estimate.value for rule, rate in dev_trees.items() if rate} or {TREE_RULES[0]: 0.0}
        rule = max(by_rule, key=lambda r: by_rule[r])
        chosen = trees[rule]
        assert chosen is not None
        record["mcts"] = chosen.to_json() | {"rollouts": stages.recipe.evaluation.rollouts, "answer": rule}
        on_dev["mcts"] = by_rule[rule]
    if dev:
        best = max(on_dev, key=lambda name: on_dev[name])
        record["best"] = {"method": best, "dev": on_dev} | (record[best] or {})
    return record


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

    That share, right answers by luck, is None where the source of problems does not know the values.
    """
    problems = {problem.id: problem for forest in forests for problem in forest.problems}
    chosen: dict[str, list[SFTRow]] = {}
    for row in stages.rows(number, "sft", SFTRow):
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
        "pairs": len(stages.rows(number, "pairs", PairRow)),
        "wrong_intermediate": wrong,
    }


def ppm_quality(stages: Stages, trees: Iterable[Tree], problems: dict[str, Problem]) -> dict[str, Any] | None:
    """AUC of step values against the source's truth, by the PPM that scored the trees; None where it cannot tell.

    A path's steps count up to its first wrong one: what is right after a mistake is not defined.
    """
    scores: list[float] = []
    truths: list[bool] = []
    groups: list[str] = []
    for tree in trees:
        for index, node in enumerate(tree.nodes):
            if node.value is None or node.outcome not in (None, Outcome.ANSWERED):
                continue
            known = stages.source.truths(problems[tree.problem_id], tree.steps(index))
            if known is None:
                return None
            if not all(known[:-1]):
                continue
            scores.append(node.value)
            truths.append(known[-1])
            groups.append(tree.problem_id)
    if len(set(truths)) < 2:
        return None
    return asdict(statistics.auc(scores, truths, groups))


def pair_accuracy(stages: Stages, trees: Iterable[Tree]) -> dict[str, Any] | None:
    """The share of the trees' preference pairs whose better step has the higher value; None without pairs."""
    settings = replace(stages.recipe.data.pairs, final_step="same_prefix")
    verdicts = []
    for tree in trees:
        for pair in preference_pairs([tree], stages.format, settings):
            chosen, rejected = tree.nodes[pair.chosen_node].value, tree.nodes[pair.rejected_node].value
            verdicts.append(chosen is not None and rejected is not None and chosen > rejected)
    return asdict(statistics.proportion(sum(verdicts), len(verdicts))) if verdicts else None


def _right(problems: Sequence[Sampled]) -> str:
    """For each problem 1 if its first sample is right, else 0: what paired comparisons need."""
    return "".join(str(int(problem.samples[0].correct)) for problem in problems)


def greedy_rates(record: dict[str, Any]) -> list[float]:
    """The greedy result of each problem of a round's entry; empty if it was not evaluated."""
    return [float(right) for right in (record.get("greedy") or {}).get("right", "")]


def _with_k(accuracy: Accuracy, k: int) -> dict[str, Any]:
    return accuracy.to_json() | {"k": k}


async def _sampled(forest: Forest, grader: MathGrader) -> list[Sampled]:
    """The samples of a forest, answers merged and graded."""
    problems = {problem.id: problem for problem in forest.problems}
    sampled = []
    for tree in forest.trees():
        answers = list(dict.fromkeys(tree.nodes[end].answer or "" for end in tree.answered()))
        keys = dict(zip(answers, await merge_answers(answers, grader), strict=True))
        right = {key for key in keys.values() if (await grader.grade(key, problems[tree.problem_id])).correct}
        sampled.append(Sampled.from_tree(tree, keys, right))
    return sampled


async def _chosen(forest: Forest, grader: MathGrader, rule: str) -> Accuracy | None:
    """The accuracy of the answers that a rule reads from the forest's trees; None for an empty forest."""
    problems = {problem.id: problem for problem in forest.problems}
    if not problems:
        return None
    rates, tokens = [], 0
    for tree in forest.trees():
        choice = await ANSWER_RULES[rule](tree, grader, "last")
        correct = choice is not None and (await grader.grade(choice.answer, problems[tree.problem_id])).correct
        rates.append(float(correct))
        tokens += tree.usage.generated_tokens
    return Accuracy(statistics.mean_of_rates(rates), tokens / len(rates), tuple(rates))
