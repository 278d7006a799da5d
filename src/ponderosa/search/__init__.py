"""Search: one file an algorithm, all over the same protocols, all giving a `Tree`."""

from ponderosa.search.agreement import AGREEMENT, AgreementSettings, agree, agreement_of
from ponderosa.search.answer import (
    AGGREGATIONS,
    ANSWER_RULES,
    Aggregation,
    Choice,
    TreeVotes,
    merge_answers,
    trajectory_score,
    tree_votes,
)
from ponderosa.search.beam import BeamSettings, beam
from ponderosa.search.budget import Budget
from ponderosa.search.concurrent import search_all
from ponderosa.search.expansion import Backends, score_paths
from ponderosa.search.long_chain import LongChainSettings, long_chain
from ponderosa.search.mcts import MCTSSettings, first_rollouts, mcts
from ponderosa.search.methods import (
    METHODS,
    POOLED,
    SEARCHES,
    Method,
    Search,
    SearchSettings,
    check_needs,
    find_method,
    find_search,
    search,
)
from ponderosa.search.mutual import MutualSettings, mutual
from ponderosa.search.official import OfficialSettings, official_beam, official_mcts
from ponderosa.search.particles import ParticleSettings, particles
from ponderosa.search.playouts import PlayoutSettings, mcts_playouts
from ponderosa.search.pooled import sample_pooled
from ponderosa.search.presets import PRESETS, Preset
from ponderosa.search.revision import RevisionSettings, revision
from ponderosa.search.rollouts import RolloutSettings, rollouts
from ponderosa.search.sampling import SampleSettings, sample
from ponderosa.search.selection import uct
from ponderosa.search.solution import Growth, Solution, Watch, Watched
from ponderosa.search.writing import WRITING, WritingSettings, write

__all__ = [
    "AGGREGATIONS",
    "AGREEMENT",
    "ANSWER_RULES",
    "METHODS",
    "POOLED",
    "PRESETS",
    "SEARCHES",
    "WRITING",
    "Aggregation",
    "AgreementSettings",
    "Backends",
    "BeamSettings",
    "Budget",
    "Choice",
    "Growth",
    "LongChainSettings",
    "MCTSSettings",
    "Method",
    "MutualSettings",
    "OfficialSettings",
    "ParticleSettings",
    "PlayoutSettings",
    "Preset",
    "RevisionSettings",
    "RolloutSettings",
    "SampleSettings",
    "Search",
    "SearchSettings",
    "Solution",
    "TreeVotes",
    "Watch",
    "Watched",
    "WritingSettings",
    "agree",
    "agreement_of",
    "beam",
    "check_needs",
    "find_method",
    "find_search",
    "first_rollouts",
    "long_chain",
    "mcts",
    "mcts_playouts",
    "merge_answers",
    "mutual",
    "official_beam",
    "official_mcts",
    "particles",
    "revision",
    "rollouts",
    "sample",
    "sample_pooled",
    "score_paths",
    "search",
    "search_all",
    "trajectory_score",
    "tree_votes",
    "uct",
    "write",
]
