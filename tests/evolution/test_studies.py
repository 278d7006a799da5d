from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import PonderosaError
from ponderosa.evolution.findings import found
from ponderosa.evolution.loops import load_recipe
from ponderosa.evolution.settings import merged, parse
from ponderosa.evolution.studies import Side, Study, load_study

TWO = {
    "recipe": "sapling-quick",
    "name": "two",
    "variants": {"whole": {}, "random": {"set": {"data": {"choice": "random"}}}},
}


def study(**more: object) -> Study:
    return parse(Study, TWO | more, "study")


def run(right: dict[str, str], generated: int = 10) -> dict[str, object]:
    """The results of a run with greedy results by round."""
    rounds = [
        {
            "round": number,
            "problems": [f"p{i}" for i in range(len(greedy))],
            "greedy": {"right": greedy, "tokens": 100.0 + number, "accuracy": greedy.count("1") / len(greedy)},
            "tokens": {"generated": generated * (number > 0), "prompt": 0},
            "searches": {"data": {"trees": 2 * (number > 0), "rollouts": 7 * (number > 0)}},
            "sft": {"rows": 11} if number else None,
            "trained_tokens": {"policy": 7} if number else {},
        }
        for number, greedy in enumerate(right.values())
    ]
    return {"rounds": rounds, "wall_s": 5.0, "finished": True}


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("whole", Side("whole", None, "greedy")),
        ("whole@0", Side("whole", 0, "greedy")),
        ("random correct@12:mcts", Side("random correct", 12, "mcts")),
        ("orm:best_of_n", Side("orm", None, "best_of_n")),
    ],
)
def test_a_side_is_a_variant_a_round_and_a_method(text: str, side: Side) -> None:
    assert Side.of(text) == side


@pytest.mark.parametrize("text", ["", "@1", "a@b", "a:b:c", "a@1@2"])
def test_what_is_no_side_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="VARIANT"):
        Side.of(text)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"recipe": None}, "no `recipe`"),
        ({"seeds": [1, 1]}, "twice"),
        ({"seeds": []}, "seeds"),
        ({"variants": {"a@b": {}}}, "no @"),
        ({"variants": {"../x": {}}}, "no @"),
        ({"variants": {"a": {"reuse": {"of": "whole", "keep": ["round-0"]}}}}, "no variant before it"),
        ({"variants": {"a b": {}, "a-b": {}}}, "would share its folder"),
        ({"comparisons": [{"title": "T", "sides": ["whole", "nobody"]}]}, "nobody, which is no variant"),
        ({"comparisons": [{"title": "T", "sides": ["whole"]}]}, "sides"),
        ({"varants": {}}, "unknown key `varants`"),
    ],
)
def test_a_wrong_study_is_one_clear_error(more: dict[str, object], message: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        study(**more)


def test_each_variant_is_a_recipe_with_the_studys_and_its_own_changes() -> None:
    recipes = study(seeds=[3, 4], set={"evaluation": {"test": 7}}).recipes()
    whole, random = recipes["whole"][3], recipes["random"][4]
    assert (whole.seed, whole.evaluation.test, whole.data.choice) == (3, 7, "q")
    assert (random.seed, random.evaluation.test, random.data.choice) == (4, 7, "random")
    assert random.data.top == whole.data.top


def test_a_variant_may_be_of_another_loop() -> None:
    recipes = study(variants={"star": {"recipe": "star/sapling"}}).recipes()
    assert recipes["star"][1].loop == "star"


def test_only_what_is_measured_on_the_same_problems_is_compared() -> None:
    variants = {"whole": {}, "easy": {"set": {"problems": {"levels": [1]}}}}
    assert study(variants=variants).recipes()["easy"][1].problems.levels == (1,)
    compared = study(variants=variants, comparisons=[{"title": "T", "sides": ["whole", "easy"]}])
    with pytest.raises(PonderosaError, match=r"compares whole and easy, whose held-out .* not the same \(levels: "):
        compared.recipes()


def test_a_variant_that_cannot_be_is_named() -> None:
    with pytest.raises(PonderosaError, match=r"the variant odd: unknown key `nonsense`"):
        study(variants={"odd": {"set": {"nonsense": 1}}}).recipes()


settings = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(st.sampled_from("abc"), settings, max_size=3)


@given(mappings, mappings)
def test_a_change_holds_and_the_rest_stays(old: dict[str, object], change: dict[str, object]) -> None:
    new = merged(old, change)
    assert new.keys() == old.keys() | change.keys()
    for key, value in new.items():
        if key not in change:
            assert value == old[key]
        elif isinstance(change[key], dict) and isinstance(old.get(key), dict):
            assert value == merged(old[key], change[key])
        else:
            assert value == change[key]


def test_findings_are_paired_over_seeds_and_problems() -> None:
    compared = study(seeds=[1, 2], comparisons=[{"title": "T", "sides": ["random", "whole"]}])
    whole = [run({"base": "0000", "1": "1110"}), run({"base": "0000", "1": "1100"})]
    random = [run({"base": "0000", "1": "1000"}), run({"base": "0000", "1": "1100"})]
    findings = found(compared, {"whole": whole, "random": random})
    (comparison,) = findings["comparisons"]
    assert [side["value"] for side in comparison["sides"]] == [3 / 8, 5 / 8]
    (difference,) = comparison["differences"]
    assert difference["value"] == 2 / 8
    assert difference["by_seed"] == [0.5, 0.0]
    assert difference["low"] <= difference["value"] <= difference["high"]
    rounds = findings["variants"]["whole"]
    assert [(r["round"], r["greedy"]["value"], r["generated_tokens"], r["trained_tokens"]) for r in rounds] == [
        (0, 0.0, 0.0, 0.0),
        (1, 5 / 8, 10.0, 7.0),
    ]
    assert [(r["rollouts"], r["rows"]) for r in rounds] == [(None, None), (3.5, 11.0)]
    assert findings["wall_s"] == 20.0


def test_rounds_keep_their_numbers_where_one_was_not_measured() -> None:
    """The five stages of r1 have four entries: nothing is trained in the third."""
    measured = run({"base": "00", "1": "01", "2": "11"})
    measured["rounds"][2]["round"] = 4  # type: ignore[index]
    findings = found(study(seeds=[1]), {"whole": [measured], "random": [measured]})
    assert [record["round"] for record in findings["variants"]["whole"]] == [0, 1, 4]


def test_each_may_be_set_against_the_one_before() -> None:
    rounds = {"title": "Rounds", "sides": ["whole@0", "whole@1", "whole@2"], "against": "previous"}
    runs = {"whole": [run({"0": "00", "1": "10", "2": "11"})], "random": [run({"0": "00"})]}
    findings = found(study(seeds=[1], comparisons=[rounds]), runs)
    (comparison,) = findings["comparisons"]
    assert [(d["before"], d["after"], d["value"]) for d in comparison["differences"]] == [
        ("whole@0", "whole@1", 0.5),
        ("whole@1", "whole@2", 0.5),
    ]


def test_sides_after_the_first_may_be_ranked() -> None:
    ranked = {"title": "Best", "sides": ["whole@0", "whole@1", "whole@2"], "ranked": True}
    runs = {"whole": [run({"0": "11", "1": "00", "2": "10"})], "random": [run({"0": "00"})]}
    (comparison,) = found(study(seeds=[1], comparisons=[ranked]), runs)["comparisons"]
    assert [side["side"] for side in comparison["sides"]] == ["whole@0", "whole@2", "whole@1"]
    assert [d["after"] for d in comparison["differences"]] == ["whole@2", "whole@1"]


@pytest.mark.parametrize(("side", "message"), [("whole:mcts", "not evaluated by mcts"), ("whole@7", "no round 7")])
def test_what_was_not_measured_is_named(side: str, message: str) -> None:
    compared = study(seeds=[1], comparisons=[{"title": "T", "sides": ["random", side]}])
    with pytest.raises(PonderosaError, match=message):
        found(compared, {"whole": [run({"0": "01"})], "random": [run({"0": "01"})]})


def test_results_on_other_problems_are_not_compared() -> None:
    one, other = run({"0": "011"}), run({"0": "01"})
    compared = study(seeds=[1], comparisons=[{"title": "T", "sides": ["random", "whole"]}])
    assert found(compared, {"whole": [one], "random": [other]})["comparisons"][0]["sides"][0]["n"] == 2
    one["rounds"][0]["problems"] = ["p1", "p0", "p2"]  # type: ignore[index]
    with pytest.raises(PonderosaError, match="not of the same held-out problems"):
        found(compared, {"whole": [one], "random": [other]})
    del one["rounds"][0]["problems"]  # type: ignore[index]
    with pytest.raises(PonderosaError, match=r"remove round-0/summary\.json"):
        found(compared, {"whole": [one], "random": [other]})


def test_a_file_is_read_with_changes(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TWO))
    assert load_study(tmp_path / "study.yaml", ["seeds=[9]"]).seeds == (9,)


def test_studies_and_recipes_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("{policy: sapling, rounds: [{problems: 3}]}")
    with pytest.raises(PonderosaError, match="run it by `ponderosa evolve`"):
        load_study(file)
    file.write_text("{name: a study, recipe: sapling, variants: {a: {}}}")
    with pytest.raises(PonderosaError, match="run it by `ponderosa ablate`"):
        load_recipe(file)
