"""Pure statistics of the results room: each module is a few functions on numpy arrays.

``errors`` standard errors (plain and clustered); ``paired`` tests of two checkpoints on the same
items; ``noninferiority`` one-sided bounds; ``power`` and ``planned_power`` smallest detectable
difference and power; ``correction`` of many comparisons; ``changes`` change points of a history.
"""
