"""Drives an experiment: command line, configuration, plan, stages, run folder, engines, benchmarks, data.

In: a preset, flags and data. Out: a run folder that the leaderboards read. This is the only room that
imports the others (``sso``, ``judges``, ``leaderboards``).
"""
