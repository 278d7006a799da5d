"""What runs inside an execution server: standard library only, and nothing of the rest of Ponderosa.

A server is a fresh interpreter that imports this package by itself, as top-level `jail`, so that no model, key or
thread of the search process is near the programs it runs. Hence the relative imports here, and only here.
"""
