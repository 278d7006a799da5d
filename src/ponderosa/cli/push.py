"""`ponderosa push`."""

from pathlib import Path

from rich.console import Console

from ponderosa.hub import repositories


def push(
    source: Path, *, repo: str, private: bool = False, license: str | None = None, dry_run: Path | None = None
) -> None:
    """Push what a run made to the Hugging Face Hub, with cards.

    The token is where `hf auth login` leaves it, or in the environment variable HF_TOKEN.

    Parameters
    ----------
    source
        A run of `ponderosa evolve`, which becomes NAME (its last policy), NAME-ppm and NAME-data; or only a part of
        one: a checkpoint, a data set, a run of `ponderosa search`, or a GGUF file.
    repo
        OWNER/NAME on the Hub; it is made if there is none.
    private
        Make new repositories private.
    license
        The licence on the cards, as the Hub spells it, e.g. `apache-2.0`.
    dry_run
        A folder to write to what would be pushed. Nothing is pushed then, and neither network nor token is needed.
    """
    console = Console()
    found = repositories(source, repo, license)
    for repository in found:
        if dry_run is not None:
            console.print(f"{repository.kind} {repository.name}: {repository.write(dry_run)}", soft_wrap=True)
            for path in sorted(repository.files):
                console.print(f"  {path}", highlight=False, soft_wrap=True)
        else:
            console.print(f"{repository.kind} {repository.name}: {repository.push(private=private)}", soft_wrap=True)
