"""What one program may use, and which shortcuts the steps of a search may take."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """`wall_s` in seconds from its start; `memory_mb` on top of the interpreter; `output_bytes` printed, in UTF-8."""

    wall_s: float = 2.0
    memory_mb: int = 512
    output_bytes: int = 64 * 1024
    program_length: int = 256 * 1024
    """Characters of the program itself; a longer one is refused."""
    clock: float | None = None
    """The time that programs see, in seconds since 1970; None for the real one. Needs `time-machine`."""


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """How programs that extend each other, as those of a search tree do, may be run without starting from nothing.

    With `share` the plain programs of a tree run one after another in one process; with `snapshots` the process in
    which a slow step ran is kept, and forked for the next step. The processes kept may use `warm_mb` per server.
    """

    share: bool = True
    snapshots: bool = True
    warm_mb: int = 1024

    @property
    def settings(self) -> dict[str, Any]:
        """As the server takes them."""
        return {"share": self.share, "snapshots": self.snapshots, "warm_bytes": self.warm_mb << 20}
