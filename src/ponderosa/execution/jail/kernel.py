"""The Linux primitives that fence a program in, through ctypes: prctl, seccomp, Landlock, capabilities, rlimits.

Every function raises OSError if the kernel refuses, so that nothing is silently left open.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CLOSE_RANGE = 436
_CAPSET = {"x86_64": 126}.get(os.uname().machine, 91)
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_CREATE_VERSION = 1
_LANDLOCK_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, *arguments: object) -> None:
    padded = [*arguments, *[ctypes.c_ulong(0)] * (4 - len(arguments))]
    _check(_libc.prctl(ctypes.c_int(option), *padded), f"prctl({option})")


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when its parent, the process `parent`, ends."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), signal.SIGKILL)


def close_from(descriptor: int) -> None:
    """Closes `descriptor` and every one above."""
    last, flags = ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0)
    _check(_syscall(_CLOSE_RANGE, ctypes.c_uint(descriptor), last, flags), "close_range")


def give_up_privileges() -> None:
    """No privilege can be gained by exec any more, none is held, and other processes cannot look into this one."""
    _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    _prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))
    version3 = struct.pack("Ii", 0x20080522, 0)
    _check(_syscall(_CAPSET, ctypes.c_char_p(version3), ctypes.c_char_p(bytes(24))), "capset")


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 without it."""
    version = _syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_LANDLOCK_CREATE_VERSION))
    return max(version, 0)


def restrict_files(readable: Iterable[str]) -> None:
    """From now on this process and its children can only read, and only beneath the paths `readable`.

    Where the kernel's Landlock can, TCP and signals and abstract sockets to outside are denied as well.
    """
    abi = landlock_abi()
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):  # refer, truncate, ioctl on devices
        if abi >= since:
            files |= 1 << bit
    network = 0b11 if abi >= 4 else 0
    scopes = 0b11 if abi >= 6 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("QQQ", files, network, scopes)[:size]
    ruleset = _check(
        _syscall(_LANDLOCK_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint(0)),
        "landlock_create_ruleset",
    )
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        _check(_syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0)), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # a path that cannot be reached needs no permission
        return
    try:
        rights = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
        rule = struct.pack("=Qi", rights, descriptor)
        _check(
            _syscall(
                _LANDLOCK_ADD,
                ctypes.c_int(ruleset),
                ctypes.c_int(_LANDLOCK_PATH_BENEATH),
                ctypes.c_char_p(rule),
                ctypes.c_uint(0),
            ),
            "landlock_add_rule",
        )
    finally:
        os.close(descriptor)


def limit_resources(memory_bytes: int, cpu_s: int) -> None:
    """`memory_bytes` bounds the address space, what the process inherited included."""
    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (value, value))


def allow_system_calls(instructions: bytes) -> None:
    """Installs a seccomp filter (see `seccomp.allow_list`) for good. Needs `give_up_privileges` first."""
    program = _FilterProgram(len(instructions) // 8, instructions)
    _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program))


def address_space() -> int:
    """Bytes of address space that this process has mapped."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
