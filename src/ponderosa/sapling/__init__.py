"""Sapling, the embedded default: a world of problems with exact answers, and a small model that starts out reading it.

`problems` draws from a split; `facts` and `diagnose` know what is true of them; `base_path` is the model to start from.
Nothing here imports torch until a model is made.
"""

from ponderosa.sapling.problems import problems
from ponderosa.sapling.world import facts

__all__ = ["facts", "problems"]
