"""The system calls that a program may make, as seccomp filters: an allow-list; everything else fails with EPERM.

Failing instead of killing turns a forbidden request into an ordinary Python exception, which the result can name.

Both filters are installed once, in the process from which all programs are forked. So they cannot know which process
makes a call. Where that matters (who may fork, who gets a signal) `questions` has the kernel ask the server, which
knows.
"""

import errno
import fcntl
import os
import platform
import resource
import struct
from collections.abc import Iterable

from . import kernel

# name: (x86-64, arm64); None where the architecture has no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # files that are open, and their names; opening is restricted below, reaching by Landlock
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "readv": (19, 65),
    "writev": (20, 66), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "close_range": (436, 436),
    "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "madvise": (28, 233),
    # time, waiting, own signals
    "gettimeofday": (96, 169), "clock_gettime": (228, 113), "clock_getres": (229, 114), "time": (201, None),
    "times": (100, 153), "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "restart_syscall": (219, 128),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102), "futex": (202, 98), "sched_yield": (24, 124),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    # who and where am I
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getrusage": (98, 165), "getrlimit": (97, 163), "uname": (63, 160),
    "sysinfo": (99, 179), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "getrandom": (318, 278),
    # commands and their descriptors, on the one socket there is: no program can make another
    "recvmsg": (47, 212),
    # the end
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_OPENAT = (257, 56)
_FCNTL = (72, 25)
_IOCTL = (16, 29)
_PRLIMIT = (302, 261)
_PRCTL = (157, 167)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_KILL = (62, 129)
_TGKILL = (234, 131)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
_X32 = 0x40000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000  # the last is __O_TMPFILE
_TCGETS, _FIOCLEX, _FIONCLEX = 0x5401, 0x5451, 0x5450
# F_SETOWN and F_SETSIG would make the kernel send signals to others on the program's behalf.
_FCNTLS = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL)

_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_ASK = 0x7FC00000
_ERRNO = 0x00050000
_NUMBER, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Whether the system call table of this machine's architecture is known."""
    return platform.machine() in _ARCHITECTURES


def clone_number() -> int:
    """The number of the system call `clone`."""
    return _CLONE[_ARCHITECTURES[platform.machine()][0]]


def questions() -> bytes:
    """The filter that asks the listener about every fork and every signal, as an array of `struct sock_filter`."""
    index, arch = _ARCHITECTURES[platform.machine()]
    asked = [_CLONE[index], _KILL[index], _TGKILL[index]]
    return _packed(
        [
            (_LOAD, 0, 0, _ARCH),
            (_JEQ, 0, 1 + len(asked), arch),  # calls of another architecture are `allow_list`'s to refuse
            (_LOAD, 0, 0, _NUMBER),
            *((_JEQ, len(asked) - i, 0, number) for i, number in enumerate(asked)),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ASK),
        ]
    )


def allow_list(*, open_files: bool = True) -> bytes:
    """The filter that allows what is listed, as an array of `struct sock_filter`. Files may be opened if `open_files`,
    for reading.
    """
    index, arch = _ARCHITECTURES[platform.machine()]
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, arch),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_JGE, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        *_rule(_CLONE3[index], [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]),  # makes libc fall back to the older clone
        *_rule(_CLONE[index], _one_of(0, (kernel.CLONE_SIBLING,))),  # and the server is asked
        *_rule(_FCNTL[index], _one_of(1, _FCNTLS)),
        *_rule(_IOCTL[index], _one_of(1, (_TCGETS, _FIOCLEX, _FIONCLEX))),
        *_rule(_PRCTL[index], _dying_with_parent()),
        *_rule(_PRLIMIT[index], _own_cpu_limit_or_reading()),
    ]
    if open_files:
        program += _rule(_OPENAT[index], _none_of(2, _WRITING))
    allowed = [n for numbers in _ALLOWED.values() if (n := numbers[index]) is not None]
    for number in (*allowed, _KILL[index], _TGKILL[index]):  # signals: the server is asked
        program += _rule(number, [(_RETURN, 0, 0, _ALLOW)])
    return _packed([*program, (_RETURN, 0, 0, _ERRNO | errno.EPERM)])


def _packed(program: list[Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _argument(i: int, *, high: bool = False) -> Instruction:
    return (_LOAD, 0, 0, _ARGS + 8 * i + (4 if high else 0))


def _rule(number: int, body: list[Instruction]) -> list[Instruction]:
    """If this is system call `number`: `body`, which must return."""
    return [(_JEQ, 0, len(body), number), *body]


def _one_of(argument: int, values: Iterable[int]) -> list[Instruction]:
    values = list(values)
    tests = [(_JEQ, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(argument), *tests, (_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _none_of(argument: int, bits: int) -> list[Instruction]:
    return [
        _argument(argument),
        (_JSET, 0, 1, bits),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _dying_with_parent() -> list[Instruction]:
    """prctl(PR_SET_PDEATHSIG, SIGKILL) and nothing else: a program cannot take it back."""
    return [
        _argument(0),
        (_JEQ, 0, 3, 1),
        _argument(1),
        (_JEQ, 0, 1, 9),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]


def _own_cpu_limit_or_reading() -> list[Instruction]:
    """prlimit: limits may be read, and the process's own limit of CPU time set, which can only lower it."""
    return [
        _argument(2),
        (_JEQ, 0, 2, 0),
        _argument(2, high=True),
        (_JEQ, 4, 0, 0),
        _argument(0),
        (_JEQ, 0, 3, 0),
        _argument(1),
        (_JEQ, 0, 1, resource.RLIMIT_CPU),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
