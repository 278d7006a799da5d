"""How models are named."""

from pathlib import Path

import pytest

from ponderosa.models import on_hub

REVISION = "0" * 40


def test_a_checkpoint_in_the_cache_is_found_without_asking_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: pytest.fail("asked"))
    folder = tmp_path / "models--owner--name"
    (folder / "snapshots" / REVISION).mkdir(parents=True)
    (folder / "snapshots" / REVISION / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)
    assert on_hub("owner/name")


def test_what_cannot_be_reached_is_not_there(monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    assert not on_hub("owner/name")
    assert not on_hub("name")
    assert not on_hub("a/b/c")
