"""How a program ended, from what there is to know about it once its process is gone."""

import signal
from typing import Any

_STATUSES = ("ok", "error", "memory", "refused")
_KINDS = {"status": str, "error_type": str, "error_message": str, "line": int}


def ended(killed_for: str | None, exit_code: int, report: Any) -> dict[str, Any]:
    """The record of a program: the executor's word first, then the program's own process's, then the kernel's.

    `killed_for` is the status for which the executor killed it; `exit_code` is negative for a signal; `report` is what
    the process said about itself (see `program.Record`), which the program could have forged: it speaks for itself.
    """
    if killed_for is not None:
        return {"status": killed_for}
    if exit_code == 0 and isinstance(report, dict) and report.get("status") in _STATUSES:
        return {key: report[key] for key, kind in _KINDS.items() if isinstance(report.get(key), kind)}
    if exit_code == -signal.SIGXCPU:
        return {"status": "timeout"}
    if exit_code < 0:
        return {"status": "crashed", "error_message": f"killed by {signal.Signals(-exit_code).name}"}
    return {"status": "crashed", "error_message": f"ended by itself with exit code {exit_code}"}
