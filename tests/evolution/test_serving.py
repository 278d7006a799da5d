import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ponderosa.cluster import model_server
from ponderosa.core import PonderosaError
from ponderosa.evolution.recipe import ExternalServer, OwnServer
from ponderosa.evolution.serving import Servers
from ponderosa.view.progress import Progress

VLLM = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join(sys.argv[5:]).encode())
    def log_message(self, *_):
        pass
if "worker" in words["--model"]:
    import subprocess
    open(words["--model"], "w").write(str(subprocess.Popen(["sleep", "600"]).pid))
if "broken" in words["--model"]:
    sys.exit("no such model")
HTTPServer((words["--host"], int(words["--port"])), Handler).serve_forever()
"""
"""Stands for vLLM: says for which words it was started."""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnServer:
    """A Python that has it."""
    package = tmp_path / "packages" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parents[1]):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text(VLLM)
    monkeypatch.setattr(model_server, "CHECK_S", 0.1)
    environment = {"PYTHONPATH": str(tmp_path / "packages")}
    return OwnServer(python=sys.executable, environment=environment, arguments=("--dtype", "float32"), ready_s=20)


@asynccontextmanager
async def opened(tmp_path: Path, **settings) -> AsyncIterator[Servers]:
    servers = Servers(settings, tmp_path / "logs", Progress())
    try:
        yield servers
    finally:
        await servers.stop()


def said(url: str | None) -> str:
    assert url is not None
    with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as response:
        return str(response.read().decode())


def test_each_model_is_served_by_a_server_of_its_own_until_training(vllm, tmp_path):
    async def main():
        async with opened(tmp_path, policy=vllm, ppm=vllm) as servers:
            async with servers.serving({"policy": str(tmp_path), "ppm": "owner/ppm"}) as names:
                assert said(names["policy"]) == f"--model {tmp_path} --dtype float32"
                assert said(names["ppm"]) == "--model owner/ppm --runner pooling --dtype float32"
            async with servers.serving({"policy": str(tmp_path), "ppm": None}) as again:
                assert again == {"policy": names["policy"], "ppm": None}
            await servers.stop()
            with pytest.raises(OSError, match="refused"):
                said(names["policy"])
            async with servers.serving({"policy": "owner/next", "ppm": None}) as names:
                assert "owner/next" in said(names["policy"])

    asyncio.run(main())


def test_another_checkpoint_takes_the_place_of_the_one_before(vllm, tmp_path):
    async def main():
        async with opened(tmp_path, policy=vllm) as servers:
            async with servers.serving({"policy": "owner/first"}) as first:
                pass
            async with servers.serving({"policy": "owner/second"}) as second:
                assert "owner/second" in said(second["policy"])
            with pytest.raises(OSError, match="refused"):
                said(first["policy"])

    asyncio.run(main())


def test_what_answers_by_itself_is_not_served_and_options_are_passed_on(vllm, tmp_path):
    async def main():
        chatting = vllm.model_copy(update={"options": "api=chat"})
        async with opened(tmp_path, policy=chatting) as servers:
            for name in ("http://elsewhere:8000?model=large", "scripted:table.json", None):
                async with servers.serving({"policy": name, "ppm": "a/ppm"}) as names:
                    assert names == {"policy": name, "ppm": "a/ppm"}
            async with servers.serving({"policy": "owner/policy?device=cpu"}) as names:
                assert names["policy"].endswith("?api=chat")
                assert said(names["policy"].partition("?")[0]).startswith("--model owner/policy --dtype")

    asyncio.run(main())


def test_a_server_that_is_killed_is_started_again_at_its_address(vllm, tmp_path):
    async def main():
        async with opened(tmp_path, policy=vllm) as servers:
            async with servers.serving({"policy": "owner/policy"}) as names:
                own = servers._servers["policy"]._server
                before = own.pid
                os.kill(before, signal.SIGKILL)
                while own.pid in (before, None) or not await asyncio.to_thread(model_server.answers, own.url):
                    await asyncio.sleep(0.05)
                assert "owner/policy" in said(names["policy"])

    asyncio.run(asyncio.wait_for(main(), 30))


def test_one_that_dies_again_and_again_ends_the_search_with_its_last_words(vllm, tmp_path, monkeypatch):
    monkeypatch.setattr(model_server, "RESTARTS", 1)

    async def main():
        async with opened(tmp_path, policy=vllm) as servers:
            async with servers.serving({"policy": "owner/policy"}):
                own = servers._servers["policy"]._server
                while True:
                    with suppress(ProcessLookupError):
                        os.kill(own.pid or 0x7FFFFFFF, signal.SIGKILL)
                    await asyncio.sleep(0.3)

    with pytest.raises(PonderosaError, match=r"ended with code -9.*server-policy\.log"):
        asyncio.run(asyncio.wait_for(main(), 30))


_SERVES = """
import asyncio, pathlib, sys
from ponderosa.evolution.recipe import OwnServer
from ponderosa.evolution.serving import Servers
from ponderosa.view.progress import Progress

async def main():
    own = OwnServer(python=sys.executable, environment={"PYTHONPATH": sys.argv[1]}, ready_s=20)
    async with Servers({"policy": own}, pathlib.Path(sys.argv[1]), Progress()).serving({"policy": sys.argv[2]}):
        print("serves", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_run_that_is_killed_leaves_neither_its_server_nor_that_ones_workers(vllm, tmp_path):
    words = [sys.executable, "-c", _SERVES, vllm.environment["PYTHONPATH"], str(tmp_path / "worker")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        while "serves" not in run.stdout.readline():
            assert run.poll() is None
        worker = int((tmp_path / "worker").read_text())
        os.kill(worker, 0)
        run.kill()
    until = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_does_not_start_says_why(vllm, tmp_path):
    async def main():
        async with opened(tmp_path, policy=vllm) as servers, servers.serving({"policy": "owner/broken"}):
            pass

    with pytest.raises(PonderosaError, match="no such model"):
        asyncio.run(main())


def test_an_error_of_the_search_is_its_own(vllm, tmp_path):
    async def main():
        async with opened(tmp_path, policy=vllm) as servers, servers.serving({"policy": "owner/policy"}):
            raise PonderosaError("the search failed")

    with pytest.raises(PonderosaError, match="the search failed"):
        asyncio.run(main())


def test_a_python_without_vllm_is_named_before_anything_is_spent(tmp_path):
    with pytest.raises(PonderosaError, match=r"has no vLLM.*servers\.policy\.python"):
        Servers({"policy": OwnServer(python=sys.executable)}, tmp_path, Progress())


def test_an_external_server_is_told_to_reload_and_waited_for(vllm, tmp_path):
    """Its owner's command is a script that writes down what it was told."""
    told = tmp_path / "told"

    async def main():
        async with opened(tmp_path, policy=vllm) as own, own.serving({"policy": "owner/any"}) as names:
            command = (sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' ')")
            external = ExternalServer(url=names["policy"], reload=(*command, str(told), "to={checkpoint}"), ready_s=5)
            async with opened(tmp_path, policy=external) as servers:
                for checkpoint in ("owner/a", "owner/a", "owner/b"):
                    async with servers.serving({"policy": checkpoint}) as found:
                        assert found["policy"] == names["policy"]
        return told.read_text()

    assert asyncio.run(main()) == "to=owner/a to=owner/b "


def test_a_reload_that_fails_or_a_server_that_stays_away_is_an_error(tmp_path):
    async def serve(external: ExternalServer) -> None:
        async with opened(tmp_path, policy=external) as servers, servers.serving({"policy": "owner/a"}):
            pass

    nobody = f"http://127.0.0.1:{model_server.free_port()}"
    with pytest.raises(PonderosaError, match="ended with code 1"):
        asyncio.run(serve(ExternalServer(url=nobody, reload=("false",))))
    with pytest.raises(PonderosaError, match="cannot run no-such-command"):
        asyncio.run(serve(ExternalServer(url=nobody, reload=("no-such-command",))))
    with pytest.raises(PonderosaError, match="after it was told to reload"):
        asyncio.run(serve(ExternalServer(url=nobody, reload=("true",), ready_s=0.5)))
