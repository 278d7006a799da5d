import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Outcome, Tree, derive_seed

numbers = st.floats(-10, 10)
maybe = st.none() | numbers


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = Tree(draw(st.text()), draw(st.text()), seed=draw(st.integers(0, 2**63 - 1)), method="mcts")
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.integers(0, len(tree.nodes) - 1))
        node = tree.add(
            parent,
            draw(st.text(max_size=5)),
            value=draw(maybe),
            reward=draw(maybe),
            outcome=draw(st.none() | st.sampled_from(Outcome)),
            answer=draw(st.none() | st.text()),
        )
        tree.nodes[node].visits = draw(st.integers(0, 9))
        tree.nodes[node].total = draw(numbers)
        tree.rollouts.append(node)
    return tree


@given(trees())
def test_json_gives_back_the_same_tree(tree: Tree) -> None:
    assert Tree.from_json(json.loads(json.dumps(tree.to_json()))) == tree


@given(trees())
def test_a_path_leads_from_the_root_to_its_node(tree: Tree) -> None:
    for index in range(1, len(tree.nodes)):
        path = tree.path(index)
        assert path[-1] == index
        assert len(path) == tree.nodes[index].depth == tree.tag(index).count(".")
        assert [tree.nodes[i].parent for i in path] == [0, *path[:-1]]


@given(trees())
def test_tags_are_unique(tree: Tree) -> None:
    tags = {tree.tag(i) for i in range(len(tree.nodes))}
    assert len(tags) == len(tree.nodes)


def test_a_tree_of_another_schema_is_refused() -> None:
    record = Tree("p", "q").to_json() | {"schema": 99}
    with pytest.raises(ValueError, match="99"):
        Tree.from_json(record)


def test_seeds_differ_by_every_part_and_stay_the_same() -> None:
    assert derive_seed(1, "a", 2) == derive_seed(1, "a", 2)
    assert len({derive_seed(1, "a", 2), derive_seed(1, "a", 3), derive_seed(1, "a2"), derive_seed(1, "", "a", 2)}) == 4
