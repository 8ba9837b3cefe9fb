"""Imports every command file, which registers its command with the application."""

from harness.cli import (
    check,
    doctor,
    eval_,
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
    "doctor",
    "eval_",
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
