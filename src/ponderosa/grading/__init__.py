"""Whether two answers are the same value, however written."""

from ponderosa.grading.grader import MathGrader
from ponderosa.grading.normal_form import normalise

__all__ = ["MathGrader", "normalise"]
