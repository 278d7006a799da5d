"""Mapping a search over processes: a shard is the unit of work of one process."""

from ponderosa.cluster.local import WorkerPool
from ponderosa.cluster.shard import Shard, ShardProgress

__all__ = ["Shard", "ShardProgress", "WorkerPool"]
