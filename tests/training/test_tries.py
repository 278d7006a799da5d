import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.training.tries import ROOT, Trie, positions, visible

TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=8), max_size=8)


def text_at(trie: Trie, place: int) -> list[int]:
    found = []
    while place != ROOT:
        found.append(trie.tokens[place])
        place = trie.parents[place]
    return found[::-1]


@given(texts=TEXTS)
def test_every_text_is_found_from_its_last_token(texts):
    trie = Trie()
    places = [trie.add(text) for text in texts]
    assert [text_at(trie, place) for place in places] == texts


@given(texts=TEXTS)
def test_what_texts_share_stands_once(texts):
    trie = Trie()
    for text in texts:
        trie.add(text)
    prefixes = {tuple(text[:i]) for text in texts for i in range(1, len(text) + 1)}
    assert len(trie) == len(prefixes)
    assert all(parent < place for place, parent in enumerate(trie.parents))


@given(texts=TEXTS, text=st.lists(st.integers(0, 2), max_size=8))
def test_what_a_text_would_add_is_known_before(texts, text):
    trie = Trie()
    for earlier in texts:
        trie.add(earlier)
    before, lacking = len(trie), trie.lacks(text)
    trie.add(text)
    assert len(trie) - before == lacking


@given(texts=TEXTS)
def test_a_token_sees_its_own_text_up_to_itself(texts):
    trie = Trie()
    for text in texts:
        trie.add(text)
    seen, depths = visible(trie.parents), positions(trie.parents)
    for place in range(len(trie)):
        text = text_at(trie, place)
        assert [trie.tokens[i] for i in np.flatnonzero(seen[place])] == text
        assert depths[place] == len(text) - 1
        assert sorted(depths[seen[place]]) == list(range(len(text)))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_a_model_computes_of_a_trie_what_it_computes_of_each_text(architecture, attention):
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    model = AutoModel.from_config(config, attn_implementation=attention).eval()
    texts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 7], [1, 2, 3, 7, 8], [9, 2, 3]]
    trie = Trie()
    places = [trie.add(text) for text in texts]
    seen = torch.from_numpy(visible(trie.parents))
    with torch.no_grad():
        packed = model(
            input_ids=torch.tensor([trie.tokens]),
            attention_mask=torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)[None, None],
            position_ids=torch.from_numpy(positions(trie.parents))[None],
        ).last_hidden_state[0]
        for text, place in zip(texts, places, strict=True):
            alone = model(input_ids=torch.tensor([text])).last_hidden_state[0, -1]
            torch.testing.assert_close(packed[place], alone, rtol=1e-4, atol=1e-4)
