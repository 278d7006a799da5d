import asyncio
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core.format import MARKERS

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs tests that are coroutines."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


_SHARES = """
import os, sys

module = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv else None
if module in ("ponderosa.training.server", "ponderosa.training"):
    from ponderosa.training import fitting

    save = fitting.save

    def saved(trainer, *given):
        from torch.distributed.tensor import DTensor

        trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
        here = sum(weight.to_local().numel() for weight in trained if isinstance(weight, DTensor))
        with open(os.path.join({folder!r}, os.environ.get("RANK", "0")), "a") as file:
            print(here / sum(weight.numel() for weight in trained), file=file)
        save(trainer, *given)

    fitting.save = saved
"""


@pytest.fixture
def spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[float]]:
    """For the last training in processes of their own: of the weights that were trained, which share each process had
    as its part of what is spread over all (a `DTensor`), 0 where weights were whole in all of them.
    """
    folder = tmp_path / "shares"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SHARES.format(folder=str(folder)))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def shares() -> list[float]:
        files = sorted(path for path in folder.iterdir() if path.name.isdigit())
        return [float(path.read_text().splitlines()[-1]) for path in files]

    return shares


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Bytes, the step format's markers, and merges across the markers' neighbours that masks must not fall for."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<eos>", *MARKERS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "ab", "12", "ba"]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[("a", "b"), ("1", "2"), ("b", "a")])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<pad>", "<eos>"])
    tokenizer.add_tokens([AddedToken(marker, normalized=False) for marker in MARKERS])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def base(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of some ten thousand parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar
    quiet()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    path = tmp_path_factory.mktemp("base")
    model: Any = LlamaForCausalLM
    model(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def trajectories() -> list[dict[str, str]]:
    """Twenty rows to memorise."""
    return [
        {
            "prompt": f"Q{i}:",
            "response": f"<code>\nx = {i}\n<end_of_code>\n<output>{i}<end_of_output>\n"
            f"<answer>\\boxed{{{i}}}.<end_of_answer>",
        }
        for i in range(20)
    ]


@pytest.fixture(scope="session")
def pairs() -> list[dict[str, Any]]:
    """Pairs that a single letter tells apart."""
    return [
        {"prompt": f"Q{i}:", "chosen": f"a{i}<end_of_step>", "rejected": f"z{i}<end_of_step>"}
        | {"weight": 0.25 if i % 2 else 1.0, "problem_id": str(i // 2)}
        for i in range(40)
    ]
