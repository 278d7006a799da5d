"""Problems by name: files, benchmarks, data sets of the Hub, families of reasoning-gym; and which of them are one."""

from ponderosa.problems.benchmarks import BENCHMARKS
from ponderosa.problems.contamination import (
    Benchmarks,
    ContaminationSettings,
    Decontamination,
    Match,
    decontaminated,
    removed_in_words,
)
from ponderosa.problems.loading import Loaded, load_problems, stream_problems
from ponderosa.problems.records import read_problems, write_problems

__all__ = [
    "BENCHMARKS",
    "Benchmarks",
    "ContaminationSettings",
    "Decontamination",
    "Loaded",
    "Match",
    "decontaminated",
    "load_problems",
    "read_problems",
    "removed_in_words",
    "stream_problems",
    "write_problems",
]
