"""Searches with all their settings, by name: rStar-Math's, as the paper has it and as its public code has it."""

from dataclasses import dataclass
from typing import Any

from ponderosa.search.mcts import MCTSSettings
from ponderosa.search.mutual import MutualSettings
from ponderosa.search.official import OfficialSettings


@dataclass(frozen=True, slots=True)
class Preset:
    """`search` names one of `SEARCHES`. A `judged` search learns from the known answers: it makes data. `needs` names
    the backends without which it cannot be.
    """

    search: str
    settings: Any
    format: str
    judged: bool = False
    needs: tuple[str, ...] = ()


PRESETS: dict[str, Preset] = {
    # arXiv 2501.04519: rounds 1 and 2 without a reward model, from round 3 on with one; 32 candidates at test time
    "rstar-math": Preset("mcts", MCTSSettings(), "rstar", judged=True),
    "rstar-math/eval": Preset("mcts", MCTSSettings(candidates=32), "rstar", needs=("reward",)),
    # arXiv 2408.06195: five actions on plain text
    "rstar": Preset("mutual", MutualSettings(), "text", needs=("discriminator",)),
    # the files of rStar-Math's public code
    "rstar-official/sample_mcts": Preset(
        "official_mcts", OfficialSettings(errors=2, temperature=0.7), "rstar-official/bootstrap", judged=True
    ),
    "rstar-official/sft_sample_mcts": Preset(
        "official_mcts", OfficialSettings(), "rstar-official", judged=True, needs=("reward",)
    ),
    "rstar-official/sft_eval_mcts": Preset(
        "official_mcts", OfficialSettings(candidates=32, rollouts=12), "rstar-official", needs=("reward",)
    ),
    "rstar-official/sft_eval_bs": Preset(
        "official_beam", OfficialSettings(candidates=8, width=8, rollouts=1), "rstar-official", needs=("reward",)
    ),
    "rstar-official/sft_eval_greedy": Preset(
        "official_mcts", OfficialSettings(candidates=1, rollouts=1, errors=3, temperature=0.0), "rstar-official"
    ),
}
