import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ponderosa.core import PonderosaError
from ponderosa.training import DPOSettings, LoRASettings, Progress, read_record, train_dpo
from ponderosa.training.dpo import encode_pairs

FAST = DPOSettings(
    epochs=20,
    batch_size=8,
    learning_rate=1e-2,
    schedule="constant",
    warmup=0,
    precision="float32",
    save_precision="float32",
)


def likelihood(checkpoint: Path, tokenizer: Any, prompt: str, text: str) -> float:
    """The log-probability of `text` after `prompt`, token by token."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    head, tail = (tokenizer(part, return_tensors="pt")["input_ids"][0] for part in (prompt, text))
    with torch.no_grad():
        logs = model(torch.cat([head, tail])[None]).logits[0].log_softmax(-1)
    return float(sum(logs[len(head) + i - 1, token] for i, token in enumerate(tail)))


def test_the_chosen_step_becomes_likelier_than_the_rejected_one(
    base: Path, tokenizer: Any, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    progress: list[Progress] = []
    report = train_dpo(base, pairs, tmp_path / "out", FAST, 0, progress.append)

    assert progress[0].loss == pytest.approx(math.log(2), abs=1e-4)  # the policy begins as its own reference
    assert report.loss_end < 0.1
    assert report.accuracy == 1.0
    assert report.chosen_reward > report.rejected_reward
    for pair in pairs[::13]:
        gained = [
            likelihood(tmp_path / "out", tokenizer, pair["prompt"], pair[side])
            - likelihood(base, tokenizer, pair["prompt"], pair[side])
            for side in ("chosen", "rejected")
        ]
        assert gained[0] > gained[1] + 1


@pytest.mark.parametrize(("loss", "first"), [("ipo", (1 / (2 * 0.25)) ** 2), ("hinge", 1.0), ("sigmoid", math.log(2))])
def test_every_loss_begins_where_the_policy_is_its_reference(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path, loss: Any, first: float
) -> None:
    progress: list[Progress] = []
    settings = FAST.model_copy(update={"loss": loss, "beta": 0.25, "epochs": 1})
    train_dpo(base, pairs, tmp_path / "out", settings, 0, progress.append)
    assert progress[0].loss == pytest.approx(first, rel=1e-4)


def test_the_sft_term_adds_the_likelihood_of_what_was_chosen(
    base: Path, tokenizer: Any, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    progress: list[Progress] = []
    settings = FAST.model_copy(update={"sft_weight": 2.0, "batch_size": 25, "micro_batch_size": 25, "epochs": 1})
    train_dpo(base, pairs, tmp_path / "out", settings, 0, progress.append)
    # A random model gives every token about the same probability.
    assert progress[0].loss == pytest.approx(math.log(2) + 2 * math.log(len(tokenizer)), rel=0.05)


def test_what_the_executor_wrote_is_not_compared(tokenizer: Any) -> None:
    from ponderosa.training.dpo_trainer import _LearnedPreference

    pair = {"prompt": "Q:", "chosen": "a<output>7<end_of_output>b", "rejected": "z", "weight": 1.0}
    encoded = encode_pairs(tokenizer, [pair])
    batch = _LearnedPreference(tokenizer.pad_token_id)([encoded[0].columns()])
    # Q : a <output> 7 <end_of_output> b, and Q : z with four tokens of padding
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 7, [1] * 3 + [0] * 4]


def test_the_pairs_of_a_group_count_as_one(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    report = train_dpo(base, pairs, tmp_path / "out", FAST.model_copy(update={"epochs": 2}), 0)
    # Twenty pairs of weight 1 and five groups of four pairs of weight 1/4
    assert (report.pairs, report.drawn) == (40, 25)
    assert report.steps == 2 * math.ceil(25 / 8)


def test_of_contradicting_pairs_the_heavier_wins(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    texts = ["a<end_of_step>", "z<end_of_step>"]
    rows = [
        {"prompt": "Q:", "chosen": texts[0], "rejected": texts[1], "weight": 1.0},
        {"prompt": "Q:", "chosen": texts[1], "rejected": texts[0], "weight": 0.25},
    ]
    train_dpo(base, rows * 8, tmp_path / "out", FAST, 0)
    gained = [likelihood(tmp_path / "out", tokenizer, "Q:", t) - likelihood(base, tokenizer, "Q:", t) for t in texts]
    assert gained[0] > gained[1]


def test_pairs_are_filtered_by_scope_and_margin(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    told = [
        pair | {"scope": "step" if i < 10 else "trajectory", "margin": i / 10, "weight": 1.0}
        for i, pair in enumerate(pairs)
    ]
    settings = FAST.model_copy(update={"epochs": 1, "scopes": ("trajectory",), "min_margin": 3.0})
    report = train_dpo(base, told, tmp_path / "out", settings, 0)
    assert (report.pairs, report.filtered) == (10, 30)


def test_pairs_that_cannot_teach_are_left_out_and_counted(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    same = pairs[0] | {"rejected": pairs[0]["chosen"]}
    same_but_for_the_executor = pairs[0] | {
        "chosen": "a<output>1<end_of_output>",
        "rejected": "a<output>2<end_of_output>",
    }
    empty = pairs[0] | {"rejected": ""}
    long = pairs[0] | {"rejected": "x" * 300}
    weightless = pairs[0] | {"weight": 0.0}
    bad = [same, same_but_for_the_executor, empty, long, weightless]
    settings = FAST.model_copy(update={"epochs": 1, "max_length": 200})
    report = train_dpo(base, [*pairs, *bad], tmp_path / "out", settings, 0)
    assert (report.pairs, report.identical, report.too_long, report.filtered) == (40, 3, 1, 1)

    with pytest.raises(PonderosaError, match=r"of 5, 1 are not of .* 3 compare a text with itself .* and 1 exceed"):
        train_dpo(base, bad, tmp_path / "other", settings, 0)


def test_no_pairs_are_an_error_that_says_so(base: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="no preference pair to train the policy on: of 0"):
        train_dpo(base, [], tmp_path / "out", FAST, 0)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_negative_or_no_number_is_an_error(
    weight: float, base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(PonderosaError, match="must not be negative, and finite: pair 2 has"):
        train_dpo(base, [pairs[0], pairs[1] | {"weight": weight}], tmp_path / "out", FAST, 0)


def test_a_loss_that_diverges_leaves_nothing(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"learning_rate": 1e38})
    with pytest.raises(PonderosaError, match=r"the loss is nan at step \d+"):
        train_dpo(base, pairs, tmp_path / "out", settings, 0)
    assert list(tmp_path.iterdir()) == []


def test_held_out_problems_judge_the_policy_while_it_learns(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"held_out": 0.2, "evaluations": 1, "keep_best": True})
    report = train_dpo(base, pairs, tmp_path / "out", settings, 0)
    assert (report.pairs, report.held_out) == (32, 8)
    assert report.steps == 20 * report.evaluations[0].step
    assert [one.step for one in report.evaluations] == [report.evaluations[0].step * i for i in range(1, 21)]
    assert report.kept == min(report.evaluations, key=lambda one: one.loss)
    assert report.kept.loss < 0.1
    assert report.kept.accuracy == 1.0  # it prefers the letter a where it has not seen the problem, too

    nameless = [{name: value for name, value in pair.items() if name != "problem_id"} for pair in pairs]
    with pytest.raises(PonderosaError, match="`problem_id` must be a str"):
        train_dpo(base, nameless, tmp_path / "other", settings, 0)


@pytest.mark.parametrize(
    "loss",
    [{"loss": name} for name in ("sigmoid", "ipo", "hinge", "sigmoid_norm", "apo_zero")]
    + [{"loss": "robust", "label_smoothing": 0.2}, {"sft_weight": 2.0}]
    + [{"lora": LoRASettings(rank=4), "learning_rate": 0.1}],  # whose reference are the same weights without it
    ids=str,
)
def test_the_loss_of_what_is_held_out_is_that_of_the_training(base: Path, tmp_path: Path, loss: dict[str, Any]) -> None:
    """All pairs are the same, so that the weights after a step have one loss, on whichever pairs."""
    pair = {"prompt": "Q:", "chosen": "ab<end_of_step>", "rejected": "zyx<output>7<end_of_output>w", "weight": 0.5}
    pairs = [pair | {"problem_id": str(i)} for i in range(20)]
    settings = FAST.model_copy(update={"epochs": 2, "held_out": 0.2, "evaluations": 2, "micro_batch_size": 3} | loss)
    progress: list[Progress] = []
    report = train_dpo(base, pairs, tmp_path / "out", settings, 0, progress.append)
    judged = [one.loss for one in report.evaluations]
    assert judged[:3] == pytest.approx([one.loss for one in progress[1:]], rel=1e-4)
    assert judged[0] != pytest.approx(progress[0].loss, rel=1e-2)


def test_the_checkpoint_says_how_it_was_made(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"epochs": 1, "loss": "robust", "label_smoothing": 0.1})
    report = train_dpo(base, pairs, tmp_path / "out", settings, 3)
    record = read_record(tmp_path / "out")
    assert (record["kind"], record["start"], record["seed"]) == ("dpo", str(base), 3)
    assert DPOSettings(**record["settings"]) == settings
    assert record["report"]["tokens"] == report.tokens
