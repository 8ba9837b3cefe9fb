"""Imports every command file, which registers its command with the application."""

from harness.cli import (
    check,
    data,
    doctor,
    eval_model,
    history,
    judge,
    plan,
    presets,
    report,
    rescore,
    run,
    table,
    verdicts,
)

__all__ = [
    "check",
    "data",
    "doctor",
    "eval_model",
    "history",
    "judge",
    "plan",
    "presets",
    "report",
    "rescore",
    "run",
    "table",
    "verdicts",
]
