"""From a run to the world: what a run made as repositories of the Hugging Face Hub, with cards."""

from ponderosa.hub.repository import Repository
from ponderosa.hub.sources import repositories

__all__ = ["Repository", "repositories"]
