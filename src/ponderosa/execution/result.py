"""From the record that comes out of a jail to an `Execution`."""

from collections.abc import Mapping
from typing import Any

from ponderosa.core import Execution, Status
from ponderosa.execution.limits import Limits


def to_execution(record: Mapping[str, Any], tier: str) -> Execution:
    """The result that `record` (see `jail.server`) describes."""
    return Execution(
        status=Status(record["status"]),
        stdout=record["stdout"],
        error_type=record.get("error_type"),
        error_message=record.get("error_message"),
        line=record.get("line"),
        wall_s=record["wall_s"],
        cpu_s=record["cpu_s"],
        tier=tier,
    )


def refusal(code: str, limits: Limits) -> Execution | None:
    """The result of a program that is not even started; None for one that is."""
    if len(code) <= limits.program_length:
        return None
    return Execution(
        Status.REFUSED, error_message=f"the program has {len(code)} characters; {limits.program_length} are allowed"
    )
