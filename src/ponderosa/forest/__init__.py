"""Search trees on disk, and the training data that they hold.

Light to import: pyarrow is loaded when a table is first read or written.
"""

from ponderosa.forest.extraction import OFFICIAL, PreferenceSettings, label_rows, preference_pairs, sft_rows
from ponderosa.forest.official import official_record
from ponderosa.forest.rows import LabelRow, PairRow, SFTRow, read_rows, write_rows
from ponderosa.forest.store import read_forest, shard_path, shards, write_forest
from ponderosa.forest.trajectory import Trajectory, trajectories

__all__ = [
    "OFFICIAL",
    "LabelRow",
    "PairRow",
    "PreferenceSettings",
    "SFTRow",
    "Trajectory",
    "label_rows",
    "official_record",
    "preference_pairs",
    "read_forest",
    "read_rows",
    "sft_rows",
    "shard_path",
    "shards",
    "trajectories",
    "write_forest",
    "write_rows",
]
