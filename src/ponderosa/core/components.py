"""Parts of a user's own, named by where Python finds them: `python:package.module:attribute?option=value`.

Modules are looked for where Python looks, and in the current directory, also in worker processes.
"""

import importlib
import inspect
import json
import os
import sys
from typing import Any

from ponderosa.core.errors import PonderosaError
from ponderosa.core.options import split_options

PYTHON = "python:"


def find_attribute(name: str) -> tuple[Any, dict[str, Any]]:
    """The attribute that `name` leads to, and its options, each read as JSON where it is that, else as text.

    Raises `PonderosaError` where there is no such module or attribute.
    """
    target, options = split_options(name.removeprefix(PYTHON))
    module, _, attribute = target.partition(":")
    if not module or not attribute:
        raise PonderosaError(f"{name}: a part of your own is named python:package.module:attribute")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PonderosaError(
            f"{name}: there is no module {error.name}; run where it is, or have it on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever a user's module may raise
        raise PonderosaError(f"{name}: importing {module} failed with {error!r}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise PonderosaError(f"{name}: {module} has no {attribute}")
        found = getattr(found, part)
    return found, {key: _value(text) for key, text in options.items()}


def load_component(name: str, *methods: str, **given: Any) -> Any:
    """The object that `name` leads to: what a class or function there gives for the options and what is `given`, or
    what is there itself.

    Raises `PonderosaError` if it cannot be called so, or has not all of `methods`.
    """
    found, options = find_attribute(name)
    if callable(found):
        try:
            inspect.signature(found).bind(**options, **given)
        except TypeError as error:
            asked = ", ".join([*options, *given]) or "nothing"
            raise PonderosaError(f"{name} is called with {asked} by name: {error}") from error
        try:
            found = found(**options, **given)
        except PonderosaError:
            raise
        except Exception as error:  # whatever a user's code may raise
            raise PonderosaError(f"{name} failed with {error!r}") from error
    elif options:
        raise PonderosaError(f"{name} takes no options: it is no class or function")
    if lacking := [method for method in methods if not callable(getattr(found, method, None))]:
        raise PonderosaError(f"{name} gives a {type(found).__name__}, which has no method {', '.join(lacking)}")
    return found


def close(component: Any) -> None:
    """Ends what a component holds; one of a user's own need have nothing to end."""
    if hasattr(component, "close"):
        component.close()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
