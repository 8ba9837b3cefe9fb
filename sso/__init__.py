"""The training core: Self-Steering Optimization, its baselines and its ablations.

In come a policy checkpoint, queries (or annotated preferences) and a text engine; out come preference
pairs with their measures, and the next policy checkpoint.

- ``arms``: the methods of a comparison, one file each, as steps from folders to folders.
- ``principles``, ``feature_selection``, ``principle_writing``: what x+ and x- say.
- ``sampling``, ``filters``, ``measures``: y+, y-, yo; what is not used; how good pairs are.
- ``objectives``, ``losses``: prompt groups and what is minimised over them.
- ``training``: one checkpoint on prompt groups, shared prompts computed once.
- ``records``, ``settings``, ``errors``: what all of them speak.

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
