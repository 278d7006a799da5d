"""Scaling laws: loss and accuracy against compute of training and of test time, and what trades one for the other.

Pure functions over `measurements`. `loss_laws` fits the loss, `compute_optimal` says how a budget is best divided,
`sample_curves` fits accuracy against samples, `accuracy_laws` against loss and compute, `frontier` finds what reaches a
target at the fewest FLOPs.
"""
