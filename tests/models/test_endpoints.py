"""Requests to servers that are slow, wrong, away, or half there."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from ponderosa.core import BackendError, PonderosaError, RefusedError
from ponderosa.models.served import endpoints
from ponderosa.models.served.endpoints import Endpoints, EndpointSettings

from .servers import Server, drop


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_PAUSE_S", 0.01)
    monkeypatch.setattr(endpoints, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.delenv("PONDEROSA_API_KEY", raising=False)


async def echo(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    return {"said": body}


def ask(*urls: str, times: int = 1, **settings: Any) -> list[Any]:
    made = Endpoints(urls, EndpointSettings(**settings))

    async def go() -> list[Any]:
        return await asyncio.gather(*(made.post("/say", {"i": i}) for i in range(times)), return_exceptions=True)

    try:
        return asyncio.run(go())
    finally:
        made.close()


def first(*answers: Any) -> Callable[[web.Request, dict[str, Any]], Any]:
    """Gives these answers once each, then echoes."""
    waiting = iter(answers)

    async def handler(request: web.Request, body: dict[str, Any]) -> Any:
        answer = next(waiting, None)
        if answer is drop:
            return await drop(request)
        return answer if answer is not None else await echo(request, body)

    return handler


def test_many_requests_are_answered_in_their_order() -> None:
    with Server(echo) as server:
        assert ask(server.url, times=300) == [{"said": {"i": i}} for i in range(300)]
        assert ask(f"{server.url}/v1/") == [{"said": {"i": 0}}]


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500, text="out of memory"),
        web.Response(status=408, text="too slow"),
        web.Response(text='{"half": '),
        drop,
    ],
)
def test_what_goes_wrong_once_is_asked_again(answer: Any) -> None:
    with Server(first(answer)) as server:
        assert ask(server.url) == [{"said": {"i": 0}}]
        assert len(server.bodies) == 2


def test_a_request_that_always_fails_is_refused_and_others_are_served() -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> Any:
        return web.json_response({"error": {"message": "no 7"}}, status=500) if body["i"] == 7 else {"i": body["i"]}

    with Server(handler) as server:
        answers = ask(server.url, times=20)
    assert isinstance(answers[7], RefusedError)
    assert str(answers[7]).endswith("/say failed 5 times at a request: no 7")
    assert [answer["i"] for i, answer in enumerate(answers) if i != 7] == [i for i in range(20) if i != 7]


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"error": {"message": "too long"}}', "too long"), ('{"detail": "no n"}', "no n"), ("what?", "what?")],
)
def test_what_a_server_will_not_do_is_said_in_its_words_and_not_asked_again(text: str, said: str) -> None:
    with Server(first(web.Response(status=400, text=text))) as server:
        (error,) = ask(server.url)
        assert isinstance(error, RefusedError)
        assert str(error) == f"{server.url}/say refused a request (400): {said}"
        assert len(server.bodies) == 1


def test_too_many_requests_wait_as_long_as_the_server_says() -> None:
    with Server(first(web.Response(status=429, headers={"Retry-After": "0.3"}))) as server:
        began = time.monotonic()
        assert ask(server.url) == [{"said": {"i": 0}}]
        assert time.monotonic() - began >= 0.3


def test_an_outage_costs_time_and_no_results() -> None:
    with Server(echo) as server:
        port = server.port
    made = Endpoints([f"http://127.0.0.1:{port}"], EndpointSettings(patience=30))

    async def go() -> list[Any]:
        asked = asyncio.gather(*(made.post("/say", {"i": i}) for i in range(50)))
        await asyncio.sleep(0.2)
        with Server(echo, port=port) as back:
            answers = await asked
            assert len(back.bodies) == 50
        return answers

    assert asyncio.run(go()) == [{"said": {"i": i}} for i in range(50)]
    made.close()


def test_a_server_that_dies_in_the_middle_is_waited_for() -> None:
    async def slow(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.3)
        return {"i": body["i"]}

    with Server(slow) as server:
        port = server.port
        made = Endpoints([server.url], EndpointSettings(patience=30))

        async def go() -> list[Any]:
            asked = asyncio.gather(*(made.post("/say", {"i": i}) for i in range(20)))
            await asyncio.sleep(0.15)
            server.__exit__()
            with Server(slow, port=port):
                return await asked

        assert asyncio.run(go()) == [{"i": i} for i in range(20)]
        made.close()
        server.__enter__()


def test_without_any_server_it_ends_after_its_patience() -> None:
    with Server(echo) as server:
        url = server.url
    (error,) = ask(url, patience=0.2)
    assert type(error) is BackendError
    assert str(error) == f"no answer from {url} for 0.2 s: start the server and run this again"


def test_a_server_that_says_that_it_is_away_is_waited_for_but_not_for_ever() -> None:
    with Server(first(web.Response(status=503), web.Response(status=502))) as server:
        assert ask(server.url) == [{"said": {"i": 0}}]
    with Server(first(*(web.Response(status=503, text="loading") for _ in range(1000)))) as server:
        (error,) = ask(server.url, patience=0.3)
        assert type(error) is BackendError
        assert "serves nobody, since 0.3 s: loading" in str(error)


def test_requests_go_to_the_least_loaded_and_around_the_dead() -> None:
    async def slow(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {}

    with Server(slow) as a, Server(slow) as b, Server(slow) as dead:
        gone = dead.url
        dead.__exit__()
        assert ask(a.url, b.url, gone, times=60) == [{}] * 60
        assert len(a.bodies) + len(b.bodies) == 60
        assert abs(len(a.bodies) - len(b.bodies)) < 20
        dead.__enter__()


def test_a_request_that_takes_too_long_is_given_up() -> None:
    async def never(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    with Server(never) as server:
        (error,) = ask(server.url, timeout=0.05)
    assert isinstance(error, RefusedError)
    assert "no answer within 0.05 s" in str(error)


def test_no_more_requests_a_minute_than_allowed() -> None:
    with Server(echo) as server:
        began = time.monotonic()
        assert len(ask(server.url, times=4, per_minute=600)) == 4
        assert time.monotonic() - began >= 0.3


def test_a_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-1")
    with Server(first(web.Response(status=401, text="bad secret-1"))) as server:
        (error,) = ask(server.url, key="MY_KEY")
        assert server.headers[0]["Authorization"] == "Bearer secret-1"
        assert "Authorization" not in (ask(server.url) and server.headers[-1])
    assert str(error) == f"{server.url} wants a key (401): set MY_KEY"
    assert "secret" not in repr(Endpoints([server.url], EndpointSettings(key="MY_KEY")))
    with pytest.raises(PonderosaError, match="the environment variable NO_KEY"):
        Endpoints([server.url], EndpointSettings(key="NO_KEY"))
    with pytest.raises(PonderosaError, match="a key must not stand in an address"):
        Endpoints(["http://me:secret@localhost"])


def test_one_that_gives_up_ends_its_request() -> None:
    gone = asyncio.Event()

    async def slow(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return {}

    async def go() -> None:
        made = Endpoints([server.url])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await made.post("/say", {})
        for _ in itertools.takewhile(lambda _: not gone.is_set(), range(100)):
            await asyncio.sleep(0.02)
        made.close()

    with Server(slow) as server:
        asyncio.run(go())
    assert gone.is_set()


def test_closing_ends_what_waits_with_an_error() -> None:
    async def never(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def go() -> None:
        made = Endpoints([server.url])
        asked = asyncio.create_task(made.post("/say", {}))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(made.close)
        with pytest.raises(BackendError, match="was closed"):
            await asked
        with pytest.raises(BackendError, match="is closed"):
            await made.post("/say", {})

    with Server(never) as server:
        asyncio.run(go())


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(PonderosaError, match="is not the address of a server"):
        Endpoints([url])
