"""Runs plain programs one after another in one process, as fast as calling them: the *shared jail* of a search tree.

Only programs that leave nothing behind are plain: what they change dies with their own namespace. Nothing but success
is reported from here. Everything else, a program that is not plain or that ends in any other way, is the server's to
run again in a fresh process, so that how programs fail is defined in one place.
"""

import ast
import builtins
import io
import re
import sys
import types

from .program import FILENAME, seed_generators

_MODULES = frozenset(
    (
        "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions",
        "functools", "heapq", "itertools", "json", "math", "mpmath", "numbers", "numpy", "operator", "random", "re",
        "statistics", "string", "sympy", "time", "typing",
    )
)  # fmt: skip
# Names that reach what outlives a program: interpreter state, module state, code made from text, standard input.
_REACHING = frozenset(
    (
        "breakpoint", "compile", "delattr", "eval", "exec", "exit", "getcontext", "globals", "help", "init_printing",
        "input", "localcontext", "locals", "open", "quit", "register", "set_printoptions", "setattr", "setcontext",
        "seterr", "vars",
    )
)  # fmt: skip
_HARMLESS = frozenset(("__init__", "__name__", "__class__"))
# Without any of these words there is nothing that a program could reach, and most programs have none.
_SUSPICIOUS = re.compile(rf"import|__|\b(?:{'|'.join(sorted(_REACHING))})\b")
_DRAWING = re.compile(r"\b(?:random|numpy|sympy)\b")


def run(code: str, output_bytes: int) -> str | None:
    """What the program prints, if it is plain, ends well and prints no more than `output_bytes`; otherwise None."""
    printed = io.StringIO()
    stdout = sys.stdout
    try:
        if _SUSPICIOUS.search(code) and not is_plain(ast.parse(code, FILENAME)):
            return None
        compiled = compile(code, FILENAME, "exec", dont_inherit=True)
        main = types.ModuleType("__main__")
        main.__dict__.update(__file__=FILENAME, __builtins__=builtins)
        sys.modules["__main__"] = main
        if _DRAWING.search(code):
            seed_generators()
        sys.stdout = printed
        exec(compiled, main.__dict__)
        text = printed.getvalue()
        return text if len(text.encode("utf-8")) <= output_bytes else None
    except BaseException:
        return None
    finally:
        sys.stdout = stdout


def is_plain(tree: ast.Module) -> bool:
    """Does the program change nothing but what is its own, as far as one can see without running it?"""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or ""]
            if any(module.partition(".")[0] not in _MODULES for module in modules) or not _REACHING.isdisjoint(names):
                return False
            imported.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return all(_is_plain(node, imported) for node in ast.walk(tree))


def _is_plain(node: ast.AST, imported: set[str]) -> bool:
    match node:
        case ast.Name(name):
            return name not in _REACHING and (not name.startswith("__") or name in _HARMLESS)
        case ast.Attribute(attr=name):
            if name in _REACHING or (name.startswith("__") and name not in _HARMLESS):
                return False
            return isinstance(node.ctx, ast.Load) or _root(node) not in imported
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return _root(node) not in imported
        case ast.FunctionDef(name="__del__"):
            return False
    return True


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
