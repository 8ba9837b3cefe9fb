"""Imports every command file, which registers its command with the application."""

from harness.cli import doctor, eval_, plan, presets, run, table

__all__ = ["doctor", "eval_", "plan", "presets", "run", "table"]
