import pytest

from ponderosa.core import Outcome, PonderosaError, Problem, Tree, make_format
from ponderosa.evolution.curation import Readability, preferences
from ponderosa.forest import PairRow, sft_rows, trajectories

FORMAT = make_format("think")
ENGLISH = "Ann has two apples and gives one of them to her brother Ben.\n"
CHINESE = "安有两个苹果 她把其中一个给了她的兄弟本\n所以她还有一个苹果\n"


def tree(*ends: tuple[str, float], problem: str = "p") -> Tree:
    """A tree of whole solutions, each with its reward."""
    grown = Tree(problem, "How many?")
    for text, reward in ends:
        node = grown.add(0, text, outcome=Outcome.ANSWERED, answer="1", reward=reward, visits=1, total=reward)
        grown.rollouts.append(node)
    return grown


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        (ENGLISH * 3, True),
        (ENGLISH * 3 + CHINESE * 3, False),
        ("First, we 计算 the sum, 然后 add three to it 因为 it is the 答案.", False),
        ("Primero sumamos los números de todas las cajas y después restamos tres.", False),
        ("x" * 101, False),
        ("short\n" * 50, True),
        *((ENGLISH + f"{fence}\nx = 1\n", False) for fence in ("```python", "```py", "``` cpp", "```", "  ```", "~~~")),
        (ENGLISH + "The program `x = 1` and ```x = 2``` in a line.\n", True),
    ],
)
def test_what_can_be_read(text: str, readable: bool) -> None:
    assert Readability(paragraph=100).reader()(text, "en") is readable


def test_code_may_be_allowed_and_the_language_is_the_problems_own() -> None:
    assert Readability(code=True).reader()(ENGLISH + "```python\nprint(1)\n```\n", "en")
    keep = Readability().keeper([Problem("p", "How many?", "1", {"language": "zh"})])
    (found,) = trajectories(tree((CHINESE * 3, 1.0)))
    assert keep(found)
    (found,) = trajectories(tree((ENGLISH * 3, 1.0)))
    assert not keep(found)


def test_a_share_of_ones_own(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_share.py").write_text("def loud(text, language): return float(text.isupper())\n")
    monkeypatch.syspath_prepend(tmp_path)
    readable = Readability(share="python:own_share:loud").reader()
    assert readable("LOUD", "en")
    assert not readable("quiet", "en")


def test_what_one_would_not_keep_leaves_its_place_to_another() -> None:
    grown = tree(("first", 1.0), ("second", 1.0), ("wrong", -1.0))
    rows = sft_rows([grown], FORMAT, top=1, keep=lambda t: t.steps[0] != "first")
    assert [row.response for row in rows] == ["second"]


def whole(pairs: list[PairRow]) -> list[tuple[str, str]]:
    return [(pair.chosen, pair.rejected) for pair in pairs if pair.scope == "trajectory"]


def test_a_pair_is_of_what_one_keeps_and_what_one_does_not() -> None:
    grown = tree(("good", 1.0), ("right but unreadable", 1.0), ("wrong", -1.0), ("good too", 1.0))
    pairs = preferences([grown], "think", lambda t: t.steps[0].startswith("good"))
    assert whole(pairs) == [("good", "right but unreadable"), ("good too", "wrong")]
    assert all(pair.prompt == FORMAT.render("How many?").text for pair in pairs)


def test_what_nobody_could_judge_is_on_neither_side() -> None:
    grown = tree(("good", 1.0), ("who knows", 1.0), ("wrong", -1.0))
    pairs = preferences([grown], "think", lambda t: None if t.steps[0] == "who knows" else True, most=5)
    assert whole(pairs) == [("good", "wrong")]


def test_the_fewer_side_is_used_again_but_no_pair_twice() -> None:
    grown = tree(("good", 1.0), ("wrong", -1.0), ("bad", -1.0))
    pairs = preferences([grown], "think", lambda t: True, most=5)
    assert whole(pairs) == [("good", "wrong"), ("good", "bad")]


def test_answers_alone_are_pairs_where_one_is_wrong_and_another() -> None:
    ends = [("It is 1.</think> <answer>1 apple</answer>", 1.0), ("Eins.</think> <answer>one</answer>", 1.0)]
    wrong = [(f"{thought}</think> <answer>7</answer>", -1.0) for thought in ("So 7.", "Or 7.")]
    pairs = preferences([tree(*ends, *wrong)], "think", lambda t: "Eins" not in t.steps[0], most=9)
    assert len(whole(pairs)) == 3
    (answers,) = (pair for pair in pairs if pair.scope == "answer")
    assert answers.prompt + answers.chosen == FORMAT.render("How many?").text + "</think> <answer>1 apple</answer>"
    assert answers.rejected == "</think> <answer>7</answer>"


def test_of_one_side_alone_there_is_no_pair() -> None:
    assert preferences([tree(("good", 1.0))], "think", lambda t: True) == []
    assert preferences([tree(("wrong", -1.0))], "think", lambda t: True) == []


def test_a_language_that_cannot_be_told_is_named_before_anything_is_read() -> None:
    with pytest.raises(PonderosaError, match="language `xx` is not known"):
        Readability(among=("en", "xx")).reader()
    with pytest.raises(PonderosaError, match="language `zh-cn` is not known"):
        Readability().keeper([Problem("a", "?", "1", meta={"language": "zh-cn"})])
