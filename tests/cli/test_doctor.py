"""`ponderosa doctor` through the command."""

import socket
import tomllib
from pathlib import Path

import pytest

from ponderosa.cli import doctor, main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["doctor", *words])
    return int(end.value.code or 0)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("PONDEROSA_API_KEY", "secret-1")


def test_it_says_what_is_here_and_what_to_do_about_the_rest(tmp_path, capsys, monkeypatch):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["optional-dependencies"].keys() - {"all"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(doctor.EXTRAS, "report", ("no-such-package",))
    assert run() == 0
    said = capsys.readouterr().out
    assert "pip install 'ponderosa[report]'" in said
    assert "protections active" in said
    assert all(f"extra {name} " in said for name in declared)
    assert "not made yet" in said
    assert "GB free" in said
    assert "PONDEROSA_API_KEY is set" in said
    assert "secret" not in said


def test_it_knows_every_extra():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert doctor.EXTRAS.keys() == doctor.PURPOSE.keys() == project["optional-dependencies"].keys() - {"all"}


def test_a_server_that_is_not_there_is_a_cross_and_an_exit_code(capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert run("--server", address) == 1
    printed = capsys.readouterr()
    assert f"no answer from {address}" in printed.out
    assert "something is missing" in printed.err
