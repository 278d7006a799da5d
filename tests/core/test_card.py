"""Cards are read by the Hub's own parser as they were meant."""

from typing import Any

from huggingface_hub import RepoCard
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core.card import card

texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)
values = texts | st.integers() | st.booleans() | st.lists(texts) | st.lists(st.dictionaries(texts, texts))
keys = st.from_regex(r"[a-z_]{3,12}", fullmatch=True).filter(lambda key: key not in ("null", "true", "false", "yes"))


@given(metadata=st.dictionaries(keys.map("x_".__add__), values, min_size=1))
def test_metadata_are_read_back_whatever_they_hold(metadata: dict[str, Any]) -> None:
    read = RepoCard(card(metadata, "# Title\n\nText."), ignore_metadata_errors=False)
    assert read.data.to_dict() == metadata
    assert read.text.strip() == "# Title\n\nText."


def test_what_is_not_known_is_left_out() -> None:
    assert card({"license": None, "tags": ["a"]}, "\n# Title\n") == '---\ntags: ["a"]\n---\n# Title\n'
