"""Shortcuts that steps of a search may take: they give what a whole run gives, or give way to it."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponderosa.core import Execution, Status
from ponderosa.execution import ForkServer, Limits, Shortcuts

from .users import AS_NOBODY, environment, python_for_all

SHARED = Shortcuts(share=True, snapshots=False)
SNAPSHOTS = Shortcuts(share=False, snapshots=True)
SLOW = "import time\ntime.sleep(0.03)"
STAMP = f"{SLOW}\nprint(time.time_ns())"


def climb(*programs: str, shortcuts: Shortcuts | None = None, limits: Limits | None = None) -> list[Execution]:
    """Runs the programs one after another as steps of one tree, each after the longest earlier one that begins it."""

    async def main() -> list[Execution]:
        async with ForkServer(limits or Limits(wall_s=1.0), cache_size=0, shortcuts=shortcuts) as executor:
            results = []
            for i, program in enumerate(programs):
                before = max((p for p in programs[:i] if program.startswith(p)), key=len, default=None)
                results.append(await executor.run(program, after=before, group="tree"))
            return results

    return asyncio.run(main())


def whole(*programs: str) -> list[Execution]:
    async def main() -> list[Execution]:
        async with ForkServer(Limits(wall_s=1.0), cache_size=0) as executor:
            return [await executor.run(program) for program in programs]

    return asyncio.run(main())


def essence(result: Execution) -> tuple:
    return result.status, result.stdout, result.error_type, result.error_message, result.line


STEPS = [
    "x = 3",
    "x = x * 2 if 'x' in dir() else 1",
    "print(x)",
    "def f(n):\n    return n + 1",
    "print(f(2), end='')",
    "for i in range(3):\n    print(i)",
    "class A:\n    value = 7",
    "A.value = 8",
    "print(A.value)",
    "import math\nprint(math.sqrt(2))",
    "import random\nprint(random.random())",
    "math.pi = 3",
    "import decimal\ndecimal.getcontext().prec = 4",
    "import decimal\nprint(decimal.Decimal(1) / 3)",
    "1 / 0",
    "raise ValueError('no')",
    "if True:",
    "    print('inside')",
    "else:\n    print('else')",
    "'a' + 1",
    "print('ä', '\\U0001f332')",
    "import sys\nsys.exit(2)",
    "import os\nos.fork()",
    "# only a remark",
    "try:\n    print(undefined)\nexcept NameError as e:\n    print(e)",
]


@pytest.mark.parametrize("shortcuts", [SHARED, SNAPSHOTS, Shortcuts()], ids=["shared", "snapshots", "automatic"])
def test_steps_end_as_whole_programs_do(shortcuts):
    """One tree per example, on one executor: what the steps before have done must not show."""

    async def main() -> None:
        limits = Limits(wall_s=2.0)
        async with (
            ForkServer(limits, cache_size=0, shortcuts=shortcuts) as steps,
            ForkServer(limits, cache_size=0) as alone,
        ):
            loop = asyncio.get_running_loop()
            number = iter(range(10**6))

            def check(chosen: list[str], slow: bool) -> None:
                async def compare() -> None:
                    group, program, before = str(next(number) // 3), SLOW if slow else "", None
                    for step in chosen:
                        program = f"{program}\n{step}" if program else step
                        taken = await steps.run(program, after=before, group=group)
                        assert essence(taken) == essence(await alone.run(program)), program
                        before = program

                asyncio.run_coroutine_threadsafe(compare(), loop).result()

            sample = st.lists(st.sampled_from(STEPS), min_size=1, max_size=5)
            test = settings(max_examples=60, deadline=None)(given(sample, st.booleans())(check))
            await asyncio.to_thread(test)

    asyncio.run(main())


def test_a_slow_step_is_not_run_again_for_the_next():
    first, second, third = climb(STAMP, STAMP + "\nprint(2)", STAMP + "\nprint(2)\nprint(3)", shortcuts=SNAPSHOTS)
    assert second.stdout == first.stdout + "2\n"
    assert third.stdout == second.stdout + "3\n"


def test_steps_that_follow_on_one_snapshot_do_not_see_each_other():
    base, left, right = climb(SLOW + "\nx = []", SLOW + "\nx = []\nx += [1]\nprint(x)", SLOW + "\nx = []\nprint(x)")
    assert base.ok
    assert (left.stdout, right.stdout) == ("[1]\n", "[]\n")


def test_a_slow_step_that_shared_a_process_is_kept_from_then_on():
    results = climb(*(STAMP + "\nprint(0)" * n for n in range(4)))
    stamps = [result.stdout.splitlines()[0] for result in results]
    assert stamps[1] == stamps[2] == stamps[3]


def test_the_rest_of_a_block_is_run_whole():
    block = SLOW + "\nif True:\n    print(1)"
    results = climb(block, block + "\n    print(2)", block + "\nelse:\n    print(3)", shortcuts=SNAPSHOTS)
    assert [result.stdout for result in results] == ["1\n", "1\n2\n", "1\n"]


def test_a_word_is_not_cut_by_a_step():
    results = climb(SLOW + "\nx = 1", SLOW + "\nx = 12\nprint(x)", shortcuts=SNAPSHOTS)
    assert results[1].stdout == "12\n"


def test_lines_are_counted_from_the_first_step():
    step = SLOW + "\nx = 1"
    assert climb(step, step + "\ny = 2\n1 / 0", shortcuts=SNAPSHOTS)[1].line == 5


def test_the_time_of_all_steps_counts():
    step = "import time\ntime.sleep(0.4)"
    results = climb(*(step + "\ntime.sleep(0.4)" * n for n in range(3)), shortcuts=SNAPSHOTS)
    assert [result.status for result in results] == [Status.OK, Status.OK, Status.TIMEOUT]


def test_the_output_of_all_steps_counts():
    step = SLOW + "\nprint('x' * 60, end='')"
    limits = Limits(wall_s=1.0, output_bytes=100)
    results = climb(step, step + "\nprint('x' * 60, end='')", shortcuts=SNAPSHOTS, limits=limits)
    assert [result.status for result in results] == [Status.OK, Status.OUTPUT_LIMIT]
    assert results[1].stdout == "x" * 100


def test_no_more_is_kept_than_fits():
    chains = [f"{SLOW}\nx = [{i}] * 10**6" for i in range(6)]
    programs = [program for chain in chains for program in (chain, chain + "\nprint(x[0])")]
    results = climb(*programs, shortcuts=Shortcuts(share=False, warm_mb=1))
    assert [result.stdout for result in results[1::2]] == [f"{i}\n" for i in range(6)]


def test_exit_handlers_and_finalizers_are_not_lost():
    step = SLOW + "\nimport atexit\natexit.register(print, 'end')"
    assert [result.stdout for result in climb(step, step + "\nprint('middle')")] == ["end\n", "middle\nend\n"]


ROGUES = {
    "hangs up": "import os\nos.close(3)",
    "takes another socket for its own": "import os\nos.dup2(0, 3)",
    "cannot fork": "import socket, os\nos.dup2(1, 4); os.dup2(1, 5)",
    "forks when it is not told": """
import ctypes, signal
libc = ctypes.PyDLL(None)
def fork(*_):
    while True:
        if libc.syscall(56, 0x8011, 0, 0, 0, 0) == 0:
            while True: pass
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.05)""",
    "goes on by itself": """
import signal
def spin(*_):
    while True: pass
signal.signal(signal.SIGALRM, spin)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)""",
}


@pytest.mark.parametrize("name", ROGUES)
def test_a_snapshot_that_goes_its_own_way_is_given_up(name):
    step = f"{SLOW}\n{ROGUES[name]}"

    async def main() -> None:
        async with ForkServer(Limits(wall_s=0.7), cache_size=0, shortcuts=SNAPSHOTS) as executor:
            await executor.run(step, group="tree")
            await asyncio.sleep(0.1)
            following = await executor.run(step + "\nprint('on')", after=step, group="tree")
            assert following.status in (Status.OK, Status.CRASHED, Status.TIMEOUT)
            assert (await executor.run("print(1)")).stdout == "1\n"
            server = executor.pids[0]
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline and any(_busy(pid) for pid in _children(server)):
                await asyncio.sleep(0.05)
            assert not any(_busy(pid) for pid in _children(server))
            assert executor.pids == [server]

    asyncio.run(main())


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _busy(pid: int) -> bool:
    """Does the process use the processor?"""
    try:
        before = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        time.sleep(0.1)
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return int(after[11]) + int(after[12]) - int(before[11]) - int(before[12]) > 2 / os.sysconf("SC_CLK_TCK")


CROWDED = """
import asyncio, resource
from ponderosa.execution import ForkServer, Limits
async def main():
    async with ForkServer(Limits(wall_s=5), cache_size=0, jobs=2) as executor:
        await executor.run("print(1)")
        import os
        for pid in executor.pids:
            zygote = int(open(f"/proc/{pid}/task/{pid}/children").read().split()[0])
            resource.prlimit(zygote, resource.RLIMIT_NPROC, (60, 60))
        results = [await executor.run(f"print({i})", group=str(i)) for i in range(200)]
        assert [result.stdout for result in results] == [f"{i}\\n" for i in range(200)], results
        print("all ran", len(executor.pids))
asyncio.run(main())
"""


def test_where_processes_are_scarce_those_that_wait_make_room():
    if os.getuid() != 0 or (python := python_for_all()) is None:
        pytest.skip("the limit on processes holds for an unprivileged user, whom Python must be open to")
    done = subprocess.run(
        [*AS_NOBODY, python, "-c", CROWDED], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "all ran 1\n", done.stderr
