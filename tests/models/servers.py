"""HTTP servers for tests, on 127.0.0.1, that do as they are told."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from aiohttp import web

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse | dict[str, Any]]]


class Server:
    """Answers POST requests as `handler` says, which gets the body too, and GET requests by `pages`; lists one model,
    `m`, of the folder `root`, unless they say otherwise. Keeps the bodies.
    """

    def __init__(
        self,
        handler: Handler,
        owned_by: str = "vllm",
        port: int = 0,
        root: str = "",
        pages: Mapping[str, Any] | None = None,
    ) -> None:
        self._handler, self.port = handler, port
        listed = {"/v1/models": {"data": [{"id": "m", "owned_by": owned_by, "root": root}]}}
        self._pages = listed | dict(pages or {})
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = self._now = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _get(self, request: web.Request) -> web.Response:
        if request.path not in self._pages:
            raise web.HTTPNotFound
        return web.json_response(self._pages[request.path])

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = await self._handler(request, body)
        finally:
            self._now -= 1
        return web.json_response(answer) if isinstance(answer, dict) else answer


async def drop(request: web.Request) -> web.StreamResponse:
    """Sends the beginning of an answer and hangs up."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.close()
    return response
