import asyncio
import sys

import pytest

from ponderosa.core import Status
from ponderosa.execution import ForkServer, Limits, SubprocessExecutor, make_executor


def run(code: str, limits: Limits | None = None):
    async def main():
        async with SubprocessExecutor(limits, jobs=1) as executor:
            return await executor.run(code)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "status", "stdout"),
    [
        ("print('π')", Status.OK, "π\n"),
        ("print(1)\n1/0", Status.ERROR, "1\n"),
        ("print(1, flush=True)\nwhile True: pass", Status.TIMEOUT, "1\n"),
        ("import os\nos._exit(0)", Status.CRASHED, ""),
        ("input()", Status.ERROR, ""),
        ("import sys\nsys.exit(0)", Status.OK, ""),
    ],
)
def test_results_are_typed_as_those_of_the_fork_server(code, status, stdout):
    result = run(code, Limits(wall_s=1.0))
    assert (result.status, result.stdout) == (status, stdout)


def test_a_flood_is_cut_at_the_limit():
    result = run("while True: print('flood')", Limits(wall_s=10, output_bytes=100))
    assert (result.status, len(result.stdout)) == (Status.OUTPUT_LIMIT, 100)


def test_an_error_names_its_line():
    result = run("x = 1\nraise ValueError('no')")
    assert (result.error, result.line) == ("ValueError: no", 2)


def test_it_says_that_it_is_weaker(caplog):
    run("")
    assert "open to them" in caplog.text


def test_the_strongest_executor_is_chosen(monkeypatch):
    assert isinstance(make_executor(), ForkServer)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(make_executor(), SubprocessExecutor)
