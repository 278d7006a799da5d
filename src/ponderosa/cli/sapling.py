"""`ponderosa sapling`."""

import json

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
