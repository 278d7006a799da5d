"""Search trees on disk, and the training data that they hold.

Light to import: pyarrow is loaded when a table is first read or written.
"""

from ponderosa.forest.cards import Part, data_card
from ponderosa.forest.extraction import (
    OFFICIAL,
    PAPER,
    Choice,
    PreferenceSettings,
    label_rows,
    preference_pairs,
    sft_rows,
)
from ponderosa.forest.official import official_record
from ponderosa.forest.rows import LabelRow, PairRow, SFTRow, ValueRow, read_rows, rows_part, write_rows
from ponderosa.forest.store import forest_part, read_forest, shard_path, shards, write_forest
from ponderosa.forest.trajectory import Trajectory, trajectories
from ponderosa.forest.values import ValueRowSettings, outcome_rows, value_rows

__all__ = [
    "OFFICIAL",
    "PAPER",
    "Choice",
    "LabelRow",
    "PairRow",
    "Part",
    "PreferenceSettings",
    "SFTRow",
    "Trajectory",
    "ValueRow",
    "ValueRowSettings",
    "data_card",
    "forest_part",
    "label_rows",
    "official_record",
    "outcome_rows",
    "preference_pairs",
    "read_forest",
    "read_rows",
    "rows_part",
    "sft_rows",
    "shard_path",
    "shards",
    "trajectories",
    "value_rows",
    "write_forest",
    "write_rows",
]
