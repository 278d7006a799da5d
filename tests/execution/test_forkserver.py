import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from ponderosa.core import BackendError, Status
from ponderosa.execution import ForkServer, Limits


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_hundreds_at_once_each_get_their_own_result():
    async def main():
        async with ForkServer(jobs=4) as executor:
            results = await asyncio.gather(*(executor.run(f"print({i} ** 2)") for i in range(300)))
        assert [int(result.stdout) for result in results] == [i**2 for i in range(300)]

    asyncio.run(main())


def test_queue_time_is_not_run_time():
    async def main():
        async with ForkServer(Limits(wall_s=1.5), jobs=1) as executor:
            results = await asyncio.gather(*(executor.run(f"import time\ntime.sleep(0.4) #{i}") for i in range(5)))
        assert all(result.ok and result.wall_s < 1.5 for result in results)

    asyncio.run(main())


def test_a_slow_program_does_not_hold_up_the_others():
    async def main():
        async with ForkServer(Limits(wall_s=5), jobs=2) as executor:
            slow = asyncio.create_task(executor.run("import time\ntime.sleep(0.5)"))
            quick = [asyncio.create_task(executor.run(f"print({i})")) for i in range(10)]
            await asyncio.gather(*quick)
            assert not slow.done()
            assert (await slow).ok

    asyncio.run(main())


def test_closing_leaves_no_process_even_in_the_middle_of_a_program():
    async def main():
        executor = ForkServer(Limits(wall_s=60))
        task = asyncio.create_task(executor.run("while True: pass"))
        assert await asyncio.to_thread(wait_until, lambda: executor.pids and runs_a_program(executor.pids[0]))
        pids = [*executor.pids, *children_of(executor.pids[0])]
        await executor.close()
        assert executor.pids == []
        with pytest.raises(BackendError, match="closed"):
            await task
        return pids

    pids = asyncio.run(main())
    assert len(pids) == 3  # server, zygote, program
    assert wait_until(lambda: not any(map(alive, pids)))


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def runs_a_program(server: int) -> bool:
    """Whether it has a child that lasts beside its zygote, unlike the one that tries out the fence when it starts."""
    children = children_of(server)
    time.sleep(0.2)
    return len(children) == 2 and children_of(server) == children


def test_servers_and_programs_die_with_a_parent_that_is_killed():
    search = (
        "import asyncio\nfrom ponderosa.execution import ForkServer, Limits\n"
        "async def main():\n"
        "    executor = ForkServer(Limits(wall_s=60))\n"
        "    await executor.run('print(1)')\n"
        "    print(executor.pids[0], flush=True)\n"
        "    await executor.run('while True: pass')\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", search], stdout=subprocess.PIPE, text=True) as process:
        server = int(process.stdout.readline())
        assert wait_until(lambda: runs_a_program(server))
        pids = [server, *children_of(server)]
        process.kill()
    assert wait_until(lambda: not any(map(alive, pids)))


def test_one_executor_serves_one_event_loop_after_another():
    executor = ForkServer(cache_size=0)
    pids = []
    for i in range(3):
        assert asyncio.run(executor.run(f"print({i})")).stdout == f"{i}\n"
        pids.append(executor.pids)
    asyncio.run(executor.close())
    assert pids[0] == pids[1] == pids[2]


def test_a_loop_that_left_programs_behind_does_not_confuse_the_next():
    executor = ForkServer(Limits(wall_s=5), jobs=1, cache_size=0)

    async def leave():
        for i in range(5):
            asyncio.ensure_future(executor.run(f"import time\ntime.sleep(0.1)\nprint('old {i}')"))  # noqa: RUF006
        await asyncio.sleep(0.05)

    asyncio.run(leave())
    assert asyncio.run(executor.run("print('new')")).stdout == "new\n"
    asyncio.run(executor.close())


def test_an_executor_can_be_used_again_after_closing():
    executor = ForkServer(cache_size=0)
    for _ in range(2):
        assert asyncio.run(executor.run("print(1)")).ok
        asyncio.run(executor.close())


def test_a_server_that_dies_is_replaced_and_its_programs_run_once_more():
    async def main():
        async with ForkServer(Limits(wall_s=5), jobs=2) as executor:
            await executor.run("print(0)")
            tasks = [asyncio.create_task(executor.run(f"import time\ntime.sleep(0.1)\nprint({i})")) for i in range(6)]
            await asyncio.sleep(0.05)
            first = executor.pids
            os.kill(first[0], signal.SIGKILL)
            results = await asyncio.gather(*tasks)
            assert [result.stdout for result in results] == [f"{i}\n" for i in range(6)]
            assert executor.pids != first

    asyncio.run(main())


def test_a_program_whose_server_dies_twice_fails_alone():
    async def main():
        async with ForkServer(Limits(wall_s=20), jobs=1) as executor:
            await executor.run("print(0)")
            victim = asyncio.create_task(executor.run("import time\ntime.sleep(10)"))
            waiting = asyncio.create_task(executor.run("print('waited')"))
            for _ in range(2):
                pid = executor.pids[0]
                assert await asyncio.to_thread(wait_until, partial(runs_a_program, pid))
                os.kill(pid, signal.SIGKILL)
                while pid in executor.pids:
                    await asyncio.sleep(0.01)
            with pytest.raises(BackendError, match="died twice"):
                await victim
            assert (await waiting).stdout == "waited\n"

    asyncio.run(main())


def test_a_server_that_cannot_start_is_a_backend_error_that_says_why(monkeypatch):
    async def main():
        async with ForkServer() as executor:
            with pytest.raises(BackendError, match=r"could not start: .*`subprocess`"):
                await asyncio.gather(executor.run("print(1)"), executor.run("print(2)"))
            monkeypatch.undo()
            assert (await executor.run("print(1)")).ok

    monkeypatch.setattr("ponderosa.execution.link.command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    asyncio.run(main())


def test_an_interpreter_that_does_not_exist_is_a_backend_error(monkeypatch):
    async def main():
        async with ForkServer() as executor:
            with pytest.raises(BackendError, match="could not start"):
                await executor.run("print(1)")

    monkeypatch.setattr("ponderosa.execution.link.command", lambda *_: ["/nowhere/python"])
    asyncio.run(main())


def test_the_same_program_runs_once_unless_nothing_is_kept():
    code = "import time\nprint(time.time_ns())"

    async def main(cache_size: int) -> set[str]:
        async with ForkServer(cache_size=cache_size) as executor:
            at_once = await asyncio.gather(*(executor.run(code) for _ in range(5)))
            again = await executor.run(code)
            return {result.stdout for result in (*at_once, again)}

    assert len(asyncio.run(main(cache_size=10))) == 1
    assert len(asyncio.run(main(cache_size=0))) == 6


def test_the_cache_forgets_what_was_not_used_for_longest():
    async def main():
        async with ForkServer(cache_size=2) as executor:
            codes = [f"import time\nprint({i}, time.time_ns())" for i in range(3)]
            a, b = [await executor.run(code) for code in codes[:2]]
            assert await executor.run(codes[0]) is a
            await executor.run(codes[2])
            assert await executor.run(codes[0]) is a
            assert await executor.run(codes[1]) != b

    asyncio.run(main())


def test_cancelled_programs_that_wait_are_not_run():
    async def main():
        async with ForkServer(Limits(wall_s=5), jobs=1) as executor:
            await executor.run("print('warm')")
            tasks = [asyncio.create_task(executor.run(f"import time\ntime.sleep(0.05) #{i}")) for i in range(300)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            start = time.monotonic()
            assert (await executor.run("print('next')")).ok
            return time.monotonic() - start

    assert asyncio.run(main()) < 300 * 0.05 / 2


def test_one_of_two_who_await_the_same_program_may_leave():
    async def main():
        async with ForkServer() as executor:
            code = "import time\ntime.sleep(0.1)\nprint('done')"
            stays, leaves = (asyncio.create_task(executor.run(code)) for _ in range(2))
            await asyncio.sleep(0.02)
            leaves.cancel()
            assert (await stays).stdout == "done\n"

    asyncio.run(main())


def test_a_forked_process_is_told_to_make_its_own_executor():
    async def attempt(executor):
        return await executor.run("print(2)")

    executor = ForkServer()
    assert asyncio.run(executor.run("print(1)")).ok
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(attempt(executor))
        except BackendError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert asyncio.run(executor.run("print(3)")).ok
    asyncio.run(executor.close())


def test_many_programs_leave_no_descriptor_and_no_child_behind():
    async def main():
        async with ForkServer(Limits(wall_s=2), cache_size=0) as executor:
            await executor.run("print(1)")
            own = len(os.listdir("/proc/self/fd"))
            codes = ["print(1)", "1/0", "import os; os._exit(1)", "print('x' * 10**6)", "import os; os.close(1)"]
            for _ in range(20):
                results = await asyncio.gather(*(executor.run(code) for code in codes))
            await executor.run("while True: pass")
            assert len(os.listdir("/proc/self/fd")) == own
            assert len(children_of(executor.pids[0])) == 1  # the zygote
            return results

    results = asyncio.run(main())
    assert [result.status for result in results] == [
        Status.OK, Status.ERROR, Status.CRASHED, Status.OUTPUT_LIMIT, Status.OK,
    ]  # fmt: skip
