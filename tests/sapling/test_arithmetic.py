import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.sapling.arithmetic import ExpressionError, formula, terms

numbers = st.integers(-999, 999)


@given(numbers, numbers, st.integers(1, 99))
def test_formulas_compute_as_python_does(a, b, k):
    env = {"ann": a, "ben": b, "k": k}
    assert formula("2 * (ann + ben) - k")(env) == 2 * (a + b) - k
    assert formula("-(-ann // k)")(env) == -(-a // k)
    assert formula("ann % k + max(ann, ben) - min(ann, ben)")(env) == a % k + max(a, b) - min(a, b)


NO_ARITHMETIC = (
    *("", "ann +", "ann / 2", "1.5", "True", "'a'", "[1, 2]", "ann.real", "ann if ben else 1", "x := 1"),
    *("open('x')", "__import__('os')", "max(1)", "max(1, key=2)", "(" * 5000, "1" * 5000),
)


@pytest.mark.parametrize("expression", NO_ARITHMETIC)
def test_what_is_no_arithmetic_is_refused(expression):
    with pytest.raises(ExpressionError):
        formula(expression)


@pytest.mark.parametrize("expression", ["1 // 0", "1 % (ann - ann)", "ben", "2 ** 1000", "2 ** -1", "999999 ** 9"])
def test_what_has_no_value_is_an_error(expression):
    with pytest.raises(ExpressionError):
        formula(expression)({"ann": 3})


def test_terms_are_the_variables_and_the_literals():
    assert terms("math.gcd(ann, 12) + 5 * ben - 5") == ({"ann", "ben"}, (5, 5, 12))
