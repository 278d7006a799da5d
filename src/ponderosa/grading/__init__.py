"""Whether two answers are the same value, however written."""

from ponderosa.grading.extraction import extract_answer
from ponderosa.grading.grader import MathGrader
from ponderosa.grading.normal_form import normalise

__all__ = ["MathGrader", "extract_answer", "normalise"]
