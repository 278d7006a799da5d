"""Sapling, the embedded default: a world of problems with exact answers, and a small model that starts out reading it.

`problems` draws from a split; `facts` and `diagnose` know what is true of a problem and of a solution's steps;
`base_path` is the model to start from. Importing this loads neither torch nor reasoning-gym; making a model does.
"""

from ponderosa.sapling.bases import BASES, base_or, base_path
from ponderosa.sapling.diagnosis import MISREAD, StepClass, StepVerdict, diagnose
from ponderosa.sapling.problems import problem_at, problems
from ponderosa.sapling.world import facts

__all__ = [
    "BASES",
    "MISREAD",
    "StepClass",
    "StepVerdict",
    "base_or",
    "base_path",
    "diagnose",
    "facts",
    "problem_at",
    "problems",
]
