"""Every command that the documentation shows is one."""

import re
import shlex
from pathlib import Path

import pytest

from ponderosa.cli import app
from ponderosa.training.cards import Model, model_card

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {
    **{path.name: path.read_text(encoding="utf-8") for path in PAGES},
    "the policy's card": model_card(Model("me/tiny", values=False)),
    "the PPM's card": model_card(Model("me/tiny-ppm", values=True)),
}


def commands(text: str) -> list[str]:
    """The lines of code blocks that are commands, each with those that it goes on in; synopses are none."""
    blocks = re.findall(r"^```(?:bash|console|sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").split("\n")]
    return [line for line in lines if line.startswith("ponderosa ") and " [--" not in line]


@pytest.mark.parametrize(
    "command", [pytest.param(line, id=f"{name}: {line}") for name, text in TEXTS.items() for line in commands(text)]
)
def test_a_command_that_is_shown_is_understood(command: str) -> None:
    app.parse_args(shlex.split(command, comments=True)[1:], exit_on_error=False, print_error=False)
