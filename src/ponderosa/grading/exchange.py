"""What runs in the sandbox when a program is tested: the program and its tests, each in a process of its own.

Nothing that a program does in its process can touch its verdict. There it is asked for what its functions return and
never sees what is expected; the tests run in another, where its functions are stand-ins that say what it answered.
Between the two go plain values as JSON (`pack`, `unpack`), never objects with a behaviour of their own.

The source of this module is sent to the sandbox as it is: it may import the standard library alone.
"""

import builtins
import io
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TextIO

Call = list[Any]
"""[name, packed arguments, packed keyword arguments]"""

_UNKNOWN = 1000  # calls of which one round asks; a loop that waits for a value must end
_ITEMS = 100_000  # of an iterator, which may have no end


class NotPlainError(TypeError):
    """A value that cannot leave its process."""


class UnknownError(BaseException):
    """Ends tests that go on asking for what is not known yet."""


def pack(value: Any) -> Any:
    """A plain value as JSON. Raises `NotPlainError` for an object that is more than a value."""
    if value is None or isinstance(value, bool):
        return value
    for scalar in (int, float, str):  # also of subclasses, whose own behaviour stays behind
        if isinstance(value, scalar):
            return scalar(value)
    for collection in (list, tuple, set, frozenset):
        if isinstance(value, collection):
            return {collection.__name__: [pack(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, Iterator):
        return {"iterator": [pack(item) for item, _ in zip(value, range(_ITEMS), strict=False)]}
    if isinstance(value, Set | type({}.values())):
        return {"list": [pack(item) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__: list(value)}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, Fraction | Decimal):
        return {type(value).__name__: str(value)}
    if isinstance(value, date):
        return {type(value).__name__: value.isoformat()}
    if hasattr(value, "tolist"):  # of numpy
        return pack(value.tolist())
    raise NotPlainError(f"a {type(value).__name__}")


_UNPACK: dict[str, Callable[[Any], Any]] = {
    "list": lambda items: [unpack(item) for item in items],
    "tuple": lambda items: tuple(unpack(item) for item in items),
    "set": lambda items: {unpack(item) for item in items},
    "frozenset": lambda items: frozenset(unpack(item) for item in items),
    "dict": lambda items: {unpack(key): unpack(item) for key, item in items},
    "iterator": lambda items: iter([unpack(item) for item in items]),
    "bytes": bytes,
    "bytearray": bytearray,
    "complex": lambda parts: complex(*parts),
    "Fraction": Fraction,
    "Decimal": Decimal,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def unpack(packed: Any) -> Any:
    """The value that was packed. Raises ValueError, TypeError or KeyError for what `pack` did not make."""
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    return _UNPACK[kind](content)


def run_with_input(program: str, text: str) -> None:
    """Runs a program from its start, `text` on its standard input. What it prints is the result."""
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogatepass")), encoding="utf-8")
    _defined([program], "__main__", "program.py")


def answer_calls(given: str, program: str, calls: list[Call]) -> None:
    """Runs a program and prints what its functions return, a line of JSON: `{"answers": [...]}` or `{"error"}`.

    A program that is none without what is `given` goes on with it. What it prints by itself is lost.
    """
    stdout, sys.stdout = sys.stdout, _Nowhere()
    try:
        try:
            compile(program, "program.py", "exec", dont_inherit=True)
            pieces = [given, program]
        except SyntaxError:
            pieces = [f"{given}\n{program}"]
        scope = _defined(pieces, "solution", "program.py")
        record: dict[str, Any] = {"answers": [_answer(scope, call) for call in calls]}
    except BaseException as error:  # also SystemExit: the program's end is not the harness's
        record = {"error": _said(error)}
    _report(record, stdout)


def _answer(scope: dict[str, Any], call: Call) -> dict[str, Any]:
    name, arguments, named = call
    if name in scope:
        function = scope[name]
    elif "Solution" in scope:  # as LeetCode asks for
        function = getattr(scope["Solution"](), name)
    else:
        raise NameError(f"the program has no {name}")
    try:
        return {"value": pack(function(*unpack(arguments), **unpack(named)))}
    except NotPlainError as error:
        return {"object": str(error)}
    except BaseException as error:  # what it raises is an answer, too
        return {"raised": type(error).__name__, "message": str(error)[:500]}


def run_tests(given: str, names: list[str], code: str, answers: list[tuple[Call, Any]]) -> None:
    """Runs tests with stand-ins for the program's functions `names`, which answer the first calls as `answers` says.

    Prints a line of JSON: the calls that were made in `calls`; whether some were not answered in `unknown`, which were
    then assumed to give what is expected; and what failed in `failure`, None if nothing did.
    """
    calls: list[Call] = []
    unknown: list[Call] = []

    def stand_in(name: str) -> Callable[..., Any]:
        def function(*arguments: Any, **named: Any) -> Any:
            try:
                call = [name, pack(arguments), pack(named)]
            except NotPlainError:
                if unknown:  # what is not known yet is passed on
                    raise UnknownError from None
                raise
            place = len(calls)
            calls.append(call)
            if unknown or place >= len(answers) or json.dumps(answers[place][0]) != json.dumps(call):
                unknown.append(call)
                if len(unknown) >= _UNKNOWN:
                    raise UnknownError
                return Anything()
            return _replayed(name, answers[place][1])

        return function

    stdout, sys.stdout = sys.stdout, _Nowhere()
    failure = unfit = None
    try:
        scope = _defined([given], "tests", "given.py")
        scope.update({name: stand_in(name) for name in names})
        exec(compile(code, "tests.py", "exec", dont_inherit=True), scope)
    except NotPlainError as error:
        unfit = str(error)
    except BaseException as error:
        failure = _said(error, code)
    _report({"calls": calls, "unknown": bool(unknown), "failure": failure, "unfit": unfit}, stdout)


class Anything:
    """The value of a call that is not known yet: what is expected, as far as one can pretend."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def _replayed(name: str, answer: dict[str, Any]) -> Any:
    if "object" in answer:
        raise AssertionError(f"{name} returned {answer['object']}, which is no plain value")
    if "raised" in answer:
        kind = getattr(builtins, str(answer["raised"]), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            raise kind.__new__(kind, answer["message"])  # without what some ask for beside it
        raise RuntimeError(f"{answer['raised']}: {answer['message']}")
    return unpack(answer["value"])


def _defined(pieces: list[str], name: str, file: str) -> dict[str, Any]:
    """The names that the module `name` with these pieces of code has."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    for code in pieces:
        exec(compile(code, file, "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _said(error: BaseException, code: str = "") -> str:
    """What an exception says, with the line of `code` at which it came."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = code.split("\n")[trace.tb_lineno - 1].strip()
        trace = trace.tb_next
    return ": ".join(filter(None, (line[:200], type(error).__name__, str(error)[:200])))


class _Nowhere(io.TextIOBase):
    """Takes what is printed, and forgets it."""

    def write(self, text: str) -> int:
        return len(text)


def _report(record: dict[str, Any], stdout: TextIO) -> None:
    sys.stdout = stdout
    print("\n" + json.dumps(record))
