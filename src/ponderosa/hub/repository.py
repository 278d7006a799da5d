"""A repository of the Hugging Face Hub: what it holds, written to a folder or pushed."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponderosa.core import PonderosaError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""OWNER/NAME, as the Hub has it."""

_DENIED = (401, 403)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository OWNER/NAME. `files` are its contents by path: a file of this machine, or the text of a card."""

    name: str
    kind: Literal["model", "dataset"]
    files: Mapping[str, Path | str]

    def __post_init__(self) -> None:
        check_name(self.name)

    def write(self, parent: Path) -> Path:
        """Writes what `push` would upload to the folder `parent`/NAME, and returns that.

        Raises `PonderosaError` if it exists.
        """
        folder = parent / self.name.split("/")[1]
        if folder.exists():
            raise PonderosaError(f"{folder} exists: name another folder, or remove it")
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                target.write_text(content, encoding="utf-8")
            else:
                shutil.copyfile(content, target)
        return folder

    def push(self, *, private: bool = False) -> str:
        """Uploads everything as one commit to the repository, which is made if there is none; the commit's address.

        The token is where huggingface_hub keeps it: the environment variable HF_TOKEN, or its own login. Raises
        `PonderosaError`.
        """
        hub = load_hub()
        adds = [
            hub.CommitOperationAdd(path, content.encode() if isinstance(content, str) else content)
            for path, content in self.files.items()
        ]
        api = hub.HfApi()
        try:
            api.create_repo(self.name, repo_type=self.kind, private=private, exist_ok=True)
            message = "Upload with Ponderosa"
            commit = api.create_commit(self.name, adds, commit_message=message, repo_type=self.kind)
        except hub.errors.HfHubHTTPError as error:
            if error.response is not None and error.response.status_code in _DENIED:
                raise PonderosaError(
                    f"the Hub does not let you write {self.name}: "
                    "run `hf auth login`, or set HF_TOKEN, with a token that may write there"
                ) from error
            raise PonderosaError(f"the Hub refused {self.name}: {_first_line(error)}") from error
        except (hub.errors.HTTPError, OSError) as error:
            raise PonderosaError(f"cannot reach the Hub at {api.endpoint}: {_first_line(error)}") from error
        return str(commit.commit_url)


def check_name(name: str) -> None:
    """Raises `PonderosaError` unless `name` is OWNER/NAME."""
    if not NAME.fullmatch(name):
        raise PonderosaError(f"{name} is not the name of a repository: write --repo OWNER/NAME")


def load_hub() -> Any:
    """The module huggingface_hub, with its errors. Raises `PonderosaError` if it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise PonderosaError("this needs huggingface_hub: pip install 'ponderosa[hub]'") from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
