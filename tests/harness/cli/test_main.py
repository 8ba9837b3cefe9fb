"""The list of commands, and errors as one line and an exit code."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from groundwork.errors import UserError
from harness.cli import main as entry
from harness.cli.main import COMMANDS, application, main

REPO = Path(__file__).resolve().parents[3]


def test_help_lists_every_command_in_its_order() -> None:
    shown = CliRunner().invoke(application(), ["--help"])
    assert shown.exit_code == 0
    places = [shown.output.index(f"\n  {name} ") for name in COMMANDS]
    groups = [name for name, command in COMMANDS.items() if isinstance(command, typer.Typer)]
    single = [place for name, place in zip(COMMANDS, places, strict=True) if name not in groups]
    assert single == sorted(single)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    shown = CliRunner().invoke(application(), [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output


def test_the_version() -> None:
    shown = CliRunner().invoke(application(), ["--version"])
    assert shown.exit_code == 0
    assert shown.output.startswith("sso-bench ")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from harness.cli.main import application; application();"
        "print([m for m in ('torch', 'transformers', 'lm_eval', 'alpaca_eval', 'pandas') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (UserError("first\nsecond"), 2, "sso-bench: first\n           second\n"),
        (OSError(errno.ENOSPC, "No space left on device", "f"), 2, "the disk is full (f)"),
        (
            OSError(errno.EACCES, "Permission denied", "/x/y"),
            2,
            "sso-bench: /x/y: Permission denied",
        ),
        (entry.Interrupted(), 130, "interrupted; finished work is kept. Resume with:"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(entry, "COMMANDS", {"doctor": broken, "plan": broken})
    monkeypatch.setattr(sys, "argv", ["sso-bench", "doctor"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == code
    assert shown in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("ours")

    monkeypatch.setattr(entry, "COMMANDS", {"doctor": broken, "plan": broken})
    monkeypatch.setattr(sys, "argv", ["sso-bench", "doctor"])
    with pytest.raises(ValueError, match="ours"):
        main()
