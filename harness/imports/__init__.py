"""Results of other tools as run folders, so that a table, report or gate holds them beside ours.

One reader per tool (``READERS``) turns its files into ``ImportedResult``; ``write_run`` lays them out
as the evaluations of a starting model. Every score is marked as imported, and its protocol id begins
with the tool's name, so that it never shares a column unmarked with a figure of this program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from groundwork.errors import UserError, did_you_mean
from harness.data.sources import DataSource
from harness.imports import inspect_logs, judgments, lm_eval
from harness.imports.result import ImportedResult
from harness.imports.run_folder import write_runs

READERS: dict[str, Callable[[Path, DataSource], list[ImportedResult]]] = {
    "lm-eval": lm_eval.read,
    "alpaca-eval": judgments.read_alpaca_eval,
    "fastchat": judgments.read_fastchat,
    "inspect": inspect_logs.read,
}
"""Tool to the reader of its files."""

__all__ = ["READERS", "ImportedResult", "import_results"]


def import_results(
    tool: str, paths: Sequence[Path], out: Path, data: DataSource, model: str | None = None
) -> list[Path]:
    """Read ``paths`` and write one run folder per model: ``out`` itself where there is one model,
    else ``out/MODEL``. Returns the folders.

    Args:
        tool: a key of ``READERS``.
        paths: files or folders of that tool.
        out: a folder that does not exist yet, or is empty.
        data: where AlpacaEval's baseline and MT-Bench's questions come from.
        model: only this model's results.

    Raises:
        UserError: an unknown tool, no results in a path, a damaged file, one benchmark twice for one
            model, no such model, or a folder that is in use. Nothing is written then.
    """
    if tool not in READERS:
        raise UserError(f"no tool {tool!r} to import from ({did_you_mean(tool, READERS)})")
    found: list[ImportedResult] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"no such file or folder: {path}")
        found += READERS[tool](path, data)
    models = sorted({result.model for result in found})
    if model is not None and model not in models:
        raise UserError(f"no results of {model!r} ({did_you_mean(model, models)})")
    kept = [result for result in found if model in (None, result.model)]
    return write_runs(tool, kept, out)
