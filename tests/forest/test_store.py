"""A forest is a table: what is written is read back, by others too, and whatever goes wrong has a name."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import random_trees
from hypothesis import given, settings
from hypothesis import strategies as st

from ponderosa.core import Node, Outcome, PonderosaError, Tree, Usage
from ponderosa.forest import read_forest, shard_path, shards, store, write_forest


def grown(problem: str, nodes: int = 3) -> Tree:
    tree = Tree(problem, "How many?", seed=7, index=1, method="mcts", rollouts=[nodes], usage=Usage(policy_calls=2))
    for i in range(nodes):
        tree.add(i, f"# Step {i}\nx = {i}\n", visits=i, total=0.5, value=0.25)
    tree.nodes[-1].outcome = Outcome.TOO_DEEP
    return tree


@given(st.lists(random_trees.trees(), max_size=4))
@settings(max_examples=60)
def test_any_trees_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, trees: list[Tree]
) -> None:
    path = tmp_path_factory.mktemp("forest") / "trees.parquet"
    write_forest(path, trees)
    assert list(read_forest(path)) == trees


def test_trees_may_span_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP", 5)
    trees = [grown(str(i), nodes=i + 1) for i in range(6)]
    write_forest(tmp_path / "trees.parquet", trees)
    assert pq.ParquetFile(tmp_path / "trees.parquet").num_row_groups > 2
    assert list(read_forest(tmp_path / "trees.parquet")) == trees


def test_a_folder_is_read_shard_by_shard_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        write_forest(shard_path(tmp_path, number), [grown(f"{number}a"), grown(f"{number}b")])
    assert [tree.problem_id for tree in read_forest(tmp_path)] == ["0a", "0b", "2a", "2b", "10a", "10b"]
    assert [shard.name for shard in shards(tmp_path)] == [
        "shard-00000.parquet",
        "shard-00002.parquet",
        "shard-00010.parquet",
    ]


def test_every_field_of_a_node_and_a_tree_has_a_column() -> None:
    """Whoever adds a field to the tree decides here how it is stored."""
    columns = set(store._schema().names)
    assert {f.name for f in fields(Node)} - {"children"} <= columns
    assert {f.name for f in fields(Tree)} - {"nodes", "outcome"} | {"tree_outcome", "tree_id", "q", "node"} <= columns
    assert {f.name for f in store._schema().field("usage").type} == {f.name for f in fields(Usage)}


def test_a_lone_surrogate_costs_one_character_and_no_tree(tmp_path: Path) -> None:
    tree = Tree("p", "q")
    tree.add(0, "a\ud800b")
    write_forest(tmp_path / "trees.parquet", [tree, grown("other")])
    stored = list(read_forest(tmp_path / "trees.parquet"))
    assert stored[0].nodes[1].text == "a\ufffdb"
    assert stored[1] == grown("other")


def test_pandas_reads_a_forest_as_it_is(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    tree = grown("p")
    write_forest(tmp_path / "trees.parquet", [tree])
    frame = pandas.read_parquet(tmp_path / "trees.parquet")
    assert frame["text"].tolist() == [node.text for node in tree.nodes]
    assert frame["q"].tolist() == [node.q for node in tree.nodes]
    assert frame["usage"][0]["policy_calls"] == 2
    assert frame["rollouts"].notna().tolist() == [True, False, False, False]
    assert frame.query("outcome == 'too_deep'")["tree_id"].tolist() == ["p#1"]


def test_datasets_reads_a_forest_as_it_is(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    tree = grown("p")
    write_forest(tmp_path / "trees.parquet", [tree])
    rows = datasets.Dataset.from_parquet(str(tmp_path / "trees.parquet"), cache_dir=str(tmp_path / "cache"))
    assert rows["text"][:] == [node.text for node in tree.nodes]
    assert rows[0]["rollouts"] == [3]


def test_disk_grows_with_the_nodes_and_not_with_the_question(tmp_path: Path) -> None:
    question = os.urandom(4000).hex()
    small, large = Tree("p", question), Tree("p", question)
    for tree, nodes in ((small, 10), (large, 1000)):
        for i in range(nodes):
            tree.add(i, f"step {i}")
        write_forest(tmp_path / f"{nodes}.parquet", [tree])
    grown_by = (tmp_path / "1000.parquet").stat().st_size - (tmp_path / "10.parquet").stat().st_size
    assert grown_by < 50 * 990


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shard-00000.parquet").write_bytes(content)
    with pytest.raises(PonderosaError, match=r"shard-00000\.parquet: unreadable"):
        list(read_forest(tmp_path))


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_file_cut_short_is_named(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "trees.parquet"
    write_forest(path, [grown("p", 50)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(PonderosaError, match=r"trees\.parquet"):
        list(read_forest(path))


def test_a_table_of_another_program_is_named(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"node": [0]}), tmp_path / "other.parquet")
    with pytest.raises(PonderosaError, match=r"other\.parquet: holds a table of another program, not a forest"):
        list(read_forest(tmp_path / "other.parquet"))


def test_a_forest_of_another_schema_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SCHEMA_VERSION", 99)
    write_forest(tmp_path / "new.parquet", [grown("p")])
    monkeypatch.undo()
    with pytest.raises(
        PonderosaError, match=r"new\.parquet: a forest of schema 99; this version of Ponderosa reads 2 and 3"
    ):
        list(read_forest(tmp_path / "new.parquet"))


def test_a_forest_whose_rows_were_shuffled_is_named(tmp_path: Path) -> None:
    write_forest(tmp_path / "trees.parquet", [grown("p")])
    table = pq.read_table(tmp_path / "trees.parquet")
    pq.write_table(table.take([0, 2, 1, 3]), tmp_path / "trees.parquet")
    with pytest.raises(PonderosaError, match=r"trees\.parquet: the rows of p#1 are not in order"):
        list(read_forest(tmp_path / "trees.parquet"))


def test_a_missing_path_and_an_empty_folder_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="none: no such forest"):
        read_forest(tmp_path / "none")
    with pytest.raises(PonderosaError, match="holds no forest"):
        read_forest(tmp_path)


def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    def trees() -> Iterator[Tree]:
        yield grown("new")
        raise RuntimeError("the search broke")

    path = tmp_path / "trees.parquet"
    write_forest(path, [grown("old")])
    with pytest.raises(RuntimeError, match="the search broke"):
        write_forest(path, trees())
    assert list(read_forest(path)) == [grown("old")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_path_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "trees.parquet"
    write_forest(path, [grown("old")])
    large = Tree("p", "q")
    large.add(0, os.urandom(300_000).hex())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(PonderosaError, match=r"cannot write .*trees\.parquet: .*Nothing finished is lost"):
            write_forest(path, [large])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(read_forest(path)) == [grown("old")]
    assert list(tmp_path.iterdir()) == [path]


def test_the_package_is_light_to_import() -> None:
    code = "import sys, ponderosa.forest; sys.exit(any(m in sys.modules for m in ('pyarrow', 'numpy', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
