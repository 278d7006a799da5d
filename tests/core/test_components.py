import sys

import pytest

from ponderosa.core import PonderosaError, close, find_attribute, load_component, split_options

MODULE = """
class Echo:
    def __init__(self, **options):
        self.options = options

    def say(self):
        return self.options


def strict(size):
    return Echo(size=size)


def broken():
    return 1 / 0


class Inside:
    made = Echo(by="hand")


echo = Echo()
number = 7
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, which Python does not look at by itself, with the module `own_parts`."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("raise RuntimeError('no weights')")
    (tmp_path / "own_lacking.py").write_text("import a_package_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    for name in ("own_parts", "own_broken", "own_lacking"):
        sys.modules.pop(name, None)


def test_a_class_is_called_with_the_options_and_what_is_given(here):
    made = load_component("python:own_parts:Echo?size=3&share=0.5&name=a-b&on=true&sizes=[1,2]", "say", format="text")
    assert made.say() == {"size": 3, "share": 0.5, "name": "a-b", "on": True, "sizes": [1, 2], "format": "text"}


def test_what_is_no_class_or_function_is_taken_as_it_is(here):
    assert load_component("python:own_parts:echo", "say") is load_component("python:own_parts:echo", "say")
    assert load_component("python:own_parts:Inside.made", "say").say() == {"by": "hand"}
    assert find_attribute("python:own_parts:number") == (7, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("python:own_parts", "is named python:package.module:attribute"),
        ("python::echo", "is named python:package.module:attribute"),
        ("python:own_partz:echo", "there is no module own_partz"),
        ("python:own_lacking:echo", "there is no module a_package_that_is_not_there"),
        ("python:own_broken:echo", "importing own_broken failed with RuntimeError('no weights')"),
        ("python:own_parts:ecko", "own_parts has no ecko"),
        ("python:own_parts:strict?sise=1", "is called with sise by name: missing a required argument: 'size'"),
        ("python:own_parts:broken", "failed with ZeroDivisionError"),
        ("python:own_parts:echo?size=1", "takes no options"),
        ("python:own_parts:number", "gives a int, which has no method say"),
        ("python:own_parts:Echo?size", "options are written ?name=value&name=value"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(here, name, message):
    with pytest.raises(PonderosaError) as error:
        load_component(name, "say")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_that_is_there_has_no_options(tmp_path):
    odd = tmp_path / "what?size=3"
    assert split_options(str(odd)) == (str(tmp_path / "what"), {"size": "3"})
    odd.mkdir()
    assert split_options(str(odd)) == (str(odd), {})


def test_a_part_without_an_end_needs_none():
    class Closing:
        closed = False

        def close(self):
            self.closed = True

    part = Closing()
    close(part)
    close(object())
    assert part.closed
