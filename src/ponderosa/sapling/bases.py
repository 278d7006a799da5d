"""The bases that ship with the package, by name."""

from pathlib import Path

from ponderosa.core.errors import PonderosaError

BASES: dict[str, tuple[str, str]] = {
    "sapling": ("base", "--tokens 50000000"),
    "sapling-small": ("base-small", "--size small --tokenizer sapling --tokens 25000000"),
    "sapling-polyglot": ("base-polyglot", "--size medium --corpus polyglot --tokens 40000000"),
}
"""Name -> the folder beside this file, and the settings of `ponderosa sapling pretrain` that make it."""


def base_path(name: str = "sapling") -> Path:
    """The folder of a base that ships with the package, a Hugging Face checkpoint. Raises `PonderosaError`."""
    if name not in BASES:
        raise PonderosaError(f"there is no base {name}: choose one of {', '.join(BASES)}")
    folder, settings = BASES[name]
    path = Path(__file__).parent / folder
    if not (path / "model.safetensors").exists():
        raise PonderosaError(
            f"the base {name} is not there: make it with `ponderosa sapling pretrain {path} {settings}`"
        )
    return path


def base_or(name: str) -> str:
    """The folder of the base of that name; any other name as it is. Raises `PonderosaError`."""
    return str(base_path(name)) if name in BASES else name
