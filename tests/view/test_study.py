import re
from pathlib import Path

from ponderosa.view.study import difference_rows, round_rows, side_rows, subtitle, write_study

COST = {"generated_tokens": 12345.6, "trained_tokens": 99.0}
NONE = {"rollouts": None, "rows": None, "generated_tokens": 0.0, "trained_tokens": 0.0}
SIDE = {"side": "whole", "tokens": 140.4, "value": 0.875, "low": 0.8, "high": 0.91, "n": 500} | COST
FINDINGS = {
    "study": {"name": "rounds <small>", "about": "Does it pay?", "seeds": [1, 2]},
    "variants": {
        "whole": [
            {"round": 0, "greedy": SIDE | {"value": 0.5}} | NONE,
            {"round": 1, "greedy": None, "rollouts": 3.456, "rows": 210.0} | COST | {"generated_tokens": 1234.5},
        ]
    },
    "comparisons": [
        {
            "title": "Top 2",
            "about": "",
            "sides": [SIDE | {"side": "random"}, SIDE],
            "differences": [
                {"before": "random", "after": "whole", "value": 0.02, "low": -0.01, "high": 0.05, "p": 0.0312}
                | {"by_seed": [0.03, 0.01], "n": 500}
            ],
        }
    ],
    "wall_s": 90.0,
}


def test_a_difference_is_told_in_points_with_every_seed() -> None:
    assert difference_rows(FINDINGS["comparisons"][0]) == [
        ["whole - random", "+2.0 [-1.0, +5.0]", "0.0312", "+3.0, +1.0"]
    ]


def test_a_side_says_what_it_cost_to_ask_and_to_make() -> None:
    assert side_rows(FINDINGS["comparisons"][0])[1] == ["whole", "87.5 [80.0, 91.0]", "140", "12,346", "99"]


def test_a_round_that_was_not_evaluated_still_cost_something() -> None:
    assert round_rows(FINDINGS) == [
        ["whole", "base", "50.0 [80.0, 91.0]", "", "", "0", "0"],
        ["", "1", "-", "3.46", "210", "1,234", "99"],
    ]


def test_what_it_rests_on_is_said() -> None:
    assert subtitle(FINDINGS).startswith("seeds 1, 2 · n = 500 held-out problems · intervals over seeds and problems")


def test_the_page_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    text = write_study(tmp_path, FINDINGS, "ponderosa ablate x").read_text()
    assert "rounds &lt;small&gt;" in text
    assert "ponderosa ablate x" in text
    assert not re.search(r'(src|href)="(?!#)', text)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "comparison-1.png", "cost.png"}
