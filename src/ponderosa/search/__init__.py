"""Search: one file an algorithm, all over the same protocols, all giving a `Tree`."""

from ponderosa.search.answer import AGGREGATIONS, ANSWER_RULES, Choice, merge_answers, trajectory_score
from ponderosa.search.concurrent import search_all
from ponderosa.search.expansion import Backends
from ponderosa.search.mcts import MCTSSettings, mcts
from ponderosa.search.methods import METHODS, Method, SearchSettings, search
from ponderosa.search.sampling import SampleSettings, sample, score_paths
from ponderosa.search.selection import uct

__all__ = [
    "AGGREGATIONS",
    "ANSWER_RULES",
    "METHODS",
    "Backends",
    "Choice",
    "MCTSSettings",
    "Method",
    "SampleSettings",
    "SearchSettings",
    "mcts",
    "merge_answers",
    "sample",
    "score_paths",
    "search",
    "search_all",
    "trajectory_score",
    "uct",
]
