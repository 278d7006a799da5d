import json

import pytest

from ponderosa.cli import main


def ponderosa(*words):
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_the_frontier_and_what_is_not_determined_are_printed(tmp_path, capsys):
    row = {"parameters": 1e5, "tokens": 1e6, "method": "majority", "problems": 100}
    accuracies = {1: 0.3, 3: 0.4, 9: 0.5}
    points = tmp_path / "points.jsonl"
    points.write_text(
        "".join(
            json.dumps({**row, "samples": k, "accuracy": share, "test_flops": 1e7 * k}) + "\n"
            for k, share in accuracies.items()
        )
    )
    words = ("--targets", "0.4", "--queries", "1e5", "--resamples", "10", "--out", str(tmp_path / "out"))
    assert ponderosa("scaling", str(points), *words) == 0
    said = capsys.readouterr().out
    assert "Not determined by these data" in said
    assert "40 %" in said
    # 6 x 1e5 x 1e6 + 1e5 x 3e7
    assert "3.6e+12" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "there is no recipe nowhere"),
        (("points.jsonl", "--targets", "half"), "--targets half: expected numbers"),
        (("scaling/sapling", "--set", "sises=[tiny]"), "unknown key `sises`"),
        (("scaling/sapling", "--set", "sizes=[giant]"), "no size giant"),
        (("scaling/sapling", "--set", "methods=[mcts]"), "mcts"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ponderosa("scaling", *words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
