"""The house as a test: imports point down only, and what is heavy stays behind its own door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ponderosa

SOURCE = Path(ponderosa.__file__).parent

LAYERS = (
    {"core"},
    {"models", "execution", "grading", "forest", "problems", "sapling"},
    {"search"},
    {"evaluation", "cluster"},
    {"training"},
    {"evolution"},
    {"view"},
    {"api", "hub"},
    {"cli", "serve"},
)
"""From the ground up. A package imports itself and packages of lower layers."""

HOMES = {
    "accelerate": {"training"},
    "aiohttp": {"models"},
    "cyclopts": {"cli"},
    "datasets": {"problems", "training"},
    "gguf": {"models"},
    "huggingface_hub": {"hub", "models"},
    "latex2sympy2_extended": {"grading"},
    "llama_cpp": {"models"},
    "math_verify": {"grading"},
    "matplotlib": {"view"},
    "py3langid": {"training"},
    "numpy": {"evaluation", "models", "training", "view"},
    "peft": {"training"},
    "pyarrow": {"forest", "problems"},
    "pydantic": {"evolution", "training"},
    "reasoning_gym": {"problems", "sapling"},
    "rich": {"cli", "view"},
    "scipy": {"evaluation"},
    "sympy": {"grading"},
    "time_machine": {"execution"},
    "tokenizers": {"sapling"},
    "torch": {"models", "sapling", "training"},
    "transformers": {"models", "sapling", "training"},
    "trl": {"training"},
    "vllm": {"models"},
    "yaml": {"evolution", "training"},
}
"""The packages that may import each third-party library."""

HEAVY = {
    "aiohttp",
    "torch",
    "transformers",
    "trl",
    "datasets",
    "huggingface_hub",
    "llama_cpp",
    "sympy",
    "math_verify",
    "pyarrow",
    "scipy",
    "matplotlib",
    "reasoning_gym",
}

LIGHT = {
    "ponderosa": HEAVY | {"asyncio"},
    "ponderosa.core": HEAVY | {"pydantic", "rich", "yaml", "numpy"},
    "ponderosa.search": HEAVY,
    "ponderosa.models": HEAVY,
    "ponderosa.forest": HEAVY,
    "ponderosa.sapling": {"torch", "transformers", "tokenizers"},
    "ponderosa.evolution": {"torch", "transformers", "trl", "datasets"},
    "ponderosa.view.table": HEAVY,
    "ponderosa.view.report": HEAVY,
    "ponderosa.hub": {"torch", "transformers", "trl", "datasets", "huggingface_hub"},
    "ponderosa.cli": HEAVY | {"asyncio"},
}
"""What importing a module must not load."""


@dataclass(frozen=True)
class Import:
    """One import statement's target, e.g. `ponderosa.core.tree` or `torch.nn`."""

    file: Path
    line: int
    target: str

    @property
    def importer(self) -> str:
        """The package that imports, e.g. `search`; empty for the root module."""
        parts = self.file.relative_to(SOURCE).parts
        return parts[0] if len(parts) > 1 else ""

    @property
    def top(self) -> str:
        return self.target.split(".")[0]

    @property
    def package(self) -> str:
        """The package of ours that is imported; empty for the root module's names and for what is not ours."""
        parts = self.target.split(".")
        return parts[1] if self.top == "ponderosa" and len(parts) > 1 and (SOURCE / parts[1]).is_dir() else ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(SOURCE.parent)}:{self.line} imports {self.target}"


def imports() -> Iterator[Import]:
    for file in sorted(SOURCE.rglob("*.py")):
        package = ("ponderosa", *file.relative_to(SOURCE).parent.parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (Import(file, node.lineno, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) + 1 - node.level] if node.level else ()
                target = ".".join([*base, *filter(None, [node.module])])
                if target == "ponderosa":
                    yield from (Import(file, node.lineno, f"ponderosa.{name.name}") for name in node.names)
                else:
                    yield Import(file, node.lineno, target)


IMPORTS = list(imports())


def outside() -> list[Import]:
    """Imports of third-party libraries."""
    return [i for i in IMPORTS if i.top != "ponderosa" and i.top not in sys.stdlib_module_names]


def layer(package: str) -> int:
    return next(i for i, packages in enumerate(LAYERS) if package in packages)


def points_down(imported: Import) -> bool:
    importer, package = imported.importer, imported.package
    if not importer or not package or importer == package:
        return True
    return layer(package) < layer(importer)


def test_every_package_has_a_layer():
    packages = {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert packages <= set().union(*LAYERS)


def test_imports_point_down():
    wrong = [str(i) for i in IMPORTS if not points_down(i)]
    assert not wrong, "\n".join(wrong)


def test_core_imports_the_standard_library_alone():
    wrong = [str(i) for i in outside() if i.importer == "core"]
    assert not wrong, "\n".join(wrong)


def test_every_library_is_imported_in_its_homes_alone():
    wrong = [str(i) for i in outside() if i.importer not in HOMES.get(i.top, set())]
    assert not wrong, "\n".join(wrong)


def test_every_home_is_needed():
    used = {(i.top, i.importer) for i in outside()}
    empty = [
        f"{library} in {home}" for library, homes in HOMES.items() for home in homes if (library, home) not in used
    ]
    assert not empty, "\n".join(empty)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_nothing_heavy(module):
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert LIGHT[module] & set(loaded) == set()
