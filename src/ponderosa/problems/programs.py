"""Problems whose answer is a program, in the shapes of the well-known data sets; tests as `Kind.CODE` has them."""

import ast
import builtins
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ponderosa.core import PonderosaError


class Programming(NamedTuple):
    """A question, the tests, and a solution if one is known."""

    question: str
    tests: list[dict[str, Any]]
    solution: str | None


def find_tests(row: Mapping[str, Any], question: str, place: str) -> Programming | None:
    """What a row asks for, if that is a program with tests. Raises `PonderosaError` for tests that cannot be read."""
    try:
        if row.get("test_list"):
            return _mbpp(row, question)
        if row.get("entry_point") and row.get("test"):
            return _humaneval(row)
        for column in ("input_output", "public_test_cases"):
            if row.get(column):
                return _printed(row, column, question)
    except (SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PonderosaError(f"{place}: its tests cannot be read: {error!r}") from error
    return None


def _mbpp(row: Mapping[str, Any], question: str) -> Programming:
    """MBPP (arXiv 2108.07732): the question is asked with its tests, which say what the function is called."""
    tests = list(row["test_list"])
    given = "\n".join(filter(None, [row.get("test_setup_code"), *(row.get("test_imports") or [])]))
    code = "\n".join(tests)
    asked = f"{question.rstrip()}\nYour code should pass these tests:\n\n{code}"
    return Programming(asked, [{"given": given, "calls": _free(given, code), "code": code}], row.get("code") or None)


def _humaneval(row: Mapping[str, Any]) -> Programming:
    """HumanEval (arXiv 2107.03374): the beginning of a function, whose tests are those of `check(candidate)`."""
    name, prompt = row["entry_point"], row["prompt"]
    asked = f"Complete this Python program.\n\n{prompt.rstrip()}"
    solution = row.get("canonical_solution")
    return Programming(
        asked,
        [{"given": prompt, "calls": [name], "code": f"{row['test']}\ncheck({name})"}],
        None if solution is None else prompt + solution,
    )


def _printed(row: Mapping[str, Any], column: str, question: str) -> Programming:
    """APPS (arXiv 2105.09938) and LiveCodeBench (arXiv 2403.07974): what is read and printed, or a function's calls."""
    cases = row[column]
    cases = json.loads(cases) if isinstance(cases, str) else cases
    if isinstance(cases, Mapping):
        name = cases.get("fn_name")
        pairs = list(zip(cases["inputs"], cases["outputs"], strict=True))
        if name:
            called = [(repr(tuple(given)), repr(_only(wanted))) for given, wanted in pairs]
    else:
        name = json.loads(row.get("metadata") or "{}").get("func_name")
        pairs = [(case["input"], case["output"]) for case in cases]
        if name:
            called = [(repr(tuple(map(json.loads, given.splitlines()))), repr(json.loads(out))) for given, out in pairs]
    starter = row.get("starter_code")
    asked = f"{question.rstrip()}\n\n{starter.rstrip()}" if starter else question
    if name:
        code = "\n".join(f"assert {name}(*{given}) == {wanted}" for given, wanted in called)
        return Programming(asked, [{"given": _TYPING, "calls": [name], "code": code}], None)
    return Programming(asked, [{"stdin": _text(given), "stdout": _text(wanted)} for given, wanted in pairs], None)


_TYPING = "from typing import *"
"""Starter code of LeetCode's kind is annotated, and imports nothing."""


def _only(output: Any) -> Any:
    """APPS wraps some functions' results in a list of one."""
    return output[0] if isinstance(output, list) and len(output) == 1 else output


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _free(given: str, code: str) -> list[str]:
    """The names that tests call and nobody defines: the program's functions."""
    nodes = [node for text in (given, code) for node in ast.walk(ast.parse(text))]
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    called = (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return [name for name in dict.fromkeys(called) if name not in bound and not hasattr(builtins, name)]
