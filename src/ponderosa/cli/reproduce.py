"""What a report says under "Reproduce"."""

import shlex
import sys


def command_line() -> str:
    """The command that runs, as it can be pasted into a shell."""
    return shlex.join(["ponderosa", *sys.argv[1:]])
