"""What a fence must deny, tried from inside it before the first program comes."""

import errno
import os
import socket
from collections.abc import Callable

from . import kernel

ATTEMPTS: dict[str, Callable[[], object]] = {
    "opening a file for writing": lambda: os.open("/dev/null", os.O_WRONLY),
    "making a file": lambda: os.open("/tmp/ponderosa-self-test", os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600),
    "reading a file": lambda: os.open("/etc/hosts", os.O_RDONLY),
    "making a network socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "making a local socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "forking": os.fork,
    "forking like a server's process": kernel.clone_sibling,
    "starting a program": lambda: os.execv("/proc/self/exe", ["python", "-c", ""]),
    "signalling another process": lambda: os.kill(os.getppid(), 0),
    "raising a limit": lambda: kernel.limit_resources(1 << 62),
}
"""What is tried, by name. A program that was started, or a process that was forked, is an attempt that succeeded."""


def undenied() -> list[str]:
    """The attempts that were not denied."""
    return [name for name, attempt in ATTEMPTS.items() if not _denied(attempt)]


def _denied(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES)
    except ValueError:  # what `setrlimit` makes of EPERM
        return True
    return False
