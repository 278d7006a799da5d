"""Programs a second, one way of running them beside another, on one core: `python benchmarks/execution.py`.

`S` is `x = i * 4; print(x)`, `N` sums a numpy array, `V` solves another quadratic each time with sympy. A chain has
eight steps, each of which runs after all before it, as in a search tree: steps a second. All ways run in turn,
`--repeats` times; the figures are medians, the ratios those of medians. Nothing is cached.

The process and all that it starts are pinned to one core, or two in the last table. Ways:

  fresh            a new interpreter for each program (V: which imports sympy)
  bwrap            the same in bubblewrap (left out where that does not work)
  bare exec        `exec` in the process itself, output redirected: no protection and no time limit
  official         what the official code does, in the process itself, unprotected: two alarms for the time limit, the
                   program parsed, all but its last statement unparsed and executed, the last one evaluated
  fork server      `ForkServer`, each program whole in a process of its own
  no fence         the same, with all that fences programs in taken out, to see what that costs
  shared           `ForkServer`, all programs of a tree in one process
  snapshots        `ForkServer`, the process of a step forked for the next one
  automatic        `ForkServer` as it comes: shared where steps are quick, snapshots where they are slow
"""

import argparse
import asyncio
import contextlib
import functools
import io
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ponderosa.core.official_format import OfficialFormat
from ponderosa.execution import ForkServer, Limits, Shortcuts, link
from ponderosa.execution.interpreter import command
from ponderosa.execution.subprocesses import bubblewrap

LIMITS = Limits(wall_s=10.0)
FRESH = Shortcuts(share=False, snapshots=False)
SHARED = Shortcuts(share=True, snapshots=False)
SNAPSHOTS = Shortcuts(share=False, snapshots=True)
DEPTH = 8

PROGRAMS: dict[str, Callable[[int], str]] = {
    "S": lambda i: f"x = {i} * 4\nprint(x)",
    "N": lambda i: f"import numpy\nprint(numpy.arange({i} + 10).sum())",
    "V": lambda i: f"import sympy\nx = sympy.symbols('x')\nprint(sympy.solve(x**2 - {i + 3}*x + {i % 5 + 1}, x))",
}
COUNTS = {"S": 1000, "N": 400, "V": 80}
CHAINS: dict[str, Callable[[int, int], str]] = {
    "trivial": lambda chain, i: f"x{i} = {chain} * {i}\nprint(x{i})",
    "sympy": lambda chain, i: (
        ("import sympy\nx = sympy.symbols('x')\n" if i == 0 else "")
        + f"print(sympy.solve(x**2 - {3 + i + DEPTH * chain}*x + {i % 5 + 1}, x))"
    ),
}
CHAIN_COUNTS = {"trivial": 40, "sympy": 6}

_REMOVE_THE_FENCE = """
from jail import kernel, selftest
kernel.install_filter = lambda instructions, listener=False: __import__("os").eventfd(0)
for name in ("unshare", "give_up_privileges", "limit_resources", "limit_cpu_time"):
    setattr(kernel, name, lambda *arguments: ())
kernel.landlock_abi = lambda: 0
selftest.undenied = lambda: []
"""


def fresh(words: list[str]) -> Callable[[list[str]], float]:
    """Runs a part of the programs and returns the seconds that all would take: they are many for so slow a way."""

    def run(codes: list[str]) -> float:
        part = codes[: max(4, len(codes) // 20)]
        started = time.perf_counter()
        for code in part:
            subprocess.run([*words, "-c", code], check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - started) * len(codes) / len(part)

    return run


def bare_exec(codes: list[str]) -> None:
    variables: dict[str, object] = {}
    for code in codes:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, variables)


_INTERPRETER: dict[str, Callable[[str], str]] = {}
exec(OfficialFormat().program(("",)).rpartition("print(")[0], _INTERPRETER)


def official(codes: list[str]) -> None:
    """With its two alarms, around a step and around its run."""

    def alarmed(function: Callable[[str], str]) -> Callable[[str], str]:
        @functools.wraps(function)
        def within(code: str) -> str:
            previous = signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 30)
            try:
                return function(code)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)

        return within

    for code in codes:
        alarmed(lambda code: alarmed(_INTERPRETER["interpret"])(code))(code)


def fork_server(
    group: str | None = None, shortcuts: Shortcuts = FRESH, servers: int = 1
) -> Callable[[list[str]], float]:
    """Returns the seconds without those of starting."""

    async def main(codes: list[str]) -> float:
        async with ForkServer(LIMITS, servers, jobs=2, cache_size=0, shortcuts=shortcuts) as executor:
            await asyncio.gather(*(executor.run(codes[-1]) for _ in range(4 * servers)))
            started = time.perf_counter()
            results = await asyncio.gather(*(executor.run(code, group=group) for code in codes))
            seconds = time.perf_counter() - started
        assert all(result.ok for result in results)
        return seconds

    return lambda codes: asyncio.run(main(codes))


@contextlib.contextmanager
def no_fence() -> Iterator[None]:
    original = link.command

    def patched(*arguments: object) -> list[str]:
        words = command(*arguments)  # type: ignore[arg-type]
        at = words.index("-c") + 1
        words[at] = words[at].replace("from jail import server\n", "from jail import server\n" + _REMOVE_THE_FENCE)
        return words

    link.command = patched  # type: ignore[assignment]
    try:
        yield
    finally:
        link.command = original


def without_fence(codes: list[str]) -> float:
    with no_fence():
        return fork_server()(codes)


def chains_by(shortcuts: Shortcuts) -> Callable[[list[list[str]]], float]:
    async def main(chains: list[list[str]]) -> float:
        async with ForkServer(LIMITS, jobs=2, cache_size=0, shortcuts=shortcuts) as executor:
            await executor.run(chains[0][0])

            async def climb(number: int, chain: list[str]) -> None:
                before = None
                for program in chain:
                    assert (await executor.run(program, after=before, group=str(number))).ok
                    before = program

            started = time.perf_counter()
            await asyncio.gather(*(climb(number, chain) for number, chain in enumerate(chains)))
            return time.perf_counter() - started

    return lambda chains: asyncio.run(main(chains))


def chains_by_official(chains: list[list[str]]) -> None:
    for chain in chains:
        official(chain)


Make = Callable[[int], Any]


def measure(
    ways: dict[str, Callable[[list[Any]], float | None]], make: Make, count: int, size: int, repeats: int
) -> dict[str, float]:
    """Per second, the median of the repeats; the ways take turns. `count` works of `size` programs each.

    No program is run twice: sympy would remember its result, in the process that stays.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            work = [make(next(_NUMBERS)) for _ in range(count)]
            started = time.perf_counter()
            seconds = way(work)
            rates[name].append(count * size / (seconds or time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}


_NUMBERS = itertools.count()


def table(title: str, figures: dict[str, dict[str, float]]) -> None:
    columns = list(figures)
    names = list(dict.fromkeys(name for found in figures.values() for name in found))
    print(f"\n| {title} | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name in names:
        cells = [_shown(figures[column].get(name)) for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _chain(make_step: Callable[[int, int], str]) -> Make:
    return lambda chain: ["\n".join(make_step(chain, i) for i in range(depth + 1)) for depth in range(DEPTH)]


def _shown(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def ratios(lines: list[tuple[str, float, str]]) -> None:
    print("\n| ratio | figure | bar |\n|---|---|---|")
    for name, figure, bar in lines:
        print(f"| {name} | {figure:.2f} | {bar} |")


def main(repeats: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    import numpy  # noqa: F401 - both are warm for `official`, as they are in the servers
    import sympy

    sympy.solve(sympy.Symbol("x") ** 2 - 1)
    python = [sys.executable, "-I"]
    ways: dict[str, Callable[[list[Any]], float | None]] = {"fresh": fresh(python)}
    fenced = list(bubblewrap())
    if shutil.which("bwrap") and subprocess.run([*fenced, "-c", ""], capture_output=True).returncode == 0:
        ways["bwrap"] = fresh([word for word in fenced if word != "-S"])
    ways |= {
        "bare exec": bare_exec,
        "official": official,
        "fork server": fork_server(),
        "no fence": without_fence,
        "shared": fork_server("tree", SHARED),
    }
    programs = {name: measure(ways, make, COUNTS[name], 1, repeats) for name, make in PROGRAMS.items()}
    table("programs/s, one core", programs)
    climbs: dict[str, Callable[[list[Any]], float | None]] = {
        "official": chains_by_official,
        "fork server": chains_by(FRESH),
        "shared": chains_by(SHARED),
        "snapshots": chains_by(SNAPSHOTS),
        "automatic": chains_by(Shortcuts()),
    }
    chains = {
        name: measure(climbs, _chain(make_step), CHAIN_COUNTS[name], DEPTH, repeats)
        for name, make_step in CHAINS.items()
    }
    table(f"chains of {DEPTH}, steps/s, one core", chains)
    s, v = programs["S"], programs["V"]
    lines = [
        ("S, fork server to fresh", s["fork server"] / s["fresh"], "≥ 6"),
        ("V, fork server to fresh with sympy", v["fork server"] / v["fresh"], "≥ 10"),
        ("V, fork server to official", v["fork server"] / v["official"], "≥ 0.5"),
        ("S, shared to official", s["shared"] / s["official"], "≥ 0.8"),
        ("V, shared to official", v["shared"] / v["official"], "≥ 0.8"),
        ("sympy chains, automatic to official", chains["sympy"]["automatic"] / chains["sympy"]["official"], "≥ 1.5"),
        ("sympy chains, snapshots to official", chains["sympy"]["snapshots"] / chains["sympy"]["official"], "≥ 1.5"),
        ("S, share of time that the fence costs", 1 - s["fork server"] / s["no fence"], "≤ 0.20"),
    ]
    if len(cores) > 1:
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(repeats):
            for count in rates:
                os.sched_setaffinity(0, cores[:count])
                way = {"": fork_server(servers=count)}
                rates[count].append(measure(way, PROGRAMS["S"], count * COUNTS["S"], 1, 1)[""])
        one, two = map(statistics.median, rates.values())
        table("S, programs/s", {"fork server": {"one core, one server": one, "two cores, two servers": two}})
        lines.append(("S, two cores to one", two / one, "≥ 1.7"))
    ratios(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    main(parser.parse_args().repeats)
