"""The stages of an experiment, one file a kind, and ``build_plan`` that lays them in order.

In: a validated configuration, the starting model and the data source. Out: a list of ``Stage``.
"""

from harness.stages.build import build_plan

__all__ = ["build_plan"]
