"""Servers that answer slowly, wrongly, half, or not at all: a right result, or one clear error in time."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from ponderosa.core import BackendError, CodeFormat, Completion, Ended, PonderosaError, Prompt, RefusedError, Sampling
from ponderosa.models import load_policy, load_reward
from ponderosa.models.served import endpoints

from .servers import Handler, Server

PROMPT = Prompt("What?", "Q: What?\nA:")
SAMPLING = Sampling(0.7, max_tokens=50, stop=("<end>",), logprobs=True)
GOOD = {"index": 0, "text": "a", "finish_reason": "stop", "stop_reason": None, "token_ids": [1]}
LONGEST_S = 5.0


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_PAUSE_S", 0.01)
    monkeypatch.setattr(endpoints, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.delenv("PONDEROSA_API_KEY", raising=False)


def propose(url: str, n: int = 1, **options: Any) -> list[Completion]:
    """By a policy that has not much time; a test that needs more than `LONGEST_S` fails."""
    words = {"timeout": 0.2, "patience": 0.5} | options
    policy = load_policy(f"{url}?" + "&".join(f"{name}={value}" for name, value in words.items()))

    async def go() -> list[Completion]:
        async with asyncio.timeout(LONGEST_S):
            return await policy.propose(PROMPT, n, SAMPLING, 0)

    try:
        return asyncio.run(go())
    finally:
        policy.close()


def score(url: str) -> None:
    reward = load_reward(f"{url}?timeout=0.2&patience=0.5", CodeFormat())

    async def go() -> None:
        async with asyncio.timeout(LONGEST_S):
            await reward.score([("What?", ("a step",))])

    try:
        asyncio.run(go())
    finally:
        reward.close()


def short(answer: Any) -> str:
    return str(answer).replace(str(GOOD)[1:-1], "...")[:60]


def says(answer: Any, **more: Any) -> Handler:
    async def handler(request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(text=answer if isinstance(answer, str) else json.dumps(answer), **more)

    return handler


def choices(*changes: dict[str, Any], **usage: Any) -> Handler:
    return says({"choices": [GOOD | change for change in changes], "usage": usage})


@contextmanager
def socket_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server below HTTP: `talk` gets each connection, which stays open until the end."""
    listening = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            taken.append(connection)
            talk(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for connection in taken:
            connection.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"data": [',
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    ],
    ids=["nothing", "half an answer", "half the headers", "another protocol", "noise", "what is not packed"],
)
def test_a_connection_on_which_nothing_right_is_said_ends_with_an_error_in_time(said: bytes) -> None:
    with socket_server(lambda connection: connection.sendall(said)) as url, pytest.raises(PonderosaError) as raised:
        propose(url)
    assert url in str(raised.value)


def test_a_server_that_lists_its_models_and_then_hangs_is_given_up() -> None:
    async def never(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    with Server(never) as server, pytest.raises(RefusedError, match=r"failed 5 times at a request: no answer within"):
        propose(server.url)


def test_a_server_that_does_not_even_list_its_models_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A completion may take half an hour; this may not."""
    monkeypatch.setattr(endpoints, "_LISTING_S", 0.1)
    monkeypatch.setattr(endpoints, "_REVIVAL_S", 0.1)
    with socket_server(lambda connection: None) as url, pytest.raises(BackendError, match="no answer from"):
        propose(url, timeout=1800)


def test_a_server_that_trickles_an_endless_answer_is_given_up() -> None:
    async def trickle(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
            await asyncio.sleep(0.01)

    with Server(trickle) as server, pytest.raises(RefusedError, match="no answer within"):
        propose(server.url)


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>Welcome to nginx!</body></html>",
        'data: {"choices": []}\n\ndata: [DONE]\n\n',
        "",
        '{"choices": [',
        "[" * 100_000,
        "1" * 10_000,
    ],
    ids=["a page", "a stream", "nothing", "half", "a deep nest", "a long number"],
)
@pytest.mark.parametrize("ask", [propose, score])
def test_what_is_not_json_is_asked_again_and_then_refused(ask: Callable[[str], Any], text: str) -> None:
    with Server(says(text)) as server:
        with pytest.raises(RefusedError, match="failed 5 times at a request: half an answer, or none in JSON"):
            ask(server.url)
        assert len(server.bodies) == 5


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        '"text"',
        3,
        {},
        {"choices": None},
        {"choices": 3},
        {"choices": {"index": 0}},
        {"choices": []},
        {"choices": [None]},
        {"choices": [GOOD], "usage": [1]},
        {"choices": [GOOD], "usage": {"prompt_tokens": "12"}},
        {"choices": [GOOD], "usage": {"completion_tokens": -1}},
        {"choices": [GOOD], "usage": {"prompt_tokens_details": 4}},
        *(
            {"choices": [GOOD | change]}
            for change in (
                {"text": None},
                {"text": ["a"]},
                {"text": 3},
                {"token_ids": 4},
                {"finish_reason": "abort"},
                {"logprobs": {"token_logprobs": [float("nan")]}},
                {"logprobs": {"token_logprobs": [float("-inf")]}},
                {"logprobs": {"token_logprobs": ["low"]}},
                {"logprobs": 5},
                {"logprobs": {"content": [{}]}},
            )
        ),
        {"choices": [{"index": 0, "text": "a"}]},
        {"choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
        {"choices": [{"text": "a", "finish_reason": "stop"}]},
    ],
    ids=short,
)
def test_an_answer_of_wrong_types_is_refused(answer: Any) -> None:
    with Server(says(answer)) as server, pytest.raises(RefusedError, match="/v1/completions gave an answer"):
        propose(server.url)


@pytest.mark.parametrize("error", ["overloaded", {"message": "overloaded", "code": 502}])
@pytest.mark.parametrize("ask", [propose, score])
def test_an_error_in_a_good_answers_clothes_is_said_in_its_words(ask: Callable[[str], Any], error: Any) -> None:
    with Server(says({"error": error})) as server, pytest.raises(RefusedError, match=r"an error for an answer: overl"):
        ask(server.url)


def test_choices_in_any_order_and_too_many_of_them_are_put_right() -> None:
    with Server(choices(*({"index": i, "text": str(i)} for i in (2, 0, 3, 1)))) as server:
        assert [one.text for one in propose(server.url, 3)] == ["0", "1", "2"]
        assert len(server.bodies) == 1


def test_without_usage_nothing_is_counted() -> None:
    with Server(says({"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]})) as server:
        assert propose(server.url) == [Completion("a", Ended.STOP, None)]


def test_half_a_character_is_replaced() -> None:
    with Server(choices({"text": "a \ud83d b"})) as server:
        assert propose(server.url)[0].text == "a ? b"


def test_a_text_with_its_stop_in_it_is_cut_there() -> None:
    with Server(choices({"text": "a<end> b<end>", "finish_reason": "length"})) as server:
        assert propose(server.url) == [Completion("a", Ended.STOP, "<end>", 1)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_but_said(status: int) -> None:
    handler = says("", status=status, headers={"Location": "https://elsewhere/v1"})
    with Server(handler) as server:
        with pytest.raises(RefusedError, match=rf"is elsewhere \({status}\): name https://elsewhere/v1"):
            propose(server.url)
        assert len(server.bodies) == 1


def test_a_redirect_of_the_list_of_models_is_said_too() -> None:
    said = b"HTTP/1.1 308 Permanent\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    with socket_server(lambda connection: connection.sendall(said)) as url:
        with pytest.raises(PonderosaError, match=r"what it serves: .* is elsewhere \(308\): name https://elsewhere/"):
            propose(url)


def test_an_answer_larger_than_any_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_LARGEST", 1 << 20)
    sent = 0

    async def gigantic(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" " * (1 << 20))
            sent += 1
        return response

    with Server(gigantic) as server, pytest.raises(RefusedError, match="its answer has more than 1 MiB"):
        propose(server.url, timeout=4)
    assert sent < 100


def test_more_known_tokens_than_there_are_is_all_of_them() -> None:
    with Server(choices({}, prompt_tokens=5, prompt_tokens_details={"cached_tokens": 50})) as server:
        assert propose(server.url)[0].cached_tokens == 5


@pytest.mark.parametrize("status", [500, 418, 599])
def test_a_server_that_only_fails_is_refused(status: int) -> None:
    with Server(says("broken", status=status)) as server, pytest.raises(RefusedError, match="broken"):
        propose(server.url)


@pytest.mark.parametrize(
    "after", ["0", "-5", "nan", "inf", "1e9", "soon", "Sat, 99 Foo 2020", "Sat, 01 Jan 2000 00:00:00"]
)
def test_a_server_that_always_wants_a_pause_is_given_up_in_time_and_not_stormed(after: str) -> None:
    with Server(says("busy", status=429, headers={"Retry-After": after})) as server:
        with pytest.raises(BackendError, match=r"serves nobody, since 0.5 s: busy"):
            propose(server.url)
        assert len(server.bodies) < 60


def test_a_pause_may_be_wanted_until_a_date() -> None:
    def date() -> str:
        return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)

    waits = iter([date()])

    async def handler(request: web.Request, body: dict[str, Any]) -> Any:
        after = next(waits, None)
        return web.Response(status=429, headers={"Retry-After": after}) if after else {"choices": [GOOD]}

    with Server(handler) as server:
        began = time.monotonic()
        assert propose(server.url, patience=30)[0].text == "a"
        assert time.monotonic() - began > 0.9  # dates are in whole seconds


@pytest.mark.parametrize("models", [{"data": []}, [], {"data": [1]}, {"data": {"id": "m"}}, {"error": "none"}, None])
def test_a_list_without_models_asks_for_a_name(models: Any) -> None:
    with Server(choices({}), pages={"/v1/models": models}) as server:
        with pytest.raises(PonderosaError, match=r"name a model with \?model=NAME; it does not say what it serves"):
            propose(server.url)
        assert propose(server.url, model="m")[0].text == "a"


def test_of_several_models_one_is_named() -> None:
    pages = {"/v1/models": {"data": [{"id": "b"}, {"id": "a", "max_model_len": "long"}]}}
    with Server(choices({}), pages=pages) as server:
        with pytest.raises(PonderosaError, match="it serves b, a"):
            propose(server.url)
        assert propose(server.url, model="a")[0].text == "a"


def test_a_server_without_the_usual_paths_says_so() -> None:
    with Server(says("Not Found", status=404)) as server:
        with pytest.raises(BackendError, match=r"does not serve what /v1/completions is asked for \(404\): Not Found"):
            propose(server.url)
    with Server(says({}), pages={"/v1/models": {"data": []}}) as server, pytest.raises(PonderosaError):
        propose(f"{server.url}/api")


def test_a_server_that_speaks_no_tls_is_away() -> None:
    with Server(choices({})) as server, pytest.raises(BackendError, match="no answer from"):
        propose(server.url.replace("http:", "https:"))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"data": None},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "data": [float("nan")]}]},
        {"data": [{"index": 0, "data": [10**400]}]},
        {"data": [{"index": 0, "data": ["0.5"]}]},
        {"data": [{"index": 0, "data": [0.5]}] * 2},
        {"data": [{"index": 0, "data": [0.5]}], "usage": 3},
        {"data": [{"index": 0, "data": [0.5]}], "usage": {"prompt_tokens": "5"}},
    ],
    ids=short,
)
def test_a_score_of_wrong_types_is_refused(answer: Any) -> None:
    with Server(says(answer)) as server, pytest.raises(RefusedError, match="/pooling of m gave"):
        score(server.url)
