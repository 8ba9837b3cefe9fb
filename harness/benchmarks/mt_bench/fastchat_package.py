"""The one file that knows the fschat package.

fschat 0.2.36 is stale: its ``llm_judge.common`` can't be imported without the ``anthropic`` package
and calls an API that openai 1.0 removed, so it is neither imported nor run. Its constants (the
temperature of each category, the categories judged with a reference answer, the score patterns) are
read from its source text instead; a test holds the shipped protocols to them.
"""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ProtocolError


@dataclass(frozen=True)
class FastChatConstants:
    """What FastChat's llm_judge fixes: see the module's docstring."""

    temperatures: Mapping[str, float]
    reference_categories: Sequence[str]
    score_pattern: str
    score_pattern_backup: str


def fastchat_constants() -> FastChatConstants:
    """Read from the installed package, nothing of it executed.

    Raises:
        ProtocolError: fschat is not installed, or a constant is not where it was.
    """
    found = importlib.util.find_spec("fastchat")
    if found is None or not found.origin:
        raise ProtocolError("the fschat package is not installed")
    path = Path(found.origin).parent / "llm_judge" / "common.py"
    assigned: dict[str, ast.expr] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its patterns are not raw strings
        body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id] = node.value
    try:
        return FastChatConstants(
            temperatures=ast.literal_eval(assigned["temperature_config"]),
            reference_categories=ast.literal_eval(assigned["NEED_REF_CATS"]),
            score_pattern=_pattern(assigned["one_score_pattern"]),
            score_pattern_backup=_pattern(assigned["one_score_pattern_backup"]),
        )
    except (KeyError, ValueError) as error:
        raise ProtocolError(f"{path} is not the llm_judge of fschat 0.2.36: {error}") from error


def _pattern(call: ast.expr) -> str:
    """The text of ``re.compile("...")``."""
    if not isinstance(call, ast.Call) or not call.args:
        raise ValueError("a score pattern is not a call of re.compile")
    return str(ast.literal_eval(call.args[0]))
