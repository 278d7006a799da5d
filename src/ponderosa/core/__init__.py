"""The vocabulary of Ponderosa: problems, steps, trees, outcomes and the protocols at the seams.

Standard library only; every other layer may import this one and this one imports none of them.
"""

from ponderosa.core.errors import BackendError, PonderosaError, RefusedError
from ponderosa.core.format import CodeFormat, ParsedStep, StepFormat, StepKind, boxed_answer
from ponderosa.core.formats import FORMATS, make_format
from ponderosa.core.outcome import Ended, Outcome, Status
from ponderosa.core.problem import Problem
from ponderosa.core.protocols import (
    Completion,
    Equivalent,
    Execution,
    Executor,
    Grader,
    Judge,
    Path,
    Policy,
    Prompt,
    Reward,
    Sampling,
    Scored,
    Verdict,
)
from ponderosa.core.seeds import derive_seed
from ponderosa.core.tree import READABLE, SCHEMA_VERSION, Node, Tree, Usage

__all__ = [
    "FORMATS",
    "READABLE",
    "SCHEMA_VERSION",
    "BackendError",
    "CodeFormat",
    "Completion",
    "Ended",
    "Equivalent",
    "Execution",
    "Executor",
    "Grader",
    "Judge",
    "Node",
    "Outcome",
    "ParsedStep",
    "Path",
    "Policy",
    "PonderosaError",
    "Problem",
    "Prompt",
    "RefusedError",
    "Reward",
    "Sampling",
    "Scored",
    "Status",
    "StepFormat",
    "StepKind",
    "Tree",
    "Usage",
    "Verdict",
    "boxed_answer",
    "derive_seed",
    "make_format",
]
