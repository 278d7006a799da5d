"""How many parameters a checkpoint has, from the headers of its files, or as its name says."""

import json
import math
import re
from pathlib import Path

from ponderosa.core import split_options


def parameters(spec: str | None) -> int | None:
    """The number of parameters of the safetensors checkpoint that `spec` names; None where that cannot be told."""
    files = sorted(Path(split_options(spec)[0]).glob("*.safetensors")) if spec else []
    return sum(map(_in_file, files)) if files else None


def named_parameters(spec: str) -> float | None:
    """The number of parameters in a model's name, e.g. 7e9 of `Qwen2.5-Math-7B`; None where it has none."""
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z0-9])", spec)
    return float(found[-1]) * 1e9 if found else None


def _in_file(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
