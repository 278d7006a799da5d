"""Self-evolution: loops over search, training and evaluation, each a short file that reads like the paper's figure."""

from ponderosa.evolution.loops import evolve, load_recipe, recipe_of
from ponderosa.evolution.recipe import Recipe
from ponderosa.evolution.rstar_math import RStarMath
from ponderosa.evolution.run import Observer, Run

__all__ = ["Observer", "RStarMath", "Recipe", "Run", "evolve", "load_recipe", "recipe_of"]
