import pytest

from ponderosa.execution.tiers import Tier, tier_of


@pytest.mark.parametrize(
    ("code", "tier"),
    [
        ("x = 3 * 4\nprint(x)", Tier.LIGHT),
        ("import math\nprint(math.pi)", Tier.LIGHT),
        ("import numpy as np", Tier.NUMPY),
        ("    from scipy.optimize import brentq", Tier.NUMPY),
        ("import math, sympy", Tier.SYMPY),
        ("from sympy import *\nimport numpy", Tier.SYMPY),
        ("import mpmath as mp", Tier.SYMPY),
        ("sympy = 1", Tier.LIGHT),
        ("import mysympyish", Tier.LIGHT),
    ],
)
def test_a_program_gets_the_smallest_tier_that_has_what_it_imports(code, tier):
    assert tier_of(code) is tier
