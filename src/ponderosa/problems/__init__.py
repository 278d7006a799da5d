"""Problems by name: files, benchmarks, data sets of the Hub, families of reasoning-gym."""

from ponderosa.problems.benchmarks import BENCHMARKS
from ponderosa.problems.loading import Loaded, load_problems

__all__ = ["BENCHMARKS", "Loaded", "load_problems"]
