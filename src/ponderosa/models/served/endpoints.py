"""Servers that serve one model over HTTP: requests go to the least loaded one that is up, and outlive what goes wrong.

A server that cannot be reached is taken out and asked every now and then, with growing pauses, until it is back.
Meanwhile requests go to the others, or wait: an outage costs time, not results. Only when no server has been there for
`patience` seconds does a request fail, as `BackendError`. What a server refuses for good, or fails at again and again
while it serves others, is a `RefusedError`.
"""

import asyncio
import json
import logging
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ponderosa.core import BackendError, PonderosaError, RefusedError
from ponderosa.models.loop import LoopThread
from ponderosa.models.notices import NOTICES

logger = logging.getLogger(__name__)

TRIES = 5
"""How often a request is sent that a server which serves others drops or fails at."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_REVIVAL_S = 10.0
_LISTING_S = 60.0
"""How long a server may take for what it need not compute."""
_NO_ANSWER, _TOO_LARGE, _TOO_MANY, _AWAY = 0, 413, 429, (502, 503, 504)
_LARGEST = 256 << 20
"""Bytes of an answer that are read."""
_KEY = "PONDEROSA_API_KEY"


@dataclass(slots=True)
class _Endpoint:
    url: str
    load: int = 0
    """Requests under way."""
    rests_until: float = 0.0
    """When it takes requests again, on the monotonic clock; it said itself that there were too many."""
    reviving: asyncio.Task[None] | None = None
    """Asks whether it is back, while it is taken out."""

    @property
    def up(self) -> bool:
        return self.reviving is None


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """`timeout` and `patience` in seconds; `per_minute` requests at most, to all servers; 0: as many as there are.

    `key` names the environment variable that holds the servers' key; without it, `PONDEROSA_API_KEY` if that is set.
    """

    timeout: float = 1800.0
    patience: float = 600.0
    per_minute: float = 0.0
    key: str = ""


@dataclass(slots=True)
class Endpoints:
    """The servers at `urls`, which may be called from any thread and any event loop. Raises `PonderosaError`."""

    urls: Sequence[str]
    settings: EndpointSettings = field(default_factory=EndpointSettings)
    _endpoints: list[_Endpoint] = field(init=False)
    _thread: LoopThread = field(init=False)
    _headers: dict[str, str] = field(init=False, repr=False)
    _session: aiohttp.ClientSession | None = field(init=False, default=None)
    _changed: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _down_since: float | None = field(init=False, default=None)
    _next_start: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        for url in self.urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise PonderosaError(f"{url} is not the address of a server: write http://host:port")
            if parts.username or parts.password:
                raise PonderosaError("a key must not stand in an address, which is stored: set PONDEROSA_API_KEY")
        self._endpoints = [_Endpoint(url.rstrip("/").removesuffix("/v1")) for url in self.urls]
        self._headers = _authorization(self.settings.key)
        self._thread = LoopThread(f"requests to {self.urls[0]}")

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer, parsed, to a POST of `body` as JSON. Raises `RefusedError` and `BackendError`."""
        return await self._thread.run(self._request("POST", path, body))

    async def get(self, path: str) -> Any:
        """Likewise, to a GET."""
        return await self._thread.run(self._request("GET", path, None))

    def close(self) -> None:
        """Ends what is under way, and the connections."""
        self._thread.close(self._disconnect())

    async def _disconnect(self) -> None:
        for endpoint in self._endpoints:
            NOTICES.pop(endpoint.url, None)
        if self._session is not None:
            await self._session.close()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        longest = self.settings.timeout if method == "POST" else min(self.settings.timeout, _LISTING_S)
        failures = waits = 0
        trouble: float | None = None
        while True:
            endpoint = await self._free()
            await self._slot()
            status, text, after = await self._send(endpoint, method, path, body, longest)
            if status == 200:
                try:
                    answer = json.loads(text)
                    if isinstance(answer, dict) and answer.get("error"):
                        raise RefusedError(f"{endpoint.url}{path} gave an error for an answer: {message(text)}")
                    return answer
                except (ValueError, RecursionError):
                    text = f"half an answer, or none in JSON: {text[:200]!r}"
            elif status in (401, 403):
                raise BackendError(f"{endpoint.url} wants a key ({status}): set {self.settings.key or _KEY}")
            elif 300 <= status < 400:
                raise RefusedError(f"{endpoint.url}{path} is elsewhere ({status}): {text}")
            elif status == 404 and method == "POST":  # whatever is asked: it is another server, or of another model
                raise BackendError(
                    f"{endpoint.url} does not serve what {path} is asked for (404): {message(text)}; "
                    "serve that model there, or name another server"
                )
            elif 400 <= status < 500 and status not in (408, 429):
                raise RefusedError(f"{endpoint.url}{path} refused a request ({status}): {message(text)}")
            trouble = trouble or time.monotonic()
            if status in (_TOO_MANY, *_AWAY):
                waits += 1
                if time.monotonic() - trouble >= self.settings.patience:
                    raise BackendError(
                        f"{endpoint.url} serves nobody, since {self.settings.patience:g} s: {message(text)}"
                    )
            else:
                failures += 1
                if failures == TRIES:
                    raise RefusedError(f"{endpoint.url}{path} failed {TRIES} times at a request: {message(text)}")
            pause = _pause(failures + waits)
            if after is not None:
                pause = min(max(after, _PAUSE_S), self.settings.patience)
            if status == _TOO_MANY:
                endpoint.rests_until = time.monotonic() + pause
            else:
                if status in (_NO_ANSWER, *_AWAY):
                    self._take_out(endpoint, text)
                await asyncio.sleep(pause)

    async def _send(
        self, endpoint: _Endpoint, method: str, path: str, body: dict[str, Any] | None, longest: float
    ) -> tuple[int, str, float | None]:
        """(status, text, seconds to wait as the server says). One that cannot be reached is as good as a 503."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)  # how many are in flight is the search's to say
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        timeout = aiohttp.ClientTimeout(total=longest, sock_connect=30)
        endpoint.load += 1
        try:
            async with self._session.request(
                method, endpoint.url + path, json=body, timeout=timeout, allow_redirects=False
            ) as response:
                if 300 <= response.status < 400:  # followed, a POST may become a GET
                    return response.status, f"name {response.headers.get('Location', 'another address')}", None
                text = await _read(response)
                if text is None:
                    return _TOO_LARGE, f"its answer has more than {_LARGEST >> 20} MiB", None
                return response.status, text, _seconds(response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorError as error:
            return _AWAY[1], f"it cannot be reached: {error.strerror or error}", None
        except TimeoutError:
            return _NO_ANSWER, f"no answer within {longest:g} s", None
        except (aiohttp.ClientError, OSError) as error:
            return _NO_ANSWER, f"the connection was lost: {error or type(error).__name__}", None
        finally:
            endpoint.load -= 1
            self._changed.set()

    async def _free(self) -> _Endpoint:
        """The least loaded endpoint that takes requests, when there is one."""
        while True:
            now = time.monotonic()
            up = [endpoint for endpoint in self._endpoints if endpoint.up]
            ready = [endpoint for endpoint in up if endpoint.rests_until <= now]
            if ready:
                return min(ready, key=lambda endpoint: endpoint.load)
            ends = [endpoint.rests_until for endpoint in up]
            if not up:
                self._down_since = self._down_since or now
                if now - self._down_since >= self.settings.patience:
                    urls = ", ".join(endpoint.url for endpoint in self._endpoints)
                    raise BackendError(
                        f"no answer from {urls} for {self.settings.patience:g} s: start the server and run this again"
                    )
                ends = [self._down_since + self.settings.patience]
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.01, min(ends) - now) * (1 + 0.1 * random.random())):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _slot(self) -> None:
        """Waits for this request's turn, where there may be only so many a minute."""
        if self.settings.per_minute:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + 60 / self.settings.per_minute
            await asyncio.sleep(start - now)

    def _take_out(self, endpoint: _Endpoint, why: str) -> None:
        if endpoint.up:
            logger.warning("%s is taken out: %s", endpoint.url, why)
            NOTICES[endpoint.url] = f"waiting for {endpoint.url}"
            endpoint.reviving = asyncio.create_task(self._revive(endpoint))

    async def _revive(self, endpoint: _Endpoint) -> None:
        """Asks for the list of models, which costs a server nothing, until that is answered."""
        attempt, began = 0, time.monotonic()
        longest = min(self.settings.timeout, _REVIVAL_S)  # a connection may hang that a server's end left behind
        while (await self._send(endpoint, "GET", "/v1/models", None, longest))[0] in (_NO_ANSWER, *_AWAY):
            attempt += 1
            await asyncio.sleep(_pause(attempt))
        NOTICES.pop(endpoint.url, None)
        logger.warning("%s is back after %.1f s", endpoint.url, time.monotonic() - began)
        endpoint.reviving = self._down_since = None
        self._changed.set()


def message(text: str) -> str:
    """What a server's error says: OpenAI's layout, FastAPI's, or the beginning of the text."""
    try:
        found = json.loads(text)
        found = found.get("error", found.get("detail", found.get("message", found)))
        return str(found.get("message", found) if isinstance(found, dict) else found)[:500]
    except (ValueError, AttributeError, RecursionError):
        return text[:500]


async def _read(response: aiohttp.ClientResponse) -> str | None:
    """The text of an answer; None if it is larger than any."""
    read = bytearray()
    async for part in response.content.iter_any():
        read += part
        if len(read) > _LARGEST:
            return None
    return read.decode(errors="replace")


def _authorization(key: str) -> dict[str, str]:
    """Raises `PonderosaError` if the variable that is named is not set."""
    value = os.environ.get(key or _KEY)
    if key and not value:
        raise PonderosaError(f"the environment variable {key}, which should hold the server's key, is not set")
    return {"Authorization": f"Bearer {value}"} if value else {}


def _pause(failures: int) -> float:
    """Seconds to wait after so many failures: twice as long each time, and not all at once."""
    longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0 ** min(failures, 30))
    return longest * random.uniform(0.5, 1.0)


def _seconds(retry_after: str | None) -> float | None:
    """What `Retry-After` says, in seconds or as a date; None if it is neither."""
    if not retry_after:
        return None
    try:
        return float(retry_after) if isfinite(float(retry_after)) else None
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # a date without its zone, too, is none
        return None
