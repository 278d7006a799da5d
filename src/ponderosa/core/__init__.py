"""The vocabulary of Ponderosa: problems, steps, trees, outcomes and the protocols at the seams.

Standard library only; every other layer may import this one and this one imports none of them.
"""

from ponderosa.core.components import PYTHON, close, find_attribute, load_component
from ponderosa.core.errors import BackendError, PonderosaError, RefusedError
from ponderosa.core.format import CodeFormat, ParsedStep, StepFormat, StepKind, boxed_answer, plain_text
from ponderosa.core.formats import EXECUTED, FORMATS, PROGRAM, PROOF, TAGS, Tags, answer_alone, make_format
from ponderosa.core.options import split_options
from ponderosa.core.outcome import Ended, Graded, Outcome, Status
from ponderosa.core.problem import Kind, Problem
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
    "EXECUTED",
    "FORMATS",
    "PROGRAM",
    "PROOF",
    "PYTHON",
    "READABLE",
    "SCHEMA_VERSION",
    "TAGS",
    "BackendError",
    "CodeFormat",
    "Completion",
    "Ended",
    "Equivalent",
    "Execution",
    "Executor",
    "Graded",
    "Grader",
    "Judge",
    "Kind",
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
    "Tags",
    "Tree",
    "Usage",
    "Verdict",
    "answer_alone",
    "boxed_answer",
    "close",
    "derive_seed",
    "find_attribute",
    "load_component",
    "make_format",
    "plain_text",
    "split_options",
]
