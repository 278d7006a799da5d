"""Muon for the matrices of the blocks, AdamW for everything else, as one optimiser."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn


class MuonAdamW(torch.optim.Optimizer):
    """Two optimisers behind one interface, so that a trainer and its schedule see a single one.

    The parameter groups are those of both, by reference: a schedule that sets their learning rates reaches both.
    """

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        self.muon = muon
        self.adamw = adamw
        super().__init__([p for group in muon.param_groups + adamw.param_groups for p in group["params"]], {})
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self._share_groups()


def muon_adamw(
    model: nn.Module,
    *,
    learning_rate: float,
    muon_learning_rate: float,
    weight_decay: float,
    adam_beta2: float,
    decayed: Collection[str],
) -> MuonAdamW:
    """Muon (arXiv 2502.16982) on the matrices between embedding and head, AdamW on embeddings, heads and vectors.

    `decayed` names the parameters that AdamW decays.
    """
    ends = {id(p) for p in _ends(model)}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for _, p in trained if p.ndim == 2 and id(p) not in ends]
    rest = [(name, p) for name, p in trained if p.ndim != 2 or id(p) in ends]
    adamw = torch.optim.AdamW(
        [
            {"params": [p for name, p in rest if name in decayed], "weight_decay": weight_decay},
            {"params": [p for name, p in rest if name not in decayed], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=(0.9, adam_beta2),
    )
    return MuonAdamW(torch.optim.Muon(matrices, lr=muon_learning_rate, weight_decay=weight_decay), adamw)


def _ends(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of embeddings and of whatever head lies outside the backbone."""
    backbone = getattr(model, getattr(model, "base_model_prefix", ""), model)
    inside = {id(p) for p in backbone.parameters()}
    embeddings = [p for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()]
    return embeddings + [p for p in model.parameters() if id(p) not in inside]
