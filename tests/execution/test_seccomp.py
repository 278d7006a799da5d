import errno
import platform
import re
import struct
from pathlib import Path

import pytest

from ponderosa.execution.jail import seccomp

ALLOW, ASK = 0x7FFF0000, 0x7FC00000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
SIBLING = 0x00008000 | 17  # CLONE_PARENT | SIGCHLD
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
DENIED = {  # x86-64, arm64; from the kernel's own tables
    "socket": (41, 198), "clone": (56, 220), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "connect": (42, 203), "mount": (165, 40), "memfd_create": (319, 279), "io_uring_setup": (425, 425),
    "rt_sigqueueinfo": (129, 138), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "keyctl": (250, 219),
    "process_vm_readv": (310, 270), "unlinkat": (263, 35), "prctl": (157, 167), "bpf": (321, 280), "setuid": (105, 146),
    "tkill": (200, 130), "openat2": (437, 437), "unshare": (272, 97), "truncate": (76, 45), "chmod": (90, None),
    "fork": (57, None), "vfork": (58, None), "open": (2, None), "unlink": (87, None), "creat": (85, None),
}  # fmt: skip


def evaluate(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel's interpreter returns: the few instructions that the filter uses."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    accumulator, at = 0, 0
    while True:
        code, true, false, k = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("I", data, k)
        elif code == 0x06:
            return k
        else:
            holds = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            at += true if holds else false


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return request.param


@pytest.fixture
def call(machine):
    """What the kernel does with a call under both filters: the stricter answer, which is the smaller one."""
    programs = seccomp.allow_list(), seccomp.questions()
    return lambda number, *arguments: min(evaluate(p, ARCHITECTURES[machine], number, *arguments) for p in programs)


@pytest.fixture
def index(machine):
    return sorted(ARCHITECTURES, reverse=True).index(machine)


def test_every_listed_call_is_allowed_and_no_other_number(call, index):
    listed = {numbers[index] for numbers in seccomp._ALLOWED.values()}
    conditional = {
        numbers[index]
        for numbers in (
            seccomp._OPENAT, seccomp._FCNTL, seccomp._IOCTL, seccomp._KILL, seccomp._TGKILL, seccomp._PRLIMIT,
            seccomp._CLONE, seccomp._CLONE3, seccomp._PRCTL,
        )
    }  # fmt: skip
    for number in set(range(700)) - conditional:
        assert call(number) == (ALLOW if number in listed else EPERM), number


@pytest.mark.parametrize("name", sorted(DENIED))
def test_what_reaches_out_is_denied(call, index, name):
    if (number := DENIED[name][index]) is not None:
        assert call(number) == EPERM


def test_the_x32_calls_and_other_architectures_are_denied(machine):
    program = seccomp.allow_list()
    assert evaluate(program, ARCHITECTURES[machine], 0x40000000) == EPERM
    assert evaluate(program, 0x40000003, 3) == EPERM  # read of 32-bit x86


def test_files_open_for_reading_alone(call, index):
    openat = seccomp._OPENAT[index]
    assert call(openat, 0, 0, 0) == ALLOW
    for flags in (1, 2, 0o100, 0o1000, 0o2000, 0o20000000):
        assert call(openat, 0, 0, flags) == EPERM


def test_without_landlock_no_file_opens(machine, index):
    program = seccomp.allow_list(open_files=False)
    assert evaluate(program, ARCHITECTURES[machine], seccomp._OPENAT[index]) == EPERM


def test_the_server_is_asked_about_signals(call, index):
    for numbers in (seccomp._KILL, seccomp._TGKILL):
        for pid in (0, 1, 4242, 0xFFFFFFFF):
            assert call(numbers[index], pid) == ASK


def test_the_server_is_asked_about_one_way_of_forking_and_all_others_are_denied(call, index):
    assert call(seccomp._CLONE[index], SIBLING) == ASK
    as_libc_forks, thread, new_user_namespace = 0x01200011, 0x003D0F00, SIBLING | 0x10000000
    for flags in (0, 17, as_libc_forks, thread, new_user_namespace):
        assert call(seccomp._CLONE[index], flags) == EPERM


def test_dying_with_the_parent_can_be_asked_for_and_not_taken_back(call, index):
    pdeathsig, dumpable, sigkill = 1, 4, 9
    assert call(seccomp._PRCTL[index], pdeathsig, sigkill) == ALLOW
    for option, value in ((pdeathsig, 0), (pdeathsig, 17), (dumpable, sigkill), (dumpable, 1)):
        assert call(seccomp._PRCTL[index], option, value) == EPERM


def test_limits_can_be_read_and_only_the_own_cpu_limit_set(call, index):
    cpu, files, address = 0, 7, 0x1_0000_0000
    assert call(seccomp._PRLIMIT[index], 0, files, 0) == ALLOW
    assert call(seccomp._PRLIMIT[index], 0, cpu, 0x1000) == ALLOW
    assert call(seccomp._PRLIMIT[index], 0, cpu, address) == ALLOW
    for pid, limit in ((0, files), (1, cpu), (4242, cpu)):
        for new in (0x1000, address):
            assert call(seccomp._PRLIMIT[index], pid, limit, new) == EPERM


def test_signal_ownership_of_descriptors_cannot_be_set(call, index):
    f_getfl, f_setown, f_setsig = 3, 8, 10
    assert call(seccomp._FCNTL[index], 1, f_getfl) == ALLOW
    assert call(seccomp._FCNTL[index], 1, f_setown) == EPERM
    assert call(seccomp._FCNTL[index], 1, f_setsig) == EPERM


def test_clone3_seems_not_to_exist_so_that_libc_tries_clone(call, index):
    assert call(seccomp._CLONE3[index]) == ENOSYS


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def test_the_numbers_are_those_of_the_kernel_headers(machine, index):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    defined = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", HEADERS[machine].read_text(), re.MULTILINE)
    table = {"fstatat": None} | dict(defined)
    table.setdefault("newfstatat", table["fstatat"])  # the generic header's name for it
    for name, numbers in (seccomp._ALLOWED | {"openat": seccomp._OPENAT, "prlimit64": seccomp._PRLIMIT}).items():
        if numbers[index] is not None:
            assert table[name] == str(numbers[index]), name
