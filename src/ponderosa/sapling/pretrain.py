"""Pre-training of the base on a stream of fresh problems: `ponderosa sapling pretrain`.

Every document is new (no epoch is ever done twice), the loss is weighted by segment, Muon steps the blocks' matrices and
AdamW everything else. Processes of one thread each share a batch and average their gradients: on small models two such
processes are faster than one process of two threads. A run is a folder: killed at any moment, the same call resumes it.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponderosa.core.errors import PonderosaError
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.dialects import DIALECTS
from ponderosa.sapling.problems import problem_at
from ponderosa.sapling.vocabulary import NAMES, OBJECTS

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

STATE = "state.pt"
SETTINGS = "settings.json"
_TOKENIZER_DOCUMENTS = 6000


@dataclass(frozen=True)
class Pretraining:
    """Settings of a run. Tokens are those the model reads, padding not counted, over all processes."""

    tokens: int = 36_000_000
    seed: int = 0
    processes: int = 2
    batch_tokens: int = 4096
    """Tokens of a batch of one process, padding counted."""
    muon_rate: float = 0.02
    adamw_rate: float = 4e-3
    warmup: float = 0.01
    """Share of the tokens over which the learning rates rise."""
    decay: float = 0.7
    """Share of the tokens at the end over which the learning rates fall linearly to zero."""
    bf16: bool = True
    save_every: float = 60.0
    """Seconds between checkpoints of the run."""


@dataclass(frozen=True)
class Batch:
    """Right-padded documents: tokens and loss weights, each [rows, length], and how many tokens are not padding."""

    tokens: "torch.Tensor"
    weights: "torch.Tensor"
    count: int


def pretrain(out: Path, settings: Pretraining = Pretraining()) -> Path:  # noqa: B008  (frozen)
    """Trains a base from nothing and writes it to `out` as a Hugging Face checkpoint; returns that folder.

    The run's state lies in `out/run` until it is done. Raises `PonderosaError` where another run's state lies there or a
    process dies.
    """
    import torch.multiprocessing as multiprocessing

    run = out / "run"
    run.mkdir(parents=True, exist_ok=True)
    _claim(run / SETTINGS, settings)
    make_tokenizer(run, settings.seed)
    rendezvous = run / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the processes, before they import torch
    try:
        multiprocessing.spawn(_train, args=(run, settings, rendezvous), nprocs=settings.processes)
    except multiprocessing.ProcessRaisedException as error:
        raise PonderosaError(f"Pre-training failed; run the same command to resume from {run}. {error}") from error
    except multiprocessing.ProcessExitedException as error:
        raise PonderosaError(f"A pre-training process died ({error}); run the same command to resume.") from error
    return save(run, out)


def make_tokenizer(run: Path, seed: int) -> "PreTrainedTokenizerFast":
    """The run's tokenizer: trained on the corpus at the first call, loaded after."""
    from transformers import PreTrainedTokenizerFast

    from ponderosa.sapling.tokenizer import train_tokenizer

    folder = run / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        documents = ("".join(d.text for d in _document(seed, i)) for i in range(_TOKENIZER_DOCUMENTS))
        train_tokenizer(documents, NAMES + OBJECTS).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def save(run: Path, out: Path) -> Path:
    """Writes the run's model as it is now to `out`: bf16 weights, tokenizer and generation settings."""
    import torch
    from transformers import GenerationConfig

    from ponderosa.sapling.model import new_model

    tokenizer = make_tokenizer(run, 0)
    model = new_model(tokenizer, 0)
    model.load_state_dict(torch.load(run / STATE, weights_only=True)["model"])
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def rate_at(progress: float, settings: Pretraining) -> float:
    """The learning rates' factor when `progress` (0 to 1) of the tokens are seen."""
    return max(0.0, min(1.0, progress / settings.warmup, (1 - progress) / settings.decay))


def batches(
    tokenizer: "PreTrainedTokenizerFast", settings: Pretraining, rank: int, first: int
) -> Iterator[tuple[Batch, int]]:
    """Batches of fresh documents for ever, for one process, each with the chunk to resume from.

    A chunk of documents is sorted by length and cut into batches of nearly equal lengths, which come in random order.
    """
    chunk_size = 32 * settings.batch_tokens // 256
    chunk = first
    while True:
        start = (chunk * settings.processes + rank) * chunk_size
        documents = [_encode(tokenizer, settings.seed, i) for i in range(start, start + chunk_size)]
        documents.sort(key=lambda document: len(document[0]))
        cut = list(_cut(documents, settings.batch_tokens))
        random.Random(derive_seed("order", settings.seed, rank, chunk)).shuffle(cut)
        chunk += 1
        for rows in cut:
            yield _pad(rows, tokenizer.pad_token_id), chunk


def _cut(documents: list[tuple[list[int], list[float]]], budget: int) -> Iterator[list[tuple[list[int], list[float]]]]:
    rows: list[tuple[list[int], list[float]]] = []
    for document in documents:  # sorted: the new one is the longest
        if rows and len(document[0]) * (len(rows) + 1) > budget:
            yield rows
            rows = []
        rows.append(document)
    yield rows


def _pad(rows: list[tuple[list[int], list[float]]], padding: int) -> Batch:
    import torch

    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), length), padding)
    weights = torch.zeros(len(rows), length)
    for i, (ids, loss_weights) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        weights[i, : len(ids)] = torch.tensor(loss_weights)
    return Batch(tokens, weights, sum(len(ids) for ids, _ in rows))


def _document(seed: int, index: int) -> list[Any]:
    rng = random.Random(derive_seed("corpus", seed, index))
    dialect = DIALECTS[rng.choice(sorted(DIALECTS))]
    return dialect(problem_at("corpus", seed, index), rng)


def _encode(tokenizer: "PreTrainedTokenizerFast", seed: int, index: int) -> tuple[list[int], list[float]]:
    """Tokens and loss weights of a document, the end of text included."""
    ids: list[int] = []
    weights: list[float] = []
    for segment in _document(seed, index):
        piece = tokenizer.backend_tokenizer.encode(segment.text).ids
        ids += piece
        weights += [segment.weight] * len(piece)
    return [*ids, tokenizer.eos_token_id], [*weights, 1.0]


def weighted_loss(model: "LlamaForCausalLM", batch: Batch) -> "torch.Tensor":
    """Mean cross-entropy of the next tokens, in nats, weighted by segment."""
    import torch.nn.functional as functional

    # Rows are padded on the right and attention is causal, so no mask is needed.
    logits = model(input_ids=batch.tokens[:, :-1], use_cache=False).logits.float()
    losses = functional.cross_entropy(logits.flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
    weights = batch.weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def optimizers(model: "LlamaForCausalLM", settings: Pretraining) -> "list[torch.optim.Optimizer]":
    """Muon for the blocks' matrices, AdamW for embeddings and norms; `base_rate` is each group's full rate."""
    import torch

    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    both: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=settings.muon_rate, momentum=0.95, weight_decay=0.0),
        torch.optim.AdamW(rest, lr=settings.adamw_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for optimizer in both:
        for group in optimizer.param_groups:
            group["base_rate"] = group["lr"]
    return both


def _train(rank: int, run: Path, settings: Pretraining, rendezvous: Path) -> None:
    """One process of the run."""
    import torch
    import torch.distributed as distributed

    from ponderosa.sapling.model import new_model

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=settings.processes)
    tokenizer = make_tokenizer(run, settings.seed)
    model = new_model(tokenizer, settings.seed)
    steppers = optimizers(model, settings)
    seen, chunk, spent = 0, 0, 0.0
    if (run / STATE).exists():
        state = torch.load(run / STATE, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(steppers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        seen, chunk, spent = state["tokens"], state["chunk"], state["seconds"]
    parameters = list(model.parameters())
    started = saved_at = told_at = time.monotonic()
    resumed_at, step, running = seen, 0, 0.0
    for batch, next_chunk in batches(tokenizer, settings, rank, chunk):
        if seen >= settings.tokens:
            break
        factor = rate_at(seen / settings.tokens, settings)
        for optimizer in steppers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * max(factor, 1e-4)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            loss = weighted_loss(model, batch)
        loss.backward()
        shared = torch.cat([*[p.grad.flatten() for p in parameters], torch.tensor([loss.item(), batch.count])])
        distributed.all_reduce(shared)
        *_, loss_sum, count = shared[-2:].tolist()
        _scatter(shared[:-2] / settings.processes, parameters)
        for optimizer in steppers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        seen += round(count)
        step += 1
        mean = loss_sum / settings.processes
        running = mean if step == 1 else 0.98 * running + 0.02 * mean
        now = time.monotonic()
        if rank == 0 and now - told_at >= 10:
            told_at = now
            speed = (seen - resumed_at) / (now - started)
            left = (settings.tokens - seen) / speed / 60
            print(
                f"{seen / 1e6:6.2f}M of {settings.tokens / 1e6:.1f}M tokens  loss {running:.4f}  "
                f"{speed:,.0f} tokens/s  {left:.1f} min left",
                flush=True,
            )
        if rank == 0 and now - saved_at >= settings.save_every:
            saved_at = now
            _save_state(run, model, steppers, seen, next_chunk, spent + now - started)
    if rank == 0:
        _save_state(run, model, steppers, seen, chunk, spent + time.monotonic() - started)
    distributed.destroy_process_group()


def _scatter(flat: "torch.Tensor", parameters: "list[torch.nn.Parameter]") -> None:
    offset = 0
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.copy_(flat[offset : offset + parameter.numel()].view_as(parameter))
        offset += parameter.numel()


def _save_state(
    run: Path,
    model: "LlamaForCausalLM",
    steppers: "list[torch.optim.Optimizer]",
    seen: int,
    chunk: int,
    seconds: float,
) -> None:
    import torch

    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in steppers],
        "tokens": seen,
        "chunk": chunk,
        "seconds": seconds,
    }
    part = run / (STATE + ".part")
    torch.save(state, part)
    os.replace(part, run / STATE)  # a kill leaves the old state or the new one, never half


def _claim(path: Path, settings: Pretraining) -> None:
    """Writes the settings of a new run, or checks that the run that lies there is the same."""
    mine = asdict(settings)
    if not path.exists():
        path.write_text(json.dumps(mine, indent=1))
        return
    theirs = json.loads(path.read_text())
    changed = [f"{key}: {theirs.get(key)} there, {value} here" for key, value in mine.items() if theirs.get(key) != value]
    if changed:
        raise PonderosaError(f"{path.parent} holds another run ({'; '.join(changed)}). Choose another folder.")
