"""Written to a folder or pushed: the same files."""

from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import PonderosaError
from ponderosa.hub import Repository

from .hub_server import HubServer

TOKEN = "hf_secretsecretsecret"


def hub(monkeypatch: pytest.MonkeyPatch, url: str, token: str | None = TOKEN) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # whatever the environment says
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN", raising=False)


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_what_is_pushed_is_what_a_dry_run_writes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub(monkeypatch, "http://127.0.0.1:9")  # nobody is there, and a dry run does not ask
    assert ponderosa("push", str(run), "--repo", "me/tiny", "--dry-run", str(tmp_path / "dry")) == 0
    with HubServer() as server:
        hub(monkeypatch, server.url)
        assert ponderosa("push", str(run), "--repo", "me/tiny", "--private") == 0
    assert {name: record["type"] for name, record in server.created.items()} == {
        "me/tiny": "model",
        "me/tiny-ppm": "model",
        "me/tiny-data": "dataset",
    }
    assert all(record["visibility"] == "private" for record in server.created.values())
    for name, files in server.commits.items():
        folder = tmp_path / "dry" / name.removeprefix("me/")
        assert files == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert server.tokens == {f"Bearer {TOKEN}"}
    printed = capsys.readouterr()
    assert f"{server.url}/me/tiny/commit/" in printed.out
    assert TOKEN not in printed.out + printed.err


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "does not let you write me/x: run `hf auth login`, or set HF_TOKEN"),
        (403, "does not let you write me/x"),
        (400, "the Hub refused me/x: "),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(status: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer(refuses=status) as server:
        hub(monkeypatch, server.url, token=None if status == 401 else TOKEN)
        with pytest.raises(PonderosaError, match=message) as raised:
            Repository("me/x", "model", {"README.md": "# x\n"}).push()
    assert "\n" not in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_hub_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(PonderosaError, match=r"cannot reach the Hub at http://127\.0\.0\.1:9"):
        Repository("me/x", "model", {"README.md": "# x\n"}).push()


def test_a_folder_is_never_written_over(tmp_path: Path) -> None:
    repository = Repository("me/x", "model", {"a/README.md": "# x\n"})
    assert (repository.write(tmp_path) / "a" / "README.md").read_text() == "# x\n"
    with pytest.raises(PonderosaError, match="exists: name another folder"):
        repository.write(tmp_path)


@pytest.mark.parametrize("name", ["x", "me/x/y", "me/", "/x", "me/..", "../x", "me/x y"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(PonderosaError, match="is not the name of a repository"):
        Repository(name, "model", {})
