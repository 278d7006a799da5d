"""Pre-training of the base on a stream of fresh problems: `ponderosa sapling pretrain`.

Every document is new (nothing is seen twice), the loss is weighted by segment, Muon steps the blocks' matrices and
AdamW everything else. Processes of one thread each average their gradients: on small models two such processes are
faster than one process of two threads. A run is a folder: killed at any moment, the same call resumes it.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ponderosa.core.errors import PonderosaError
from ponderosa.sapling.bases import BASES, base_path
from ponderosa.sapling.corpora import corpus
from ponderosa.sapling.corpus import Batch, batches, document
from ponderosa.sapling.model import shape
from ponderosa.sapling.problems import problems
from ponderosa.sapling.vocabulary import NAMES, OBJECTS

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

RUN = "run"
STATE = "state.pt"
SETTINGS = "settings.json"
CALIBRATED = 300
"""Audited problems on which the model's ways are compared to the corpus's."""
SAMPLED, SAMPLES, HEAT = 100, 8, 1.0
"""Audited problems of each of several dialects that are sampled, how often, and at which temperature."""
_TOKENIZER_DOCUMENTS = 6000


@dataclass(frozen=True)
class Pretraining:
    """Settings of a run. Tokens are those the model reads, padding not counted, over all processes."""

    tokens: int = 50_000_000
    size: str = "base"
    """The model's shape, one of `model.SIZES`."""
    corpus: str = "code"
    """What is read, one of `corpora.CORPORA`."""
    tokenizer: str = ""
    """A base's name or a checkpoint's folder, whose tokenizer is taken; by default one is trained on the corpus."""
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
    audited: int = 1000
    """Test problems that the card's figures are measured on; 0 leaves them out."""


def pretrain(out: Path, settings: Pretraining = Pretraining()) -> Path:
    """Trains a base from nothing and writes it to `out` as a Hugging Face checkpoint with a card; returns that folder.

    The run's state lies in `out/run`. Raises `PonderosaError` where another run's state lies there, where there is no
    such size, corpus or tokenizer, where the loss is no longer finite, or where a process dies.
    """
    import torch.multiprocessing as multiprocessing

    if min(settings.tokens, settings.processes) < 1:
        raise PonderosaError("pre-training needs at least 1 token and 1 process")
    shape(settings.size)
    corpus(settings.corpus)
    run = out / RUN
    run.mkdir(parents=True, exist_ok=True)
    _claim(run / SETTINGS, settings)
    make_tokenizer(run, settings)
    rendezvous = run / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the processes, before they import torch
    try:
        multiprocessing.spawn(_train, args=(run, settings, rendezvous), nprocs=settings.processes)
    except multiprocessing.ProcessRaisedException as error:
        said = str(error).strip().splitlines()[-1]  # the rest is the process's traceback
        raise PonderosaError(f"Pre-training failed; run the same command to resume from {run}. {said}") from error
    except multiprocessing.ProcessExitedException as error:
        raise PonderosaError(f"A pre-training process died ({error}); run the same command to resume.") from error
    finish(out)
    return out


def make_tokenizer(run: Path, settings: Pretraining) -> "PreTrainedTokenizerFast":
    """The run's tokenizer: another base's, or trained on the corpus; at the first call, and loaded after."""
    from transformers import PreTrainedTokenizerFast

    from ponderosa.sapling.tokenizer import train_tokenizer

    folder = run / "tokenizer"
    if not folder.exists():
        if settings.tokenizer:
            taken = base_path(settings.tokenizer) if settings.tokenizer in BASES else Path(settings.tokenizer)
            if not (taken / "tokenizer.json").exists():
                raise PonderosaError(f"there is no tokenizer at {taken}: a base's name or a checkpoint is expected")
            tokenizer = PreTrainedTokenizerFast.from_pretrained(taken)
        else:
            places = range(_TOKENIZER_DOCUMENTS)
            documents = ("".join(d.text for d in document(settings.seed, i, settings.corpus)) for i in places)
            read = corpus(settings.corpus)
            tokenizer = train_tokenizer(documents, NAMES + OBJECTS, read.vocabulary, read.fixed)
        part = run / "tokenizer.part"
        tokenizer.save_pretrained(part)
        part.rename(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def finish(out: Path, audited: int | None = None) -> None:
    """Writes the run's model as it is now to `out`, in bf16, with tokenizer, generation settings and measured card.

    The card is measured on as many problems as the run's settings say, or `audited`. Raises `PonderosaError` where
    there is no run.
    """
    import torch
    from transformers import GenerationConfig

    from ponderosa.sapling.card import write_card
    from ponderosa.sapling.model import new_model

    if not (out / RUN / STATE).exists():
        raise PonderosaError(f"{out} holds no run of ponderosa sapling pretrain")
    settings = Pretraining(**json.loads((out / RUN / SETTINGS).read_text()))
    if audited is not None:
        settings = replace(settings, audited=audited)
    state = torch.load(out / RUN / STATE, weights_only=True)
    tokenizer = make_tokenizer(out / RUN, settings)
    model = new_model(tokenizer, settings.seed, settings.size)
    model.load_state_dict(state["model"])
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_card(
        out,
        _measured(model.float().eval(), tokenizer, settings),
        corpus=settings.corpus,
        parameters=model.num_parameters(),
        command=command(out, settings),
        tokens=state["tokens"],
        seconds=state["seconds"],
        processes=settings.processes,
    )


def _measured(model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", settings: Pretraining) -> str:
    """The card's figures, on the settings' `audited` problems."""
    from ponderosa.sapling.audit import audit, measure
    from ponderosa.sapling.calibration import calibration
    from ponderosa.sapling.card import dialect_figures, figures

    if not settings.audited:
        return ""
    seed = settings.seed + 1
    if len(corpus(settings.corpus).sources) > 1:
        found = measure(
            model, tokenizer, settings.corpus, seed, settings.audited, min(SAMPLED, settings.audited), SAMPLES, HEAT
        )
        return dialect_figures(found, seed, SAMPLES, HEAT)
    tested = problems("test", seed, 0, settings.audited)
    rates = calibration(model, tokenizer, tested[:CALIBRATED])
    return figures(audit(model, tokenizer, tested), rates, seed, min(CALIBRATED, settings.audited))


def command(out: Path, settings: Pretraining) -> str:
    """The command that makes a base of these settings."""
    chosen = {"size": settings.size, "corpus": settings.corpus, "tokenizer": settings.tokenizer}
    usual = asdict(Pretraining())
    words = [f"--{name} {value}" for name, value in chosen.items() if value != usual[name]]
    return " ".join(
        [f"ponderosa sapling pretrain {out.name}", *words, f"--tokens {settings.tokens} --seed {settings.seed}"]
    )


def rate_at(progress: float, settings: Pretraining) -> float:
    """The learning rates' factor when `progress` (0 to 1) of the tokens are seen."""
    return max(0.0, min(1.0, progress / settings.warmup, (1 - progress) / settings.decay))


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
    # A store, as a file:// address would take a relative path's first folder for a host.
    store = distributed.FileStore(str(rendezvous), settings.processes)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=settings.processes)
    tokenizer = make_tokenizer(run, settings)
    model = new_model(tokenizer, settings.seed, settings.size)
    steppers = optimizers(model, settings)
    seen, chunk, spent = 0, 0, 0.0
    if (run / STATE).exists():
        state = torch.load(run / STATE, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(steppers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        seen, chunk, spent = state["tokens"], state["chunk"], state["seconds"]
    parameters = list(model.parameters())
    parent = os.getppid()
    started = saved_at = told_at = time.monotonic()
    resumed_at, running = seen, None
    place = (settings.seed, settings.batch_tokens, rank, settings.processes, chunk)
    for batch, next_chunk in batches(tokenizer, *place, settings.corpus):
        if seen >= settings.tokens or os.getppid() != parent:  # orphans must not go on beside a resumed run
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
        if not torch.isfinite(shared).all():  # in all processes at once; what was saved is sound
            raise PonderosaError(f"The loss is not finite after {seen:,} tokens: choose another seed and folder.")
        loss_sum, count = shared[-2:].tolist()
        _scatter(shared[:-2] / settings.processes, parameters)
        for optimizer in steppers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        seen += round(count)
        mean = loss_sum / settings.processes
        running = mean if running is None else 0.98 * running + 0.02 * mean
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
    if rank == 0 and seen >= settings.tokens:
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
    changed = [
        f"{key}: {theirs.get(key)} there, {value} here" for key, value in mine.items() if theirs.get(key) != value
    ]
    if changed:
        raise PonderosaError(f"{path.parent} holds another run ({'; '.join(changed)}). Choose another folder.")
