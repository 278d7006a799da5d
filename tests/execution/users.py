"""Starting Python as an unprivileged user."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ponderosa

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
SECRET = "canary-in-the-environment"


def python_for_all() -> str | None:
    """A Python that finds the package when an unprivileged user starts it."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    for python in filter(None, [sys.executable, system]):
        words = [*AS_NOBODY, "/usr/bin/env", python, "-c", "import ponderosa.cli"]
        if shutil.which("setpriv") and subprocess.run(words, capture_output=True, env=environment()).returncode == 0:
            return python
    return None


def environment() -> dict[str, str]:
    packages = [str(Path(ponderosa.__file__).parents[1]), *(path for path in sys.path if path.endswith("-packages"))]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(packages), "HOME": "/", "SECRET": SECRET}
