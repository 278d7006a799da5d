"""What protects this machine from a program, and whether it is active here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Protection:
    """One layer of the sandbox."""

    name: str
    active: bool
    against: str


def protections(fence: Mapping[str, Any]) -> list[Protection]:
    """All layers, from what a server said when it was ready. Those without a condition are there or no server is."""
    abi = fence["landlock"]
    names = ", ".join(fence["namespaces"])
    return [
        Protection("seccomp allow-list", True, "sockets, exec, threads, opening for writing, every call not listed"),
        Protection("supervised fork and signals", True, "fork bombs, processes that hide, signals to others"),
        Protection("Landlock files" + (f" (version {abi})" if abi else ""), abi > 0, _FILES),
        Protection("Landlock network", abi >= 4, "TCP, should a socket ever come to be"),
        Protection("Landlock signals and abstract sockets", abi >= 6, "reaching processes outside"),
        Protection("namespaces" + (f": {names}" if names else ""), bool(names), "the network and IPC, once more"),
        Protection("no new privileges, no capabilities", True, "set-uid programs, use of root's powers"),
        Protection("not dumpable", True, "other processes that look into this one"),
        Protection("resource limits", True, "too much memory, CPU time, files and core dumps"),
        Protection("wall limit", True, "endless loops, ignored signals, hanging exit handlers"),
        Protection("self-test", True, "all of the above missing: writing, reading, sockets, fork and exec were tried"),
    ]


_FILES = "reading anything but Python's libraries (without it: opening any file), writing anything"
