"""Self-evolution: loops over search, training and evaluation, each a short file that reads like the paper's figure."""

from ponderosa.evolution.recipe import Recipe, load_recipe
from ponderosa.evolution.rstar_math import evolve
from ponderosa.evolution.run import Observer, Run

__all__ = ["Observer", "Recipe", "Run", "evolve", "load_recipe"]
