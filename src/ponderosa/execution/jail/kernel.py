"""The Linux primitives that fence programs in, through ctypes: prctl, seccomp, Landlock, capabilities, rlimits, clone.

Every function raises OSError if the kernel refuses, so that nothing is silently left open.
"""

import ctypes
import fcntl
import os
import resource
import signal
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
# Holds the interpreter's lock during the call: a process that comes out of `clone` holds it too.
_libc_locked = ctypes.PyDLL(None, use_errno=True)

# (x86-64, arm64)
_ARM = os.uname().machine in ("aarch64", "arm64")
_CAPSET, _CLONE, _SECCOMP = (91, 220, 277) if _ARM else (126, 56, 317)
_CLOSE_RANGE = 436
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_NEW_LISTENER = 1, 1 << 3
_NOTIFICATION_RECEIVE, _NOTIFICATION_SEND = 0xC0502100, 0xC0182101
_NOTIFICATION_CONTINUE = 1
_LANDLOCK_CREATE_VERSION = 1
_LANDLOCK_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_NEW_USER, _NEW_NET, _NEW_IPC, _NEW_UTS = 0x10000000, 0x40000000, 0x08000000, 0x04000000

CLONE_SIBLING = 0x00008000 | signal.SIGCHLD
"""The flags of `clone_sibling`: CLONE_PARENT, and the signal at its end."""


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
        os._exit(1)


def clone_sibling() -> int:
    """Forks a process whose parent is this one's parent: 0 in the new process, its id in this one.

    Python's and libc's hooks around `fork` do not run, which a process with one thread can do without.
    """
    nothing = ctypes.c_ulong(0)
    flags = ctypes.c_ulong(CLONE_SIBLING)
    return _check(_libc_locked.syscall(ctypes.c_long(_CLONE), flags, nothing, nothing, nothing, nothing), "clone")


def close_from(descriptor: int) -> None:
    """Closes `descriptor` and every one above."""
    last, flags = ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0)
    _check(_syscall(_CLOSE_RANGE, ctypes.c_uint(descriptor), last, flags), "close_range")


def unshare() -> tuple[str, ...]:
    """Moves this process into namespaces of its own, which have no network: the names of those it got, often none."""
    parts = _NEW_NET | _NEW_IPC | _NEW_UTS
    if _libc.unshare(ctypes.c_int(parts)) == 0:
        return ("network", "ipc", "uts")
    if _libc.unshare(ctypes.c_int(parts | _NEW_USER)) == 0:
        return ("user", "network", "ipc", "uts")
    return ()


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


def limit_resources(memory_bytes: int) -> None:
    """`memory_bytes` bounds the address space, what is mapped already included. Children inherit the limits."""
    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (value, value))


def limit_cpu_time(seconds: int) -> None:
    """Of this process, since its start."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def install_filter(instructions: bytes, *, listener: bool = False) -> int:
    """Installs a seccomp filter (see `seccomp`) for good, also for all children. Needs `give_up_privileges` first.

    Returns a descriptor that receives the calls which the filter asks about, if `listener`.
    """
    program = _FilterProgram(len(instructions) // 8, instructions)
    flags = ctypes.c_uint(_SECCOMP_NEW_LISTENER if listener else 0)
    operation = ctypes.c_uint(_SECCOMP_SET_MODE_FILTER)
    return _check(_syscall(_SECCOMP, operation, flags, ctypes.byref(program)), "seccomp")


@dataclass(frozen=True, slots=True)
class Question:
    """A system call that waits for a word: its process, number and first argument."""

    id: int
    pid: int
    number: int
    argument: int


def next_question(listener: int) -> Question | None:
    """The next call that a filter asks about; None if its process was killed meanwhile."""
    buffer = bytearray(80)  # struct seccomp_notif: id, pid, flags, then nr, arch, instruction pointer, six arguments
    try:
        fcntl.ioctl(listener, _NOTIFICATION_RECEIVE, buffer)
    except FileNotFoundError:
        return None
    id, pid, _, number, _, _, argument = struct.unpack_from("=QIIiIQQ", buffer)
    return Question(id, pid, number, argument)


def answer(listener: int, question: Question, refused_with: int = 0) -> None:
    """Lets the call go on as it is (its arguments are in registers, which nobody can change), or fail with an errno."""
    flags = 0 if refused_with else _NOTIFICATION_CONTINUE
    try:
        fcntl.ioctl(listener, _NOTIFICATION_SEND, struct.pack("=QqiI", question.id, 0, -refused_with, flags))
    except FileNotFoundError:  # killed while it waited
        return


def address_space() -> int:
    """Bytes of address space that this process has mapped."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")


def private_memory(pid: int) -> int:
    """About how many bytes process `pid` does not share with the one that it was forked from: the pages it touched."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return int(fields[7]) * os.sysconf("SC_PAGESIZE")  # minor faults
