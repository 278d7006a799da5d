import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.sapling.arithmetic import formula
from ponderosa.sapling.families import FAMILIES, family_problem
from ponderosa.sapling.world import SPLITS, belongs

places = st.tuples(st.sampled_from(SPLITS), st.integers(0, 20), st.integers(0, 10**6))


@given(places)
def test_the_first_way_gives_the_answer_of_reasoning_gym_and_no_other_does(place):
    problem = family_problem(*place)
    right, *wrong = problem.meta["ways"]
    assert str(formula(right)({})) == problem.answer
    assert all(str(formula(way)({})) != problem.answer for way in wrong)


@given(places)
def test_a_question_belongs_to_its_split(place):
    assert belongs(family_problem(*place).question, place[0])


@pytest.mark.parametrize(
    ("family", "question", "ways"),
    [
        (
            "chain_sum",
            "State the final answer to the following arithmetic problem: 9 - 2 + 4 =",
            ["9 - 2 + 4", "9 - (2 + 4)"],
        ),
        ("basic_arithmetic", "Calculate 2 + 3 * 4.", ["2 + 3 * 4", "(2 + 3) * 4"]),
        ("basic_arithmetic", "Calculate ( -9 - 8 ) * 6.", ["( -9 - 8 ) * 6", "(-9 - 8) * 6"]),
        ("simple_equations", "Solve for x: 4*x + 6 = 26", ["(26 - 6) // 4", "(26 + 6) // 4"]),
        ("simple_equations", "Solve for x: 14 - 2*x = 4", ["(14 - 4) // 2", "(4 - 14) // 2"]),
        ("simple_equations", "Solve for x: x - 20 = -12", ["-12 + 20", "-12 - 20"]),
        (
            "lcm",
            "Find the Least Common Multiple (LCM) of these numbers: 98, 58",
            ["math.lcm(98, 58)", "math.gcd(98, 58)"],
        ),
    ],
)
def test_ways_of_a_question(family, question, ways):
    assert FAMILIES[family].ways(question) == ways


def test_every_family_is_drawn():
    drawn = {family_problem("train", 0, i).meta["family"] for i in range(200)}
    assert drawn == set(FAMILIES)
