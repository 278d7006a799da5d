"""Ponderosa makes small language models reason like large ones."""

__version__ = "0.1.0.dev0"
