"""Cards of data sets: every column explained, every part loaded by its name."""

from dataclasses import fields
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from ponderosa.core import Tree
from ponderosa.forest import LabelRow, PairRow, Part, SFTRow, ValueRow, data_card, forest_part, write_forest, write_rows
from ponderosa.forest.cards import COLUMNS


def trees() -> list[Tree]:
    found = [Tree("p1", "q"), Tree("p1", "q", index=1), Tree("p2", "r")]
    found[0].add(0, "step")
    return found


def test_every_column_of_every_table_is_explained_and_nothing_else(tmp_path: Path) -> None:
    write_forest(tmp_path / "trees.parquet", trees())
    rows = {field.name for kind in (SFTRow, PairRow, LabelRow, ValueRow) for field in fields(kind)}
    assert rows | set(forest_part("trees", "*.parquet", [tmp_path / "trees.parquet"]).columns) == set(COLUMNS)


def test_the_parts_of_a_forest_are_counted(tmp_path: Path) -> None:
    write_forest(tmp_path / "a.parquet", trees()[:1])
    write_forest(tmp_path / "b.parquet", trees()[1:])
    part = forest_part("trees", "*.parquet", [tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert (part.rows, part.problems, part.trees) == (4, 2, 3)  # three roots and a step


@pytest.mark.parametrize(("rows", "size"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**7, "n>1M")])
def test_the_hub_is_told_sizes_licence_and_parts(rows: int, size: str) -> None:
    parts = [Part("sft", "a row", "sft/*.parquet", ["prompt"], rows, 1, 1), Part("x", "a row", "x", [], 0, 0, 0)]
    data = DatasetCard(data_card("Title", "tests", parts, {"top": 2}, "mit"), ignore_metadata_errors=False).data
    assert data.size_categories == [size]
    assert data.license == "mit"
    assert [c["config_name"] for c in data.to_dict()["configs"]] == ["sft", "x"]


def test_a_note_is_a_line_of_its_own_above_the_table() -> None:
    text = data_card("Title", "tests", [Part("sft", "a row", "x", ["prompt"], 1, 1, 1)], {}, note="Nothing left out.")
    assert "\n\nNothing left out.\n\n| part |" in text


def test_a_data_set_of_rows_has_a_card_that_the_hub_reads(tmp_path: Path) -> None:
    write_rows(tmp_path, SFTRow, [], source="tests", settings={})
    card = DatasetCard.load(tmp_path / "README.md", ignore_metadata_errors=False)
    assert card.data.pretty_name == "SFT rows"
    assert "`mean_q`" in card.text
