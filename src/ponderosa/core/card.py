"""Cards of models and data sets: the `README.md` of a folder, as the Hugging Face Hub reads it."""

import json
from collections.abc import Mapping
from typing import Any

CARD = "README.md"


def card(metadata: Mapping[str, Any], text: str) -> str:
    """A card of metadata (plain JSON values, which are YAML too; None is left out) and of text in Markdown."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items() if value is not None]
    return "\n".join(("---", *lines, "---", text.strip("\n"), ""))
