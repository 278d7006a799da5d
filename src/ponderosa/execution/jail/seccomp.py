"""The system calls that a program may make, as a seccomp filter: an allow-list; everything else fails with EPERM.

Failing instead of killing turns a forbidden request into an ordinary Python exception, which the result can name.
"""

import errno
import fcntl
import os
import platform
import struct
from collections.abc import Iterable

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
    # the end
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_OPENAT = (257, 56)
_FCNTL = (72, 25)
_IOCTL = (16, 29)
_KILL = (62, 129)
_TGKILL = (234, 131)
_PRLIMIT = (302, 261)
_CLONE3 = (435, 435)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
_X32 = 0x40000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000  # the last is __O_TMPFILE
_TCGETS, _FIOCLEX, _FIONCLEX = 0x5401, 0x5451, 0x5450
# F_SETOWN and F_SETSIG would make the kernel send signals to others on the program's behalf.
_FCNTLS = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL)

_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NUMBER, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data

_SELF = 0x5E1F5E1F  # stands for the process id, which no process has: they end at 2**22

Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Whether the system call table of this machine's architecture is known."""
    return platform.machine() in _ARCHITECTURES


def allow_list(*, open_files: bool = True) -> bytes:
    """The filter, as an array of `struct sock_filter`, to be completed by `for_process`.

    Files may be opened for reading if `open_files`; signals may go to the process itself alone.
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
        *_rule(_FCNTL[index], _one_of(1, _FCNTLS)),
        *_rule(_IOCTL[index], _one_of(1, (_TCGETS, _FIOCLEX, _FIONCLEX))),
        *_rule(_KILL[index], _one_of(0, (_SELF,))),
        *_rule(_TGKILL[index], _one_of(0, (_SELF,))),
        *_rule(_PRLIMIT[index], _null(2)),  # reading the limits, not setting them
    ]
    if open_files:
        program += _rule(_OPENAT[index], _none_of(2, _WRITING))
    program += _search(sorted(n for numbers in _ALLOWED.values() if (n := numbers[index]) is not None))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def for_process(instructions: bytes, pid: int) -> bytes:
    """`allow_list`'s filter for the process `pid`: building it takes longer than a program, filling it in does not."""
    return instructions.replace(struct.pack("I", _SELF), struct.pack("I", pid))


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


def _null(argument: int) -> list[Instruction]:
    return [
        _argument(argument),
        (_JEQ, 0, 2, 0),
        _argument(argument, high=True),
        (_JEQ, 1, 0, 0),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _search(numbers: list[int]) -> list[Instruction]:
    """Allows `numbers` (sorted) and nothing else, by binary search: the kernel walks the filter for every call there is
    when it is installed, once a program, so that a long chain of comparisons would cost."""
    if not numbers:
        return [(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    if len(numbers) <= 2:
        return [*(jump for n in numbers for jump in _rule(n, [(_RETURN, 0, 0, _ALLOW)])), *_search([])]
    middle = len(numbers) // 2
    low = _search(numbers[:middle])
    return [(_JGE, len(low), 0, numbers[middle]), *low, *_search(numbers[middle:])]
