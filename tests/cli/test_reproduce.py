import shlex
import sys

import pytest

from ponderosa.cli.reproduce import command_line


@pytest.mark.parametrize(
    "words",
    [
        ["evolve", "sapling", "--set", "rounds=[{problems: 400}]"],
        ["ablate", "my study.yaml", "--set", 'about=It\'s "so" $HOME'],
    ],
)
def test_a_shell_reads_the_command_as_it_was_given(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/ponderosa", *words])
    assert shlex.split(command_line()) == ["ponderosa", *words]
    assert "\n" not in command_line()
