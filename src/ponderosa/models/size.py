"""How many parameters a checkpoint has, from the headers of its files."""

import json
import math
from pathlib import Path


def parameters(spec: str | None) -> int | None:
    """The number of parameters of the safetensors checkpoint that `spec` names; None where that cannot be told."""
    files = sorted(Path(spec.partition("?")[0]).glob("*.safetensors")) if spec else []
    return sum(map(_in_file, files)) if files else None


def _in_file(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
