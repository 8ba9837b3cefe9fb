"""Pure statistics of the results room: each module is a few functions on numpy arrays.

``errors`` standard errors (plain and clustered); ``paired`` tests of two checkpoints on the same
items; ``bootstrap`` resampling, with or without refitting; ``power`` smallest detectable
difference and power of a planned comparison; ``correction`` of many comparisons; ``changes``
change points of a history.
"""
