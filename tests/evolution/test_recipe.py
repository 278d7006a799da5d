import contextlib
import io
import shlex
from pathlib import Path

import pytest

from ponderosa.core import CodeFormat, Completion, Ended, PonderosaError, StepKind, make_format, split_options
from ponderosa.core.format import ASSISTANT, END_OF_ANSWER, END_OF_CODE, END_OF_STEP, USER
from ponderosa.evolution.loops import LOOPS, load_recipe, parse_recipe
from ponderosa.evolution.rstar_math import RStarMath
from ponderosa.evolution.settings import differences, own_folder
from ponderosa.problems import BENCHMARKS
from ponderosa.problems.loading import OPTIONS
from ponderosa.search import SEARCHES
from ponderosa.training import launching
from ponderosa.training.jobs import kind_of

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted([*FOLDER.glob("*.yaml"), *(path for loop in LOOPS for path in FOLDER.glob(f"{loop}/*.yaml"))])


def called(path: Path) -> str:
    return "-".join(path.relative_to(FOLDER).with_suffix("").parts)


@pytest.mark.parametrize("path", RECIPES, ids=called)
def test_every_recipe_is_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == called(path)
    assert path.parent in (FOLDER, FOLDER / recipe.loop)


@pytest.mark.parametrize("path", RECIPES, ids=called)
def test_every_search_of_a_recipe_and_every_name_of_problems_is_known(path: Path) -> None:
    recipe = load_recipe(path)
    SEARCHES["mcts"].check(recipe.search, make_format("rstar"))
    for name in (recipe.problems.train, recipe.problems.dev, recipe.problems.test):
        target, options = split_options(str(name or "math500"))
        assert target in BENCHMARKS or target.startswith("hub:")
        assert set(options) <= set(OPTIONS)


@pytest.mark.parametrize("path", [p for p in RECIPES if load_recipe(p).loop in ("rstar-math", "r1")], ids=called)
def test_a_recipe_that_trains_a_reward_model_measures_its_order_of_sibling_steps(path: Path) -> None:
    assert load_recipe(path).evaluation.probe > 0


@pytest.mark.parametrize("path", [p for p in RECIPES if load_recipe(p).few_shot], ids=called)
def test_the_examples_of_a_recipe_are_in_the_step_format_and_print_what_they_say(path: Path) -> None:
    """Each is a question as the format renders it, and steps that it parses, with the output of their program."""
    format, examples = CodeFormat(), load_recipe(path).few_shot
    *_, after = examples.split(END_OF_ANSWER)
    assert after == "\n\n"
    for example in examples.split(f"{USER}\n")[1:]:
        question, response = example.split(f"\n{ASSISTANT}")
        assert format.render(question).text in examples
        *steps, last = response.partition(END_OF_CODE)[0].split(END_OF_STEP)
        stopped = [(text, END_OF_STEP) for text in steps] + [(last, END_OF_CODE)]
        parsed = [format.parse(Completion(text, Ended.STOP, stop)) for text, stop in stopped]
        assert [step.kind for step in parsed] == [StepKind.CODE] * len(steps) + [StepKind.CODE_END]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(format.program([step.text for step in parsed]), {})
        before = "".join(step.text for step in parsed[:-1]) + format.with_output(parsed[-1].text, printed.getvalue())
        assert response.startswith(before)
        answer = format.parse(
            Completion(response.removeprefix(before).partition(END_OF_ANSWER)[0], Ended.STOP, END_OF_ANSWER)
        )
        assert (answer.kind, answer.answer) == (StepKind.ANSWER, printed.getvalue().strip())


def test_the_defaults_are_the_papers() -> None:
    recipe = RStarMath(policy="some/folder")
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


def test_a_key_that_stands_twice_is_named(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "sft: &sft {epochs: 1}\nppm: {<<: *sft, epochs: 2}\n")
    assert load_recipe(recipe).ppm.epochs == 2  # what is merged may be there already
    recipe.write_text(recipe.read_text() + "sft: {epochs: 3}\n")
    with pytest.raises(PonderosaError, match=r"`sft` stands twice.*line 6"):
        load_recipe(recipe)


def test_a_run_has_a_round(recipe: Path) -> None:
    with pytest.raises(PonderosaError, match=r"`rounds`: names none"):
        load_recipe(recipe, ["rounds=[]"])


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(PonderosaError, match=r"bad\.yaml"):
        load_recipe(path)


def test_a_step_format_that_there_is_not_is_refused(recipe: Path) -> None:
    assert load_recipe(recipe, ["format=program"]).format == "program"
    with pytest.raises(PonderosaError, match="there is no step format nonsense"):
        load_recipe(recipe, ["format=nonsense"])


@pytest.mark.parametrize("loop", ["star", "rejection-sampling"])
@pytest.mark.parametrize(("name", "key", "value"), [("sampling", "temperature", 0.123), ("data", "top", 77)])
def test_what_is_left_out_of_a_section_is_as_the_loop_has_it(loop: str, name: str, key: str, value: float) -> None:
    whole = parse_recipe({"loop": loop, "policy": "base"}, "test").model_dump()
    changed = parse_recipe({"loop": loop, "policy": "base", name: {key: value}}, "test").model_dump()
    assert changed == whole | {name: whole[name] | {key: value}}


@pytest.mark.parametrize(
    ("name", "folder"),
    [("sapling", "sapling"), ("star/sapling", "star-sapling"), (str(FOLDER / "sapling-quick.yaml"), "sapling-quick")],
)
def test_runs_of_two_bundled_recipes_do_not_share_a_folder(name: str, folder: str) -> None:
    assert own_folder(name) == Path("runs") / folder


def test_a_file_gives_its_name_to_its_run(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("policy: sapling")
    assert own_folder(str(tmp_path / "mine.yaml")) == Path("runs/mine")


@pytest.mark.parametrize(
    ("loop", "changes", "kinds"),
    [
        ("expert-iteration", {}, ["sft"]),
        ("rstar-math", {}, ["sft", "ppm"]),
        ("rstar-math", {"update": "sft+dpo", "reward_model": "prm-q"}, ["sft", "dpo", "values"]),
        ("rstar-math", {"update": "dpo", "reward_model": "orm-pairs"}, ["dpo", "ppm"]),
        ("distillation", {"teacher": "t"}, ["sft"]),
        ("distillation", {"teacher": "t", "mode": "distribution"}, ["distillation"]),
        ("distillation", {"teacher": "t", "mode": "on-policy"}, ["on-policy"]),
        ("r1-zero", {"format": "think"}, ["grpo"] * 4),
    ],
)
def test_a_recipe_knows_the_trainings_of_its_run(loop: str, changes: dict[str, str], kinds: list[str]) -> None:
    recipe = parse_recipe({"loop": loop, "policy": "p", **changes}, "test")
    assert [kind_of(settings) for settings in recipe.trainings] == kinds


@pytest.mark.parametrize(
    "path", ["recipes/rstar-math-qwen2.5-math-7b.yaml", "recipes/rstar-math-1.5b-one-gpu.yaml"], ids=str
)
def test_what_a_recipe_says_to_set_for_other_gpus_can_be_set(path: str) -> None:
    head = " ".join(line[1:] for line in (FOLDER.parent / path).read_text().splitlines() if line.startswith("#"))
    words = shlex.split(head[head.index("--set") :])
    changes = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert changes
    recipe, plain = load_recipe(FOLDER.parent / path, changes), load_recipe(FOLDER.parent / path)
    assert recipe != plain
    launching(recipe.workers.training, recipe.workers.launcher, recipe.trainings)
