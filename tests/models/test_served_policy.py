"""A policy behind OpenAI's interface, against servers of several kinds."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from ponderosa.core import Completion, Ended, PonderosaError, Prompt, RefusedError, Sampling
from ponderosa.models import Spec, load_policy
from ponderosa.models.served.policy import CONTINUE, ServedPolicy

from .servers import Handler, Server

PROMPT = Prompt("What?", "Q: What?\nA:", " One step.")
STOPS = Sampling(0.7, top_p=0.9, max_tokens=50, stop=("<end>", "\n"))


def choice(index: int, text: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "text": text, "finish_reason": "stop"} | more


def completions(*choices: dict[str, Any], **usage: Any) -> Handler:
    async def handler(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"choices": list(choices)[: body["n"]], "usage": usage}

    return handler


def propose(
    server: Server, n: int = 1, sampling: Sampling = STOPS, options: str = "", seed: int = 5
) -> list[Completion]:
    policy = load_policy(f"{server.url}{options}")
    assert isinstance(policy, ServedPolicy)
    try:
        return asyncio.run(policy.propose(PROMPT, n, sampling, seed))
    finally:
        policy.close()


def test_vllm_is_asked_for_n_samples_at_once_and_says_how_each_ended() -> None:
    handler = completions(
        choice(1, "b", stop_reason=None, token_ids=[1, 2]),  # in the order of their indices, wherever they stand
        choice(0, "a", stop_reason="<end>", token_ids=[1, 2, 3]),
        choice(2, "c", finish_reason="length", stop_reason=None, token_ids=[1]),
        prompt_tokens=12,
        completion_tokens=6,
        prompt_tokens_details={"cached_tokens": 8},
    )
    with Server(handler) as server:
        assert propose(server, 3, Sampling(0.7, 0.9, 40, 50, ("<end>", "\n"))) == [
            Completion("a", Ended.STOP, "<end>", 3, 12, 8),
            Completion("b", Ended.EOS, None, 2, 12, 12),
            Completion("c", Ended.LENGTH, None, 1, 12, 12),
        ]
        (body,) = server.bodies
    assert body == {
        "model": "m",
        "prompt": PROMPT.text,
        "n": 3,
        "max_tokens": 50,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 5,
        "stop": ["<end>", "\n"],
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "return_token_ids": True,
    }


def test_a_stop_token_of_the_server_is_the_end_of_the_text() -> None:
    with Server(completions(choice(0, "a", stop_reason=151643))) as server:
        assert propose(server)[0].ended is Ended.EOS


def test_sglang_names_the_stop_by_another_name() -> None:
    with Server(completions(choice(0, "a", matched_stop="\n")), owned_by="sglang") as server:
        assert propose(server)[0] == Completion("a", Ended.STOP, "\n")


def test_where_the_stop_is_not_named_it_is_left_to_the_format() -> None:
    with Server(completions(choice(0, "a")), owned_by="someone") as server:
        assert propose(server)[0] == Completion("a", Ended.STOP, None)
        assert propose(server, sampling=Sampling())[0] == Completion("a", Ended.EOS)
        assert set(server.bodies[0]) == {"model", "prompt", "n", "max_tokens", "temperature", "top_p", "seed", "stop"}
        with pytest.raises(PonderosaError, match="takes no top_k"):
            propose(server, sampling=Sampling(top_k=5))


def test_transformers_serve_is_told_to_sample_and_asked_once_a_sample() -> None:
    """Its list of models is of what was downloaded, and its texts end with the stop."""

    async def one(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"choices": [choice(0, f"{body['seed']}<end>")], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    pages = {
        "/v1/models": {"data": [{"id": "other", "owned_by": "someone"}]},
        "/openapi.json": {"paths": ["/load_model"]},
    }
    with Server(one, pages=pages) as server:
        found = propose(server, 2, Sampling(0.7, top_k=20, stop=("<end>",)), "?model=some/folder")
        assert found == [Completion(str(seed), Ended.STOP, "<end>", 2, 3, read) for seed, read in ((5, 0), (6, 0))]
        assert {body["model"] for body in server.bodies} == {"some/folder"}
        assert [body["n"] for body in server.bodies] == [1, 1]
        assert not {"top_k", "min_p"} & set(server.bodies[0])  # it refuses fields that it does not know
        config = {"do_sample": True, "top_k": 20, "repetition_penalty": 1.0}
        assert json.loads(server.bodies[0]["generation_config"]) == config
        propose(server, 1, Sampling(0.0), "?model=some/folder")
        assert json.loads(server.bodies[-1]["generation_config"])["do_sample"] is False


@pytest.mark.parametrize(("family", "off"), [("vllm", -1), ("sglang", -1), ("llamacpp", 0)])
def test_what_the_server_would_do_by_default_is_switched_off(family: str, off: int) -> None:
    with Server(completions(choice(0, "a")), owned_by=family) as server:
        propose(server, sampling=Sampling())
        assert (server.bodies[0]["top_k"], server.bodies[0]["min_p"]) == (off, 0.0)


def test_a_server_that_gives_one_sample_is_asked_as_often_as_needed_with_other_seeds() -> None:
    async def one(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"choices": [choice(0, f"seed {body['seed']}")], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    with Server(one) as server:
        assert [c.text for c in propose(server, 4)] == ["seed 5", "seed 6", "seed 7", "seed 8"]
        assert [body["n"] for body in server.bodies] == [4, 1, 1, 1, 1]


def test_greedy_samples_are_all_the_same_and_asked_for_once() -> None:
    with Server(completions(choice(0, "a", stop_reason=None), prompt_tokens=9)) as server:
        found = propose(server, 3, Sampling(0.0))
        assert [c.text for c in found] == ["a"] * 3
        assert [c.cached_tokens for c in found] == [0, 9, 9]
        assert len(server.bodies) == 1


def test_tokens_that_are_not_told_apart_are_shared_out_by_length_and_none_is_lost() -> None:
    texts = ["aaaaaaa", "b", "", "cccc"]
    handler = completions(*(choice(i, text, stop_reason=None) for i, text in enumerate(texts)), completion_tokens=10)
    with Server(handler) as server:
        counts = [c.tokens for c in propose(server, 4)]
    assert sum(counts) == 10
    assert counts[0] > counts[3] > counts[1]


def test_logprobs_are_summed_in_both_interfaces() -> None:
    plain = choice(0, "ab", stop_reason=None, logprobs={"token_logprobs": [-0.5, -0.25]})
    with Server(completions(plain)) as server:
        assert propose(server, sampling=Sampling(logprobs=True))[0].logprob == -0.75
        assert server.bodies[0]["logprobs"] == 1
    chat = {"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}
    chat |= {"logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.0}]}}
    with Server(completions(chat)) as server:
        assert propose(server, sampling=Sampling(logprobs=True), options="?api=chat")[0].logprob == -1.5
        assert server.bodies[0]["logprobs"] is True


@pytest.mark.parametrize(
    ("family", "options", "roles", "more"),
    [
        ("vllm", "", ["user", "assistant"], {"continue_final_message": True, "add_generation_prompt": False}),
        ("llamacpp", "", ["user", "assistant"], {}),
        ("someone", "", ["user", "assistant", "user"], {}),
        ("someone", "&prefill=yes", ["user", "assistant"], {"continue_final_message": True}),
        ("vllm", "&prefill=no", ["user", "assistant", "user"], {}),
    ],
)
def test_a_chat_goes_on_with_the_assistants_turn(
    family: str, options: str, roles: list[str], more: dict[str, Any]
) -> None:
    handler = completions({"index": 0, "message": {"content": "two"}, "finish_reason": "stop"})
    with Server(handler, owned_by=family) as server:
        assert propose(server, options=f"?api=chat{options}")[0].text == "two"
        (body,) = server.bodies
    assert [message["role"] for message in body["messages"]] == roles
    assert [message["content"] for message in body["messages"]] == ["What?", " One step.", CONTINUE][: len(roles)]
    assert more.items() <= body.items()
    assert ("continue_final_message" in body) == ("continue_final_message" in more)


def test_a_context_without_room_is_asked_for_less_and_ends_by_length() -> None:
    async def small(request: web.Request, body: dict[str, Any]) -> web.StreamResponse | dict[str, Any]:
        if body["max_tokens"] > room:
            text = '{"error": {"message": "This model\'s maximum context length is 100 tokens"}}'
            return web.Response(status=400, text=text)
        return {"choices": [choice(0, "a", finish_reason="length")]}

    room = 10
    with Server(small) as server:
        assert propose(server)[0] == Completion("a", Ended.LENGTH)
        assert [body["max_tokens"] for body in server.bodies] == [50, 25, 12, 6]
    room = 0
    with Server(small) as server:
        assert propose(server, 2) == [Completion("", Ended.LENGTH)] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [({"object": "error"}, "gave an answer that is not one"), ({"choices": []}, "gave an answer without any text")],
)
def test_an_answer_that_is_none_is_refused(answer: dict[str, Any], message: str) -> None:
    async def odd(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return answer

    with Server(odd) as server, pytest.raises(RefusedError, match=message):
        propose(server, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?model=x", "has no model x: it serves m"),
        ("?apy=chat", "has no option apy: choose of timeout"),
        ("?api=soap", "the option api is one of completions, chat"),
        ("?prefill=maybe", "the option prefill is one of yes, no, auto"),
        ("?timeout=soon", "the option timeout is a number"),
        ("?chat", r"options are written \?name=value"),
    ],
)
def test_wrong_options_are_said(options: str, message: str) -> None:
    with Server(completions()) as server, pytest.raises(PonderosaError, match=message):
        propose(server, options=options)


def test_a_model_is_named_where_there_are_several_or_the_server_does_not_say() -> None:
    assert Spec.parse("http://a:1,http://b:2?model=x/y").urls == ("http://a:1", "http://b:2")
    with pytest.raises(PonderosaError, match="names no model"):
        Spec.parse("?api=chat")
