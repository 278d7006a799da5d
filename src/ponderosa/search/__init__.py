"""Search: one file an algorithm, all over the same protocols, all giving a `Tree`."""

from ponderosa.search.answer import (
    AGGREGATIONS,
    ANSWER_RULES,
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
from ponderosa.search.mcts import MCTSSettings, mcts
from ponderosa.search.methods import METHODS, SEARCHES, Method, SearchSettings, search
from ponderosa.search.official import OfficialSettings, official_beam, official_mcts
from ponderosa.search.playouts import PlayoutSettings, mcts_playouts
from ponderosa.search.presets import PRESETS, Preset
from ponderosa.search.sampling import SampleSettings, sample
from ponderosa.search.selection import uct

__all__ = [
    "AGGREGATIONS",
    "ANSWER_RULES",
    "METHODS",
    "PRESETS",
    "SEARCHES",
    "Backends",
    "BeamSettings",
    "Budget",
    "Choice",
    "MCTSSettings",
    "Method",
    "OfficialSettings",
    "PlayoutSettings",
    "Preset",
    "SampleSettings",
    "SearchSettings",
    "TreeVotes",
    "beam",
    "mcts",
    "mcts_playouts",
    "merge_answers",
    "official_beam",
    "official_mcts",
    "sample",
    "score_paths",
    "search",
    "search_all",
    "trajectory_score",
    "tree_votes",
    "uct",
]
