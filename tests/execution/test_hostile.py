"""Hostile programs through the public command, as root and as an unprivileged user, and what is left of them."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from string import Template

import pytest

from ponderosa.core import Status

from .hostile import PROGRAMS
from .users import AS_NOBODY, SECRET, environment, python_for_all


def users() -> list[str]:
    return ["root", "nobody"] if os.getuid() == 0 else ["user"]


@pytest.fixture(params=users())
def command(request) -> list[str]:
    """The words that start `ponderosa` as that user."""
    if request.param != "nobody":
        return [sys.executable, "-m", "ponderosa"]
    python = python_for_all()
    if python is None:
        pytest.skip("Python or this checkout is in a folder that an unprivileged user cannot read")
    return [*AS_NOBODY, python, "-m", "ponderosa"]


@pytest.fixture
def target(tmp_path):
    """What hostile programs are after, and what has become of it."""
    folder = tmp_path / "target"
    folder.mkdir()
    canary = folder / "canary"
    canary.write_text("alive")
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == canary.owner() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o755)
    folder.chmod(0o777)
    canary.chmod(0o666)
    yield folder
    assert os.listdir(folder) == ["canary"]
    assert canary.read_text() == "alive"
    assert canary.stat().st_mode & 0o777 == 0o666
    assert canary.stat().st_mtime > 1e9


@pytest.fixture
def victim(command):
    """Another process of the same user, which must live."""
    with subprocess.Popen([*command[:-3], "/bin/sleep", "600"], env=environment()) as process:
        yield process.pid
        lives = process.poll() is None
        process.kill()
    assert lives


def test_nothing_escapes(command, target, victim, tmp_path):
    abstract = f"ponderosa-{os.getpid()}"
    local = tmp_path / "socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as nameless,
    ):
        udp.bind(("127.0.0.1", 0))
        named.bind(str(local))
        local.chmod(0o777)
        nameless.bind(f"\0{abstract}")
        named.listen()
        nameless.listen()
        values = {
            "canary": target / "canary", "folder": target, "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1],
            "local": local, "abstract": abstract, "victim": victim,
        }  # fmt: skip
        codes = {name: Template(code).safe_substitute(values) for name, (code, _) in PROGRAMS.items()}
        file = tmp_path / "programs.jsonl"
        file.write_text("".join(json.dumps({"code": code}) + "\n" for code in codes.values()))
        file.chmod(0o644)
        words = [*command, "sandbox", "run", "--timeout", "1", "--memory", "256", str(file)]
        with subprocess.Popen(
            words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            stdout, stderr = process.communicate(timeout=200)
        assert process.returncode == 0, stderr
        for listener in (tcp, udp, named, nameless):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.recv(1) if listener is udp else listener.accept()
    results = dict(zip(codes, map(json.loads, stdout.splitlines()), strict=True))
    unexpected = {
        name: (result["status"], result["stdout"][:200], result["error_message"])
        for name, result in results.items()
        if any(word in result["stdout"] for word in ("ESCAPED", SECRET))
        or Status(result["status"]) not in PROGRAMS[name][1]
    }
    assert not unexpected, "\n".join(f"{name}: {why}" for name, why in unexpected.items())
    deadline = time.monotonic() + 5
    while (left := _started_for(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert not [path for path in ("/tmp/ponderosa-fill", "/dev/shm/ponderosa-fill") if os.path.exists(path)]


def _started_for(client: int) -> set[str]:
    """The processes of the executors of `client`: all have their server's command line, which names it."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if b"from jail import" in words and f'"parent": {client},'.encode() in words:
                found.add(entry)
    return found


def test_the_suite_is_as_large_as_promised():
    assert len(PROGRAMS) >= 80
