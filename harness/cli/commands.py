"""Imports every command file, which registers its command with the application."""

from harness.cli import check, doctor, eval_, history, plan, presets, report, run, table

__all__ = ["check", "doctor", "eval_", "history", "plan", "presets", "report", "run", "table"]
