"""Runs one program in a process of its own, where the kernel offers no fence: limits on resources are all there is."""

import contextlib
import json
import os
import resource
import sys
from typing import Any

from . import program


def main(settings: dict[str, Any]) -> None:
    """Runs the program that standard input holds; the record is the last line on standard error."""
    code = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    report = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.path += settings["packages"]
    for limit, value in (
        (resource.RLIMIT_AS, settings["memory_bytes"]),
        (resource.RLIMIT_CPU, settings["cpu_s"]),
        (resource.RLIMIT_FSIZE, settings["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS refuses some
            resource.setrlimit(limit, (value, value))
    # Bound now: the program may replace the names in these modules.
    write, end, encode = os.write, os._exit, json.JSONEncoder().encode
    record = program.run(code)
    write(report, b"\n" + encode(record).encode("ascii"))
    end(0)
