"""What one program may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`wall_s` in seconds from its start; `memory_mb` on top of the interpreter; `output_bytes` printed, in UTF-8."""

    wall_s: float = 2.0
    memory_mb: int = 512
    output_bytes: int = 64 * 1024
    program_length: int = 256 * 1024
    """Characters of the program itself; a longer one is refused."""
