"""What `import ponderosa` gives."""

import subprocess
import sys

import pytest

import ponderosa


@pytest.mark.parametrize("name", ponderosa.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert name in dir(ponderosa)
    assert getattr(ponderosa, name).__doc__


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ponderosa.nonsense  # noqa: B018


@pytest.mark.parametrize("first", ["ponderosa", "ponderosa.search", "ponderosa.search.mcts"])
def test_search_is_the_function_whatever_is_imported_first(first):
    program = f"import {first}, ponderosa; from ponderosa.search import METHODS; print(callable(ponderosa.search))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
