"""`ponderosa sapling`."""

import json
from pathlib import Path

from cyclopts import App

from ponderosa.core import PonderosaError

app = App(name="sapling", help="The embedded world and its base model.")


@app.command
def problems(split: str = "train", *, count: int = 5, seed: int = 0, level: list[int] | None = None) -> None:
    """Print problems of the world as JSON lines.

    Parameters
    ----------
    split
        `train`, `dev` or `test`; only test problems hold combinations that no other split has.
    count
        How many.
    seed
        Which stream of problems.
    level
        The levels, 1 to 5; all of them by default.
    """
    from ponderosa.sapling import problems as make

    if split not in ("train", "dev", "test"):
        raise PonderosaError(f"there is no split {split}: choose train, dev or test")
    for problem in make(split, seed, 0, count, levels=tuple(level or (1, 2, 3, 4, 5))):
        print(json.dumps({"id": problem.id, "question": problem.question, "answer": problem.answer}))


@app.command
def pretrain(out: Path, *, tokens: int = 31_000_000, seed: int = 0, processes: int = 2) -> None:
    """Make the base again: pre-train a model from nothing on the world's noisy corpus. The same command resumes.

    Parameters
    ----------
    out
        The folder of the checkpoint; the state of a run that is not done lies in it.
    tokens
        How many tokens the model reads; all of them fresh.
    seed
        The seed of the weights and of the stream of problems.
    processes
        Processes of one thread each that share the work.
    """
    from ponderosa.sapling.pretrain import Pretraining
    from ponderosa.sapling.pretrain import pretrain as run

    path = run(out, Pretraining(tokens=tokens, seed=seed, processes=processes))
    print(f"the base is in {path}")
