import json
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import PonderosaError
from ponderosa.forest import PairRow, SFTRow, write_rows
from ponderosa.training.rows import read_rows

FIELDS = {"prompt": str, "weight": float}
ROWS = [{"prompt": "a", "weight": 1.0}, {"prompt": "b\u2028", "weight": 0.5}]


def pair(prompt: str, weight: float) -> PairRow:
    return PairRow(prompt, "+", "-", weight, 0.5, "step", "p", "?", "p#0", 0, 1, 2)


def test_rows_are_the_same_from_memory_json_lines_and_data_sets(tmp_path: Path) -> None:
    extended = [row | {"other": 1} for row in ROWS]
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in extended) + "\n\n", encoding="utf-8")
    rows = [pair("a", 1.0), pair("b\u2028", 0.5)]
    write_rows(tmp_path / "data", PairRow, rows, source="a test", settings={})

    for source in (extended, lines, str(lines), tmp_path / "data"):
        assert read_rows(source, PairRow, FIELDS) == ROWS
    assert read_rows([lines, tmp_path / "data"], PairRow, FIELDS) == ROWS * 2


def test_a_data_set_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "data", PairRow, [pair("a", 1.0)], source="a test", settings={})
    with pytest.raises(PonderosaError, match="data"):
        read_rows(tmp_path / "data", SFTRow, {"prompt": str, "response": str})


def test_a_whole_number_is_a_weight() -> None:
    assert read_rows([{"prompt": "a", "weight": 1}], PairRow, FIELDS) == [{"prompt": "a", "weight": 1.0}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a"}, "training row 2: `weight` must be a float, not None"),
        ({"prompt": 3, "weight": 1.0}, "training row 2: `prompt` must be a str, not 3"),
        (7, "training row 2: a mapping with prompt, weight is expected, not 7"),
    ],
)
def test_a_wrong_row_is_named(row: Any, message: str) -> None:
    with pytest.raises(PonderosaError) as error:
        read_rows([ROWS[0], row], PairRow, FIELDS)
    assert str(error.value) == message


def test_a_row_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + json.dumps({"prompt": "a"}))
    with pytest.raises(PonderosaError, match=r"rows.jsonl, row 2: `weight` must be a float"):
        read_rows(tmp_path / "rows.jsonl", PairRow, FIELDS)


@pytest.mark.parametrize("name", ["rows.jsonl", "missing.jsonl"])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\xff{")
    with pytest.raises(PonderosaError, match=f"cannot read the training rows .*{name}"):
        read_rows(tmp_path / name, PairRow, FIELDS)
