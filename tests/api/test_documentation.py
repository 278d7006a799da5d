"""The examples of docs/api.md, as they stand there."""

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ponderosa

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

SMALL = ["rounds=[{problems: 40, rollouts: 4}]", "sft.max_steps=4", "ppm.max_steps=2"] + [
    f"evaluation.{name}=20" for name in ("test", "dev", "sampled", "searched", "final", "probe")
]
"""Of the example that evolves; `make demo` is that recipe whole."""


def example(text: str) -> Any:
    """A name for it: its first words; an evolution takes minutes."""
    words = re.findall(r"\w+", text.replace("import ponderosa", ""))[:4]
    return pytest.param(text, id="-".join(words), marks=[pytest.mark.slow] if "ponderosa.evolve(" in text else [])


@pytest.mark.parametrize("text", [example(text) for text in EXAMPLES])
def test_an_example_runs_as_it_stands(text, newcomer, tmp_path, monkeypatch):
    (own,) = (text for text in EXAMPLES if text.startswith("# mine.py"))
    (newcomer / "mine.py").write_text(own)
    monkeypatch.chdir(tmp_path if "ponderosa.evolve(" in text else newcomer)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(ponderosa, "evolve", partial(ponderosa.evolve, changes=SMALL))
    try:
        exec(compile(text, str(PAGE), "exec"), {"__name__": "example"})
    finally:
        sys.modules.pop("mine", None)


def test_every_function_has_an_example():
    for name in ("search", "evaluate", "evolve", "load_problems"):
        assert callable(getattr(ponderosa, name))
        assert any(f"ponderosa.{name}(" in text for text in EXAMPLES)
