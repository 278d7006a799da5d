"""Data sets of rows: read back as written, whole or absent, and readable by others."""

from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.forest import PairRow, SFTRow, read_rows, write_rows

SFT = [
    SFTRow("<|user|>:\nq", "# Step 1\n", "p1", "q", "p1#0", (1, 2, 5), 0.75, 0.5),
    SFTRow("<|user|>:\nq", "# Schritt 1: ü\n", "p1", "q", "p1#1", (3,), 1.0, 1.0),
]
PAIRS = [PairRow("prompt", "good", "bad", 0.5, 1.25, "step", "p1", "q", "p1#0", 0, 1, 2)]


def test_rows_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_rows(tmp_path / "sft", SFTRow, SFT, source="tests", settings={})
    write_rows(tmp_path / "pairs", PairRow, PAIRS, source="tests", settings={})
    write_rows(tmp_path / "none", PairRow, [], source="tests", settings={})
    assert read_rows(tmp_path / "sft", SFTRow) == SFT
    assert read_rows(tmp_path / "pairs", PairRow) == PAIRS
    assert read_rows(tmp_path / "none", PairRow) == []


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, SFTRow, SFT, source="tests", settings={})
    with pytest.raises(PonderosaError, match=r"train\.parquet: holds SFT rows, not preference pairs"):
        read_rows(tmp_path, PairRow)


def test_a_data_set_appears_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    write_rows(tmp_path / "sft", SFTRow, SFT, source="tests", settings={})
    (tmp_path / ".pairs.tmp").mkdir()  # as a killed process leaves it
    write_rows(tmp_path / "pairs", PairRow, PAIRS, source="tests", settings={})
    write_rows(tmp_path / "sft", SFTRow, SFT[:1], source="tests", settings={})
    assert read_rows(tmp_path / "sft", SFTRow) == SFT[:1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "sft"]


def test_a_data_set_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "sft", SFTRow, SFT, source="tests", settings={})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_rows(tmp_path / "sft", SFTRow, [], source="tests", settings={"bad": object()})
    assert read_rows(tmp_path / "sft", SFTRow) == SFT
    assert [path.name for path in tmp_path.iterdir()] == ["sft"]


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"train\.parquet: no such file"):
        read_rows(tmp_path, SFTRow)


def test_the_card_gives_counts_source_and_settings(tmp_path: Path) -> None:
    write_rows(tmp_path, SFTRow, SFT, source="round 1 of a run", settings={"top": 2})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| `default` | a correct trajectory | 2 | 1 | 2 |" in card
    assert "round 1 of a run" in card
    assert '"top": 2' in card


def test_datasets_loads_the_folder_as_it_is(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    write_rows(tmp_path / "pairs", PairRow, PAIRS, source="tests", settings={})
    loaded = datasets.load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"][0]["chosen"] == "good"
