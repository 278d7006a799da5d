"""`ponderosa sapling`."""

import json
from pathlib import Path
from typing import Literal

from cyclopts import App

from ponderosa.core import PonderosaError

app = App(name="sapling", help="The embedded world and its base model.")


@app.command
def problems(
    split: str = "train",
    *,
    count: int = 5,
    seed: int = 0,
    level: list[int] | None = None,
    task: Literal["math", "choice", "code"] = "math",
    language: Literal["en", "eo", "both"] = "en",
) -> None:
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
    task
        Word problems, the same as multiple choice, or problems whose answers are programs.
    language
        The language of the questions: English, Esperanto, or both in turn.
    """
    from ponderosa.sapling import problems as make

    if split not in ("train", "dev", "test"):
        raise PonderosaError(f"there is no split {split}: choose train, dev or test")
    for problem in make(split, seed, 0, count, tuple(level or (1, 2, 3, 4, 5)), task=task, language=language):
        graded = {key: problem.meta[key] for key in ("choices", "tests") if key in problem.meta}
        record = {"id": problem.id, "question": problem.question, "answer": problem.answer, "kind": problem.kind}
        print(json.dumps({**record, "meta": graded} if graded else record, ensure_ascii=False))


@app.command
def pretrain(
    out: Path,
    *,
    tokens: int = 50_000_000,
    size: str = "base",
    corpus: str = "code",
    tokenizer: str = "",
    seed: int = 0,
    processes: int = 2,
    audited: int = 1000,
) -> None:
    """Make a base: pre-train a model from nothing on the world's noisy corpus. The same command resumes.

    Parameters
    ----------
    out
        The folder of the checkpoint; the state of a run that is not done lies in it.
    tokens
        How many tokens the model reads; all of them fresh.
    size
        The model's shape: tiny, small, base, medium, large or huge (docs/sapling.md has their parameters).
    corpus
        What it reads: code, or polyglot (several dialects in two languages).
    tokenizer
        A base's name or a checkpoint, whose tokenizer is taken; one is trained on the corpus by default.
    seed
        The seed of the weights and of the stream of problems.
    processes
        Processes of one thread each that share the work.
    audited
        Test problems that the figures of its card are measured on; 0 measures nothing.
    """
    from ponderosa.sapling.pretrain import Pretraining
    from ponderosa.sapling.pretrain import pretrain as run

    settings = Pretraining(
        tokens=tokens,
        size=size,
        corpus=corpus,
        tokenizer=tokenizer,
        seed=seed,
        processes=processes,
        audited=audited,
    )
    print(f"the base is in {run(out, settings)}")


@app.command
def audit(out: Path, *, count: int = 1000) -> None:
    """Measure the model of a pre-training as it is now, on held-out problems, and write checkpoint and card.

    Parameters
    ----------
    out
        The folder of the pre-training.
    count
        How many problems, of each dialect.
    """
    from ponderosa.sapling.pretrain import finish

    finish(out, count)
    print((out / "README.md").read_text())


@app.command
def loss(checkpoint: Path, *, corpus: str = "code", documents: int = 512) -> None:
    """Print the loss of a checkpoint on fresh documents, in nats a token of the solutions.

    Parameters
    ----------
    checkpoint
        A sapling's folder.
    corpus
        Whose documents.
    documents
        How many.
    """
    from ponderosa.sapling.loss import held_out_loss

    if not (checkpoint / "config.json").exists():
        raise PonderosaError(f"there is no checkpoint at {checkpoint}: make one with ponderosa sapling pretrain")
    print(f"{held_out_loss(checkpoint, corpus=corpus, documents=documents):.4f} nats a token")
