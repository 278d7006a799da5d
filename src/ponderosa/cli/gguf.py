"""`ponderosa gguf`."""

from pathlib import Path
from typing import Literal

from rich.console import Console

from ponderosa.core import PonderosaError
from ponderosa.evolution.evolved import evolved
from ponderosa.sapling import base_or

Type = Literal["f32", "f16", "bf16", "q8_0", "q4_k_m", "q4_0"]


def gguf(source: Path, *, out: Path, type: Type = "q8_0") -> None:
    """Write a policy as a GGUF file, for llama.cpp and small devices.

    Parameters
    ----------
    source
        A checkpoint (of Llama's or Qwen2's architecture), or a run of `ponderosa evolve`, whose last policy it is then.
    out
        The file to write.
    type
        What the weights are: numbers of 32 or 16 bits, or in blocks of 8 or 4 bits.
    """
    source = Path(base_or(str(source)))
    if (run := evolved(str(source))) is not None:
        source = Path(run.policy)
    if out.exists():
        raise PonderosaError(f"{out} exists: choose another --out, or remove it")
    try:
        from ponderosa.models.llamacpp.export import write_gguf
    except ModuleNotFoundError as error:
        raise PonderosaError(f"GGUF files need {error.name}: pip install 'ponderosa[local,gguf]'") from error
    write_gguf(source, out, type)
    Console().print(f"{out.stat().st_size / 2**20:,.1f} MiB: {out}", soft_wrap=True)
