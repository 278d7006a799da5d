"""A checkpoint in this process by its name and options."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers

from ponderosa.core import CodeFormat, PonderosaError, Prompt, Sampling
from ponderosa.models import load_policy, load_reward
from ponderosa.models.text import chat_head
from ponderosa.sapling import base_path

FORMAT = CodeFormat()


def test_a_chat_is_asked_in_the_models_own_template() -> None:
    """The embedded model's template is the step format's prompt, so that both ways ask the same."""
    plain = FORMAT.render(
        "Ann has 4 apples. Ben has 3 more apples than Ann. How many apples does Ben have?", ("<code>\n",)
    )
    chat = Prompt(plain.question, "something else altogether", plain.body)
    sampling = Sampling(0.0, max_tokens=60, stop=FORMAT.step_stops)

    def ask(name: str, prompt: Prompt) -> str:
        policy = load_policy(name)
        try:
            return asyncio.run(policy.propose(prompt, 1, sampling, 0))[0].text
        finally:
            policy.close()

    said = ask(str(base_path()), plain)
    assert said
    assert ask(f"{base_path()}?api=chat&device=cpu&dtype=float32", chat) == said
    assert ask(str(base_path()), chat) != said


def test_loading_draws_nothing_among_what_a_command_shows(
    policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers.utils.logging.enable_progress_bar()
    load_policy(str(policy_folder)).close()
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_what_a_tokenizer_puts_at_the_start_of_every_text_is_not_there_twice() -> None:
    def template(turn: list[dict[str, str]], **_: Any) -> str:
        return f"<s>[{turn[0]['content']}]"

    class Tokenizer(SimpleNamespace):
        def __call__(self, text: str) -> dict[str, list[int]]:
            return {"input_ids": self.start}

    adds = Tokenizer(apply_chat_template=template, bos_token="<s>", start=[1])
    adds_nothing = Tokenizer(apply_chat_template=template, bos_token="<s>", start=[])
    assert chat_head(adds, "hm") == "[hm]"
    assert chat_head(adds_nothing, "hm") == "<s>[hm]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?device=abacus", "there is no device abacus: name cpu, cuda"),
        ("?device=cuda:7", "cannot put .* on the device cuda:7"),
        ("?dtype=small", "there is no dtype small: name float32"),
        ("?model=x", "has no option model: choose of device, dtype, api"),
        ("?api=soap", "the option api is one of completions, chat"),
        ("?api=chat", "has no chat template"),
    ],
)
def test_wrong_options_are_said(policy_folder: Path, options: str, message: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        load_policy(f"{policy_folder}{options}")


def test_a_reward_model_has_no_interface_to_choose() -> None:
    with pytest.raises(PonderosaError, match="has no option api: choose of device, dtype"):
        load_reward(f"{base_path()}?api=chat", FORMAT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("engine=mlx", "the option engine is one of transformers, vllm"),
        ("engine=vllm&api=soap", "the option api is one of completions, chat"),
        ("engine=vllm&device=cpu", "has no option device: choose of engine, api, dtype"),
        ("engine=vllm&max_model_len=1k", "the option max_model_len is a whole number, not '1k'"),
        ("engine=vllm&gpu_memory_utilization=most", "the option gpu_memory_utilization is a number, not 'most'"),
    ],
)
def test_what_is_wrong_with_an_engine_is_said(options: str, message: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        load_policy(f"{base_path()}?{options}")


def test_without_vllm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.delitem(sys.modules, "ponderosa.models.vllm_policy", raising=False)
    with pytest.raises(PonderosaError, match="pip install vllm"):
        load_policy(f"{base_path()}?engine=vllm")
