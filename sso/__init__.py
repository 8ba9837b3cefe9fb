"""The training core: Self-Steering Optimization, its baselines and its ablations.

Inputs: a policy checkpoint, queries (or annotated preferences) and a text engine. Outputs: preference pairs
with their measures, and the next policy checkpoint.

- ``arms``: the methods of a comparison, one file each, as steps from folders to folders.
- ``principles``, ``principle_features``, ``principle_writing``: the texts of x+ and x-.
- ``sampling``, ``filters``, ``pair_metrics``: y+, y-, yo; what is not used; how good pairs are.
- ``objectives``, ``losses``: prompt groups and what is minimised over them.
- ``encoding``, ``batches``, ``packed_attention``, ``logprobs``: from pairs to log-probabilities, shared prompts computed once.
- ``fast_forward``, ``forward_probe``, ``kept_plan``: how a model is driven, checked against the untouched model once.
- ``training``, ``trainer``, ``step_math``, ``reference_logprobs``, ``checkpoints``: one checkpoint to the next.
- ``records``, ``settings``: the data and the options of all of them.

Nothing here imports the harness, the judges or the leaderboards; torch is imported where it is used.
"""

from __future__ import annotations

from groundwork.errors import UserError
from sso.records import Contrast, PreferencePair, Principle, Query, Response
from sso.settings import MethodSettings

__all__ = [
    "Contrast",
    "MethodSettings",
    "PreferencePair",
    "Principle",
    "Query",
    "Response",
    "UserError",
]
