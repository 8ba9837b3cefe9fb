"""``ps`` shows no secret of an address that was given on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import sys
from pathlib import Path
from harness.cli.process_list import hide_secrets
hidden = hide_secrets(sys.argv[1:])
print(hidden, Path("/proc/self/cmdline").read_bytes().replace(bytes(1), b" ").decode())
"""


def shown(*arguments: str) -> str:
    command = [sys.executable, "-c", CHILD, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_secrets_are_stars_and_the_rest_stays() -> None:
    out = shown("--judge-url", "http://host/v1?key=Pl4nted", "--db=postgresql://me:p@Pl4nted@h/d")
    assert out.startswith("True")
    assert "Pl4nted" not in out
    assert "--judge-url http://host/v1?" in out
    assert "@h/d" in out


def test_without_a_secret_nothing_is_touched() -> None:
    out = shown("--judge-url", "http://host/v1")
    assert out.startswith("False")
    assert "http://host/v1" in out
