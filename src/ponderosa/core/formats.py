"""All step formats by name."""

from collections.abc import Callable

from ponderosa.core.errors import PonderosaError
from ponderosa.core.format import CodeFormat, StepFormat
from ponderosa.core.official_format import OfficialFormat
from ponderosa.core.plain_formats import FencedFormat, TextFormat

FORMATS: dict[str, Callable[[str], StepFormat]] = {
    "rstar": lambda few_shot: CodeFormat(few_shot=few_shot),
    "text": lambda few_shot: TextFormat(few_shot=few_shot),
    "fenced": lambda few_shot: FencedFormat(few_shot=few_shot),
    "rstar-official": lambda few_shot: OfficialFormat(few_shot=few_shot),
    "rstar-official/bootstrap": lambda few_shot: OfficialFormat(bootstrap=True, few_shot=few_shot),
}
"""Name -> a function of the few-shot examples, a text that stands before every question."""


def make_format(name: str, few_shot: str = "") -> StepFormat:
    """The step format of that name. Raises `PonderosaError` that names those there are."""
    if name not in FORMATS:
        raise PonderosaError(f"there is no step format {name}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name](few_shot)
