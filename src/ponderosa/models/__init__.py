"""Policies and rewards: models of transformers or behind servers, scripted tables, judges, and the journal of what any
said.

What runs them stays behind its own door: torch in `transformers`, a client of servers in `served`, llama.cpp in
`llamacpp`, vLLM in `vllm_policy`. Here is what they share.
"""

from ponderosa.models.journal import Journal, JournaledPolicy, JournaledReward
from ponderosa.models.judge import Asks, JudgeGrader, JudgeReward, JudgeSettings, review_of, split_judge
from ponderosa.models.loading import free_memory, load_discriminator, load_grader, load_policy, load_reward
from ponderosa.models.scripted import ScriptedGrader, ScriptedPolicy, ScriptedReward
from ponderosa.models.spec import Spec, on_hub

__all__ = [
    "Asks",
    "Journal",
    "JournaledPolicy",
    "JournaledReward",
    "JudgeGrader",
    "JudgeReward",
    "JudgeSettings",
    "ScriptedGrader",
    "ScriptedPolicy",
    "ScriptedReward",
    "Spec",
    "free_memory",
    "load_discriminator",
    "load_grader",
    "load_policy",
    "load_reward",
    "on_hub",
    "review_of",
    "split_judge",
]
