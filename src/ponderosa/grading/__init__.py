"""Is an answer right? Values however written, the letters of choices, programs by their tests."""

from ponderosa.grading.choices import ChoiceGrader
from ponderosa.grading.extraction import extract_answer
from ponderosa.grading.grader import MathGrader
from ponderosa.grading.kinds import ProblemGrader
from ponderosa.grading.normal_form import normalise
from ponderosa.grading.programs import CodeGrader

__all__ = ["ChoiceGrader", "CodeGrader", "MathGrader", "ProblemGrader", "extract_answer", "normalise"]
