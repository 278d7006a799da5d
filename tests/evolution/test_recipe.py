from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.evolution.recipe import Recipe, differences, load_recipe

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe(policy="some/folder")
    assert [r.rollouts for r in recipe.rounds] == [8, 16, 16, 16]
    assert [r.reward for r in recipe.rounds] == [False, False, True, True]
    assert recipe.rounds[-1].retries == (64, 128)
    assert (recipe.search.c, recipe.search.max_depth, recipe.search.candidates) == (2.0, 16, 8)
    assert (recipe.sft.epochs, recipe.sft.learning_rate, recipe.sft.batch_size) == (2, 7e-6, 128)
    assert (recipe.data.top, recipe.data.pairs.min_margin, recipe.data.pairs.min_edit_distance) == (2, 0.5, 20)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text("name: r\npolicy: sapling\nrounds: [{problems: 5}]\n")
    return path


@pytest.mark.parametrize("key", ["serach", "search.candidtes", "rounds.0.rolouts", "data.pairs.margin", "sft.lr"])
def test_an_unknown_key_is_named(recipe: Path, key: str) -> None:
    with pytest.raises(PonderosaError, match=key.split(".")[-1]):
        load_recipe(recipe, [f"{key}=1"])


@pytest.mark.parametrize("change", ["rounds", "=3", "rounds.7.problems=1", "name.x.y=1", "seed=[1"])
def test_a_change_that_makes_no_sense_is_named(recipe: Path, change: str) -> None:
    with pytest.raises(PonderosaError) as error:
        load_recipe(recipe, [change])
    assert change in str(error.value)


def test_changes_are_applied_in_depth(recipe: Path) -> None:
    changed = load_recipe(recipe, ["rounds.0.problems=7", "search.c=1.5", "evaluation.test=20"])
    assert (changed.rounds[0].problems, changed.search.c, changed.evaluation.test) == (7, 1.5, 20)


def test_a_value_of_the_wrong_kind_is_named(recipe: Path) -> None:
    with pytest.raises(PonderosaError, match=r"workers\.processes"):
        load_recipe(recipe, ["workers.processes=many"])


def test_differences_name_the_key_and_both_values(recipe: Path) -> None:
    assert differences(
        load_recipe(recipe).model_dump(mode="json"), load_recipe(recipe, ["search.c=1.5"]).model_dump(mode="json")
    ) == ["search.c: 2.0 -> 1.5"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(PonderosaError, match=r"bad\.yaml"):
        load_recipe(path)
