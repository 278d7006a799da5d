"""A Hugging Face Hub on 127.0.0.1 that takes every commit, or refuses with a status."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class HubServer:
    """Keeps what was created and committed: repository -> path -> content; and the tokens that it was shown."""

    def __init__(self, refuses: int | None = None) -> None:
        self.created: dict[str, dict[str, Any]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.tokens: set[str | None] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(refuses))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        match path.removeprefix("/api/").split("/"):
            case ["repos", "create"]:
                record = json.loads(body)
                name = f"{record['organization']}/{record['name']}"
                self.created[name] = record
                return {"url": f"{self.url}/{'datasets/' if record['type'] == 'dataset' else ''}{name}"}
            case [_, owner, name, "preupload", "main"]:
                files = json.loads(body)["files"]
                return {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            case [_, owner, name, "commit", "main"]:
                lines = [json.loads(line) for line in body.splitlines()]
                self.commits[f"{owner}/{name}"] = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                return {"commitOid": "0" * 40, "commitUrl": f"{self.url}/{owner}/{name}/commit/{'0' * 40}"}
        return {}

    def _handler(server, refuses: int | None) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.tokens.add(self.headers["Authorization"])
                answer = json.dumps({"error": "no"} if refuses else server.answer(self.path, body)).encode()
                self.send_response(refuses or 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
