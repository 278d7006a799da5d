from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel

from ponderosa.training.optimizers import MuonAdamW, muon_adamw


def tiny(auto: type) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        pad_token_id=0,
    )
    config.num_labels = 1
    return auto.from_config(config)  # type: ignore[attr-defined, no-any-return]


def optimizer(model: PreTrainedModel) -> MuonAdamW:
    return muon_adamw(
        model,
        learning_rate=1e-2,
        muon_learning_rate=1e-2,
        weight_decay=0.1,
        adam_beta2=0.99,
        decayed=["lm_head.weight"],
    )


@pytest.mark.parametrize(
    ("auto", "ends"),
    [
        (AutoModelForCausalLM, {"model.embed_tokens.weight", "lm_head.weight"}),
        (AutoModelForSequenceClassification, {"model.embed_tokens.weight", "score.weight"}),
    ],
)
def test_muon_gets_the_matrices_of_the_blocks_and_adamw_the_rest(auto: type, ends: set[str]) -> None:
    model = tiny(auto)
    names = {id(p): name for name, p in model.named_parameters()}
    both = optimizer(model)

    muon = {names[id(p)] for group in both.muon.param_groups for p in group["params"]}
    adamw = {names[id(p)] for group in both.adamw.param_groups for p in group["params"]}

    assert muon | adamw == set(names.values())
    assert len(muon) == 2 * 7  # q, k, v, o, gate, up and down of two blocks
    assert ends <= adamw
    assert all(name in ends or "norm" in name for name in adamw)


def test_a_schedule_reaches_both() -> None:
    both = optimizer(tiny(AutoModelForCausalLM))
    schedule = torch.optim.lr_scheduler.LambdaLR(both, lambda step: 0.5**step)
    both.load_state_dict(both.state_dict())  # as accelerate does before training
    both.step()
    schedule.step()
    assert {group["lr"] for group in both.muon.param_groups + both.adamw.param_groups} == {0.5e-2}


def test_an_optimiser_restored_from_its_state_goes_on_alike(tmp_path: Path) -> None:
    tokens = torch.arange(1, 9)[None]

    def steps(model: PreTrainedModel, both: MuonAdamW, count: int) -> None:
        for _ in range(count):
            both.zero_grad()
            model(input_ids=tokens, labels=tokens).loss.backward()
            both.step()

    model = tiny(AutoModelForCausalLM)
    both = optimizer(model)
    steps(model, both, 2)
    torch.save([model.state_dict(), both.state_dict()], tmp_path / "state")
    steps(model, both, 2)

    again = tiny(AutoModelForCausalLM)
    weights, state = torch.load(tmp_path / "state")
    again.load_state_dict(weights)
    restored = optimizer(again)
    restored.load_state_dict(state)
    steps(again, restored, 2)

    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
