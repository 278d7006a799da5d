"""The warm process from which all others of a server are forked: loads what programs import, and puts up the fence.

The fence is put up once, here. It holds for all that is forked, at no cost for any of them.
"""

import gc
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import cell, kernel, seccomp, warmup
from .frames import encode

# Shared libraries that extension modules load, and time zones.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo")


def run(
    channel: socket.socket,
    *,
    server: int,
    preload: Sequence[str],
    packages: Sequence[str],
    memory_bytes: int,
    output_bytes: int,
    clock: float | None,
) -> NoReturn:
    """Becomes the zygote of the process `server`. Says on `channel`, which is descriptor `cell.CHANNEL`, what fences
    it in, and passes on the descriptor on which the kernel asks about forks and signals. Then it waits to be forked.
    """
    namespaces = kernel.unshare()
    kernel.die_with_parent(server)
    sys.path += packages
    warmup.load(preload)
    if clock is not None:
        warmup.stop_clock(clock)
    readable = [*sys.path, *_LIBRARIES]
    # Children copy a page when they write to it: keep the collector from touching what is loaded.
    gc.collect()
    gc.freeze()
    gc.disable()
    kernel.limit_resources(kernel.address_space() + memory_bytes)
    kernel.give_up_privileges()
    landlock = kernel.landlock_abi()
    if landlock:
        kernel.restrict_files(readable)
    listener = kernel.install_filter(seccomp.questions(), listener=True)
    socket.send_fds(channel, [encode({"landlock": landlock, "namespaces": namespaces})], [listener])
    kernel.close_from(cell.CHANNEL + 1)
    kernel.install_filter(seccomp.allow_list(open_files=landlock > 0))
    cell.wait_to_fork(channel, server, output_bytes)
