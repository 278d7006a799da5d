"""The forked child of a server: fences itself in, runs one program, reports, and ends. It never returns."""

import gc
import json
import os
from typing import NoReturn

from . import kernel, program, seccomp

RESULT = 3
"""The descriptor of the pipe that takes the record of how the program ended."""

# Bound now: a program may replace the names in `os`, and a child that could not end would fall into the server's loop.
_exit = os._exit
_write = os.write
_dumps = json.dumps


def run(
    code: str, stdout: int, result: int, *, parent: int, memory_bytes: int, cpu_s: int, system_calls: bytes
) -> NoReturn:
    """Runs `code` with its output to the pipe `stdout` and its record to the pipe `result`.

    `system_calls` is `seccomp.allow_list`'s filter.
    """
    status = 1
    try:
        os.dup2(stdout, 1)
        os.dup2(result, RESULT, inheritable=False)
        kernel.close_from(RESULT + 1)
        kernel.die_with_parent(parent)
        kernel.limit_resources(memory_bytes, cpu_s)
        kernel.allow_system_calls(seccomp.for_process(system_calls, os.getpid()))
        gc.enable()
        record = program.run(code)
        _write(RESULT, _dumps(record).encode("ascii"))
        status = 0
    finally:
        while True:
            _exit(status)
