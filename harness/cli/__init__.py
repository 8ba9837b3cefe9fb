"""The command line: one file a command, nothing heavy imported before a command runs."""

from harness.cli.entry import main

__all__ = ["main"]
