"""What a hostile program can do, seen from outside."""

import os
import socket
import time
from pathlib import Path

import pytest

from ponderosa.core import Status


@pytest.fixture
def canary(tmp_path) -> Path:
    path = tmp_path / "canary"
    path.write_text("alive")
    return path


ATTACKS_ON_A_FILE = {
    "read": "print(open({path!r}).read())",
    "write": "open({path!r}, 'w').write('dead')",
    "append": "import os\nos.write(os.open({path!r}, os.O_WRONLY | os.O_APPEND), b'dead')",
    "remove": "import os\nos.unlink({path!r})",
    "rename": "import os\nos.rename({path!r}, {path!r} + '2')",
    "truncate": "import os\nos.truncate({path!r}, 0)",
    "permissions": "import os\nos.chmod({path!r}, 0)",
    "link": "import os\nos.link({path!r}, {path!r} + '2')",
    "new file beside": "open({path!r} + '2', 'x')",
    "list": "import os\nprint(os.listdir(os.path.dirname({path!r})))",
}


@pytest.mark.parametrize("attack", ATTACKS_ON_A_FILE)
def test_files_are_out_of_reach(run, canary, attack):
    result = run(ATTACKS_ON_A_FILE[attack].format(path=str(canary)))
    assert result.status is Status.REFUSED
    assert result.stdout == ""
    assert canary.read_text() == "alive"
    assert canary.stat().st_mode & 0o777 == 0o644 & ~_umask()
    assert os.listdir(canary.parent) == ["canary"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "/proc/self/mem", "/dev/zero", "/tmp", "/proc/1/status", str(Path.home())],
)
def test_the_system_cannot_be_read(run, path):
    assert run(f"import os\nos.open({path!r}, os.O_RDONLY)").status is Status.REFUSED


def test_the_network_is_out_of_reach(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        assert run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 0.5)").status is Status.REFUSED
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("code", ["socket.AF_INET, socket.SOCK_DGRAM", "socket.AF_UNIX"])
def test_no_socket_can_be_made(run, code):
    assert run(f"import socket\nsocket.socket({code})").status is Status.REFUSED


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.fork()",
        "import os\nos.execv('/bin/true', ['true'])",
        "import os\nos.posix_spawn('/bin/true', ['true'], {})",
        "import subprocess\nsubprocess.run(['true'])",
        "import multiprocessing as m\nm.Process(target=print).start()",
        "import os\nos.setsid()",
        "import os\nos.setuid(1)",
        "import os\nos.memfd_create('x')",
        "import os\nos.mkdir('/tmp/made-by-a-program')",
        "import os\nos.chdir('/tmp')",
    ],
)
def test_processes_and_privileges_are_refused(run, code):
    assert run(code).status is Status.REFUSED


def test_no_limit_can_be_changed(run):
    for limit in ("CPU, (99, 99)", "AS, (-1, -1)", "NOFILE, (32, 32)"):
        result = run(f"import resource\nresource.setrlimit(resource.RLIMIT_{limit})")
        assert result.error == "ValueError: not allowed to raise maximum limit"  # CPython's words for EPERM


@pytest.mark.parametrize(
    "target", ["os.getppid()", "0", "-1", str(os.getpid())], ids=["parent", "group", "all", "tests"]
)
def test_no_other_process_can_be_signalled(run, target):
    assert run(f"import os\nos.kill({target}, 9)").status is Status.REFUSED
    assert run("print(1)").ok


def test_the_environment_holds_nothing_of_the_parents(run, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    result = run("import os\nprint(sorted(os.environ))")
    assert "SECRET" not in result.stdout
    assert "HOME" not in result.stdout


def test_a_program_holds_no_descriptor_but_its_own(run):
    listing = (
        "import os\nfor fd in range(256):\n    try: os.fstat(fd)\n    except OSError: continue\n    print(fd, end=' ')"
    )
    assert run(listing).stdout == "0 1 2 3 "


def test_the_server_cannot_be_reached_through_frames(run):
    climb = (
        "import sys, gc\nframe = sys._getframe()\nwhile frame.f_back: frame = frame.f_back\n"
        "import socket\nsockets = [o for o in gc.get_objects() if isinstance(o, socket.socket)]\n"
        "gc.unfreeze()\nsockets += [o for o in gc.get_objects() if isinstance(o, socket.socket)]\n"
        "for s in sockets: s.send(b'forged')"
    )
    assert run(climb).status is Status.REFUSED
    assert run("print(1)").stdout == "1\n"


def test_a_forged_report_can_only_lie_about_its_own_program(run):
    forge = 'import os\nreport = b\'{{"status": "ok", "id": 0, "stdout": "x"}}\'\nos.write(3, {})\nos._exit(0)'
    result = run(forge.format("len(report).to_bytes(4, 'big') + report"))
    assert (result.status, result.stdout) == (Status.OK, "")
    assert run(forge.format("report")).status is Status.CRASHED
    assert run(forge.format("b'\\0\\0\\0\\2[]'")).status is Status.CRASHED
    assert run("print(1)").stdout == "1\n"


def test_nothing_outlives_its_program(run):
    before = _children()
    run("while True: pass")
    time.sleep(0.05)
    assert _children() == before


def _children() -> set[str]:
    """The processes that run from the test's executor: those whose command line holds the jail's start."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if b"from jail import server" in command and f'"parent": {os.getpid()}'.encode() in command:
                found.add(entry)
    return found
