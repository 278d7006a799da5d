import asyncio
from fractions import Fraction

import pytest

from ponderosa.core import Outcome, Tree
from ponderosa.search import (
    ANSWER_RULES,
    BeamSettings,
    Choice,
    SearchSettings,
    TreeVotes,
    merge_answers,
    trajectory_score,
    tree_votes,
)


class Fractions:
    async def equivalent(self, a: str, b: str) -> bool:
        return Fraction(a) == Fraction(b)


def samples(*answers: tuple[str, float]) -> Tree:
    """One-step samples with an answer and a value each."""
    tree = Tree("p", "q", method="sample")
    for i, (answer, value) in enumerate(answers):
        end = tree.add(0, str(i), outcome=Outcome.ANSWERED, answer=answer, value=value)
        tree.nodes[end].visits, tree.nodes[end].total = 1, value
        tree.rollouts.append(end)
    return tree


def choose(rule: str, tree: Tree, aggregation: str = "last") -> Choice | None:
    return asyncio.run(ANSWER_RULES[rule](tree, Fractions().equivalent, aggregation))


def test_equivalent_answers_are_merged() -> None:
    merged = asyncio.run(merge_answers(["1/2", "2", "0.5", "2/4", "2.0"], Fractions().equivalent))
    assert merged == ["1/2", "2", "1/2", "1/2", "2"]


def test_the_majority_counts_equivalent_answers_together() -> None:
    choice = choose("majority", samples(("2", 0.9), ("1/2", 0.0), ("0.5", 0.1), ("2", 0.9), ("2/4", 0.0)))
    assert choice is not None
    assert choice.answer == "1/2"
    assert choice.confidence == pytest.approx(3 / 5)


def test_the_weighted_vote_sums_scores() -> None:
    tree = samples(("1", -0.8), ("1", -0.8), ("2", 0.6))
    choice = choose("weighted", tree)
    assert choice is not None
    assert choice.answer == "2"
    assert choice.confidence == pytest.approx(0.8 / (0.1 + 0.1 + 0.8))


def test_best_of_n_takes_the_highest_score() -> None:
    choice = choose("best_of_n", samples(("1", 0.1), ("2", 0.7), ("1", 0.6)))
    assert choice == Choice("2", 2, pytest.approx(0.85))


@pytest.mark.parametrize("rule", ANSWER_RULES)
def test_without_an_answer_nothing_is_chosen(rule: str) -> None:
    tree = Tree("p", "q", method="sample")
    tree.rollouts.append(tree.add(0, "x", outcome=Outcome.MALFORMED))
    assert choose(rule, tree) is None


@pytest.mark.parametrize(
    ("aggregation", "score"), [("last", 0.5), ("min", 0.25), ("mean", (0.75 + 0.25 + 0.5) / 3), ("product", 0.09375)]
)
def test_step_values_are_aggregated_as_probabilities(aggregation: str, score: float) -> None:
    tree = Tree("p", "q")
    node = 0
    for value in (0.5, -0.5, 0.0):
        node = tree.add(node, "s", value=value)
    assert trajectory_score(tree, node, aggregation) == pytest.approx(score)


def test_several_trees_vote_by_their_best_terminals():
    def tree(answer: str, q: float, worse: str = "9") -> Tree:
        made = Tree("p", "?")
        for text, value in ((answer, q), (worse, -1.0)):
            node = made.add(0, text, outcome=Outcome.ANSWERED, answer=text)
            made.nodes[node].visits, made.nodes[node].total = 1, value
        return made

    trees = [tree("1", 0.9), tree("2", 0.2), tree("2", 0.1), tree("2", 0.0), tree("3", -0.9)]
    votes = asyncio.run(tree_votes(trees, Fractions().equivalent))
    assert (votes.majority, votes.weighted) == ("2", "2")
    assert asyncio.run(tree_votes(trees, Fractions().equivalent, top=1)).majority == "1"
    assert asyncio.run(tree_votes([Tree("p", "?")], Fractions().equivalent)) == TreeVotes(None, None)


def test_one_aggregation_can_be_set_for_all_searches_and_choices() -> None:
    before = SearchSettings(beam=BeamSettings(width=3))
    after = before.aggregated("product")
    assert {after.aggregation, after.mcts.aggregation, after.beam.aggregation, after.playouts.aggregation} == {
        "product"
    }
    assert after.revision.aggregation == "product"
    assert (after.beam.width, after.sample) == (3, before.sample)
