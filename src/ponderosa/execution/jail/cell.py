"""The processes inside the jail: the zygote, from which all others are forked, and the cells, which run programs.

None of them is trusted once a program has run in it: the server decides who may fork, measures time, and learns a
process's id from the kernel. All are children of the server, and members of the zygote's process group for good, so
that none can hide. A cell talks with the server over one socket, in frames, after the byte `HELLO`:

    -> {"kind": "once", "cpu_s": 3, "code": "print(1)"}     a program; the cell reports, and ends
    -> {"kind": "keep", "cpu_s": 3, "code": "x = 1"}        a program; the cell reports, and waits to be forked
    -> {"kind": "shared", "cpu_s": 60}                      programs one after another: {"id": 7, "code": ...}, ...
    -> {"kind": "test", "cpu_s": 3}                         nothing: the cell tries what must be denied
    <- {"status": "ok", "cpu_s": 0.001, ...}                a report for each

The byte `FORK`, which brings two descriptors (the new cell's standard output and its socket), has the zygote or a kept
cell fork. The program of a cell that is forked from a kept one goes on where that one's ended.
"""

import builtins
import gc
import os
import socket
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from . import kernel, selftest, shared
from .frames import Decoder, encode
from .program import Program, restore_builtins

CHANNEL = 3
"""The descriptor of a process's socket."""
HELLO = b"h"
FORK = b"f"

_CHUNK = 1 << 16

# Bound now, for a program may replace the names in these modules: a process that it has run in must end when told to,
# and not fall into the loop that it was forked from.
_clone, _close_from, _die_with_parent = kernel.clone_sibling, kernel.close_from, kernel.die_with_parent
_exit, _read, _write, _dup2 = os._exit, os.read, os.write, os.dup2
_receive_descriptors = socket.recv_fds
_cpu_time = time.process_time
_BUILTINS, _restore_builtins = builtins.__dict__, restore_builtins


def wait_to_fork(channel: socket.socket, server: int, output_bytes: int, program: Program | None = None) -> NoReturn:
    """Forks a cell whenever the server says so, until it hangs up. `program` is what has run here, if anything has."""
    try:
        while True:
            data, descriptors, _, _ = _receive_descriptors(channel, 1, 2)
            if not data:
                _exit(0)
            try:
                is_cell = _clone() == 0
            except OSError:  # too many processes: the server hears the new channel's end
                is_cell = False
            if is_cell:
                stdout, socket_end = descriptors
                _dup2(stdout, 1)
                _dup2(socket_end, CHANNEL)  # which makes `channel` the new cell's
                _close_from(CHANNEL + 1)
                _die_with_parent(server)
                _write(CHANNEL, HELLO)
                _serve(channel, server, output_bytes, program)
            _close_from(CHANNEL + 1)
    finally:
        while True:
            _exit(1)


def _serve(channel: socket.socket, server: int, output_bytes: int, program: Program | None) -> NoReturn:
    """Does what the server asks of a new cell."""
    orders = _orders()
    order = next(orders)
    kernel.limit_cpu_time(order["cpu_s"])
    gc.enable()
    match order["kind"]:
        case "once" | "keep":
            keep = order["kind"] == "keep"
            program = program or Program()
            record = program.go_on(order["code"])
            if record["status"] != "ok" or not keep:
                ended = program.end()
                record = ended if record["status"] == "ok" else record
            _report({**record, "cpu_s": round(_cpu_time(), 6)})
            if keep and record["status"] == "ok":
                wait_to_fork(channel, server, output_bytes, program)
        case "shared":
            for order in orders:
                before = _cpu_time()
                printed = shared.run(order["code"], output_bytes)
                _report({"id": order["id"], "stdout": printed, "cpu_s": round(_cpu_time() - before, 6)})
        case "test":
            _report({"status": "ok", "undenied": selftest.undenied()})
    _exit(0)


def _report(record: dict[str, Any]) -> None:
    theirs = _restore_builtins()
    frame = encode(record)
    while frame:
        frame = frame[_write(CHANNEL, frame) :]
    _BUILTINS.update(theirs)  # the next step finds them as this one left them


def _orders() -> Iterator[dict[str, Any]]:
    decoder = Decoder()
    while data := _read(CHANNEL, _CHUNK):
        yield from decoder.feed(data)
