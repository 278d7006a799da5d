"""How the interpreters that run programs are started: fresh, with a clean environment, without site customisations."""

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# All that a program sees of the environment: fixed hashes, one time zone, one thread.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}
CODE = Path(__file__).parent
"""The folder that holds `jail`, which is all that an interpreter needs to run programs."""
_START = """
import json, sys
sys.path.insert(0, sys.argv[1])
from jail import {module}
del sys.path[0]
{module}.main(json.loads(sys.argv[2]))
"""


# -S: no site customisations.
INTERPRETER = (sys.executable, "-S")


def command(module: str, settings: Mapping[str, Any], interpreter: Sequence[str] = INTERPRETER) -> list[str]:
    """The command line that calls `main(settings)` of a module of `jail`."""
    # Not -I, which would ignore PYTHONHASHSEED: the environment is ours, so that there is nothing to ignore.
    options = ["-s", "-P"]
    start = _START.format(module=module)
    return [*interpreter, *options, "-c", start, str(CODE), json.dumps(settings)]


def package_folders() -> list[str]:
    """Where the packages that programs may import are installed: numpy's and sympy's folders, usually one."""
    specs = (importlib.util.find_spec(name) for name in ("numpy", "sympy"))
    return list(dict.fromkeys(str(Path(spec.origin).parent.parent) for spec in specs if spec and spec.origin))
