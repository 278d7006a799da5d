"""What a set of sampled answers is worth: greedy, pass@k, majority, best of k and the weighted vote.

Pure functions over plain values. All k samples are a problem's first k, shared by the metrics, so that these compare at
equal tokens; only pass@k averages over all subsets of k (and costs, on average, as much as k samples).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ponderosa.core import Outcome, Tree
from ponderosa.evaluation.statistics import Estimate, mean_of_rates, pass_at_k
from ponderosa.search import AGGREGATIONS


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled solution.

    `answer` is a key that equivalent answers share (None: it ended without one), `correct` the grader's word,
    `scores` the reward model's value in [-1, 1] of each step (empty: not scored), `tokens` what was generated for it.
    """

    answer: str | None
    correct: bool = False
    scores: tuple[float, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of one problem, in the order in which they were drawn.

    One that `failed`, as a model refused a request of its search, is not solved: its samples are without answers and
    may be too few.
    """

    problem_id: str
    samples: tuple[Sample, ...]
    failed: bool = False

    @classmethod
    def from_tree(cls, tree: Tree, keys: Mapping[str, str], right: Collection[str]) -> "Sampled":
        """The rollouts of a tree. `keys` gives each answer the key of its equivalents; `right` holds the right keys."""

        failed = tree.outcome is Outcome.BACKEND_FAILED

        def sample(end: int) -> Sample:
            # A step whose program failed may hold an answer too, which nobody asked the grader about.
            answered = not failed and tree.nodes[end].outcome is Outcome.ANSWERED
            key = keys[tree.nodes[end].answer or ""] if answered else None
            path = [tree.nodes[i] for i in tree.path(end)]
            scores = tuple(node.value for node in path if node.value is not None)
            return Sample(key, key in right, scores, sum(node.tokens for node in path))

        return cls(tree.problem_id, tuple(sample(end) for end in tree.rollouts), failed)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of problems solved, the mean tokens generated a problem, and the rate of each problem for
    comparisons."""

    estimate: Estimate
    tokens: float
    rates: tuple[float, ...] = field(repr=False)

    def to_json(self) -> dict[str, float]:
        e = self.estimate
        return {"accuracy": e.value, "low": e.low, "high": e.high, "n": e.n, "tokens": self.tokens}


def greedy(problems: Sequence[Sampled]) -> Accuracy:
    """Accuracy of each problem's first sample."""
    return _accuracy(problems, 1, lambda samples: samples[0].correct)


def pass_at(problems: Sequence[Sampled], k: int) -> Accuracy:
    """Is any of k samples right? Unbiased from all of a problem's samples (coverage, with an oracle as selector)."""
    rates = [
        0.0 if p.failed else pass_at_k(len(p.samples), sum(s.correct for s in p.samples), k) for p in _with(problems, k)
    ]
    tokens = sum(k * sum(s.tokens for s in p.samples) / max(k, len(p.samples)) for p in problems) / len(problems)
    return Accuracy(mean_of_rates(rates), tokens, tuple(rates))


def majority(problems: Sequence[Sampled], k: int) -> Accuracy:
    """maj@k: is the most frequent answer of the first k samples right? (self-consistency, arXiv 2203.11171)."""
    return _accuracy(problems, k, lambda samples: _vote(samples, [1.0] * len(samples)))


def best_of(problems: Sequence[Sampled], k: int, aggregation: str) -> Accuracy:
    """Is the answer of highest aggregated score among the first k samples right? Of ties the first counts."""

    def solved(samples: Sequence[Sample]) -> bool:
        answered = [s for s in samples if s.answer is not None]
        return bool(answered) and max(answered, key=lambda s: path_score(s, aggregation)).correct

    return _accuracy(problems, k, solved)


def weighted_vote(problems: Sequence[Sampled], k: int, aggregation: str) -> Accuracy:
    """Is the answer with the most score among the first k samples right? A sample's vote weighs its aggregated p."""

    def solved(samples: Sequence[Sample]) -> bool:
        return _vote(samples, [path_score(s, aggregation) if s.answer is not None else 0.0 for s in samples])

    return _accuracy(problems, k, solved)


def path_score(sample: Sample, aggregation: str) -> float:
    """The aggregated p of a sample's steps, in [0, 1]. Raises ValueError if it was not scored."""
    if not sample.scores:
        raise ValueError("a sample without scores: score it with a reward model first")
    return AGGREGATIONS[aggregation](sample.scores)


def _vote(samples: Sequence[Sample], weights: Sequence[float]) -> bool:
    """Is the answer of highest total weight right? Of ties the one that was seen first wins."""
    totals: dict[str, float] = {}
    correct: dict[str, bool] = {}
    for sample, weight in zip(samples, weights, strict=True):
        if sample.answer is not None:
            totals[sample.answer] = totals.get(sample.answer, 0.0) + weight
            correct.setdefault(sample.answer, sample.correct)
    return bool(totals) and correct[max(totals, key=totals.__getitem__)]


def _accuracy(problems: Sequence[Sampled], k: int, solved: Callable[[Sequence[Sample]], bool]) -> Accuracy:
    rates = tuple(float(not p.failed and solved(p.samples[:k])) for p in _with(problems, k))
    tokens = sum(s.tokens for p in problems for s in p.samples[:k]) / len(problems)
    return Accuracy(mean_of_rates(rates), tokens, rates)


def _with(problems: Sequence[Sampled], k: int) -> Sequence[Sampled]:
    """The problems, each with k samples or failed: with fewer, a metric would mean something else."""
    if not problems or k < 1:
        raise ValueError(f"{len(problems)} problems, k = {k}")
    if short := [p.problem_id for p in problems if len(p.samples) < k and not p.failed]:
        raise ValueError(f"{len(short)} problems have fewer than {k} samples, first {short[0]}")
    return problems
