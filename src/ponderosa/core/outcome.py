"""How things end. Failures are typed fields on the record, never answer strings."""

from enum import StrEnum


class Outcome(StrEnum):
    """Why a node of a search tree is terminal."""

    ANSWERED = "answered"
    """The step states a final answer."""
    MALFORMED = "malformed"
    """The step's text does not follow the step format (empty, cut off by the token limit, a box without content)."""
    CODE_ERROR = "code_error"
    """As many consecutive steps as the settings allow failed to execute."""
    TOO_DEEP = "too_deep"
    """The path has more steps than the settings allow."""
    NO_VALID_CHILD = "no_valid_child"
    """Every candidate below this node is terminal, or none could be kept."""
    TIMED_OUT = "timed_out"
    """The search's deadline came first."""
    BUDGET_SPENT = "budget_spent"
    """The search had no more tokens or calls to spend."""
    BACKEND_FAILED = "backend_failed"
    """The policy or the reward refused a request."""


class Graded(StrEnum):
    """How the comparison of an answer with its reference ended. Only after OK does the verdict say anything."""

    OK = "ok"
    NO_REFERENCE = "no_reference"
    TOO_LONG = "too_long"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    ERROR = "error"
    UNREADABLE = "unreadable"
    """A judge gave no verdict that could be read."""
    REFUSED = "refused"
    """The grader refused the request."""


class Ended(StrEnum):
    """How a completion ended."""

    STOP = "stop"
    """At a stop string, named in `Completion.stop`."""
    EOS = "eos"
    """The model ended its text."""
    LENGTH = "length"
    """The token limit cut it off."""


class Status(StrEnum):
    """How the execution of a program ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASHED = "crashed"
    REFUSED = "refused"
