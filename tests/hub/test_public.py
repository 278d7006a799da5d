"""Nothing of this machine on a card."""

import pytest

from ponderosa.hub.public import hub_name, public


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/ann/models/base50", "base50"),
        ("~/models/base50/", "base50"),
        ("scripted:/home/ann/policy.json", "scripted:policy.json"),
        ("bwrap --bind '/srv/data' --ro /usr/lib", "bwrap --bind 'data' --ro lib"),
        ("file:///home/ann/x", "a server"),
        ("http://10.0.0.7:8000", "a server"),
        ("http://a:8000,http://b:8000?model=Qwen/Qwen2.5-7B&key=K", "Qwen/Qwen2.5-7B on a server"),
        ("https://ann:hunter2@host/v1", "a server"),
        ("token hf_abcdefghijklmnopqrst", "token ..."),
        ("sk-proj-abcdefghijklmnop", "..."),
        ("Qwen/Qwen2.5-Math-7B", "Qwen/Qwen2.5-Math-7B"),
        ("runs/demo/round-1/policy", "runs/demo/round-1/policy"),
        ("a / b, 1/2 and <output>", "a / b, 1/2 and <output>"),
        ("reasoning-gym:gsm_symbolic?size=200", "reasoning-gym:gsm_symbolic?size=200"),
    ],
)
def test_texts_lose_what_is_of_this_machine_and_keep_the_rest(text: str, told: str) -> None:
    assert public(text) == told


def test_values_are_searched_through_and_through() -> None:
    value = {"a": [1, None, {"b": "/home/ann/x"}], "/home/ann/key": True}
    assert public(value) == {"a": [1, None, {"b": "x"}], "key": True}


def test_a_base_is_named_only_if_the_hub_may_have_it(tmp_path, monkeypatch) -> None:
    (tmp_path / "runs" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_name("Qwen/Qwen2.5-Math-7B") == "Qwen/Qwen2.5-Math-7B"
    assert [hub_name(name) for name in ("runs/base", "/home/base", "sapling", "http://a", "a/b/c")] == [None] * 5
