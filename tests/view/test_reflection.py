from typing import Any

from ponderosa.view import reflection

STEPS = ["\nann = 12\n<end_of_step>", "\nben = 4 < 5\n<end_of_step>", "\nben = ann + 4\n<end_of_step>"]


def results(**count: Any) -> dict[str, Any]:
    example = {
        "problem_id": "p",
        "question": "How many has <Ben>?",
        "sign": "redone",
        "at": 1,
        "anew": 2,
        "evidence": "ben",
        "steps": STEPS,
    }
    counted = {
        "trajectories": 4380,
        "correct": 767,
        "reflecting": 3,
        "recovered": 1,
        "signs": {"redone": 1},
        "share": {"value": 1 / 767, "low": 0.0002, "high": 0.0073},
        "model": "base",
        "examples": [example],
    }
    return {"rounds": [{"round": 0}, {"round": 1, "reflection": counted | count}]}


def test_the_section_has_the_counts_of_each_round_and_marks_the_example() -> None:
    html = reflection.section(results())
    for text in ("4,380", "767", "0.1 (0.0-0.7)", "a value computed anew 1", "base", "How many has &lt;Ben&gt;?"):
        assert text in html
    failing, another = html.index("a value computed anew: ben"), html.index("Here another line begins")
    assert failing < html.index("ben = 4 &lt; 5") < another < html.index("ben = ann + 4")


def test_a_step_that_says_so_and_goes_on_is_marked_as_both() -> None:
    found = results()
    found["rounds"][1]["reflection"]["examples"][0] |= {"at": 1, "anew": 1}
    assert reflection.section(found).count("class=parts") == 1


def test_without_examples_there_is_the_table_alone() -> None:
    html = reflection.section(results(examples=[]))
    assert "<table>" in html
    assert "<blockquote>" not in html


def test_runs_that_were_not_counted_have_no_section() -> None:
    assert reflection.section({"rounds": [{"round": 0}, {"round": 1, "coverage": None}]}) == ""


def test_a_round_without_right_answers_has_no_share() -> None:
    assert "<td></td>" in reflection.section(results(correct=0, recovered=0, signs={}, share=None))


def test_a_checkpoint_is_called_by_the_end_of_its_path() -> None:
    assert "<td>round-1/policy</td>" in reflection.section(results(model="/home/me/runs/x/round-1/policy"))
    assert "<td>http://host:8000?model=a/b</td>" in reflection.section(results(model="http://host:8000?model=a/b"))
