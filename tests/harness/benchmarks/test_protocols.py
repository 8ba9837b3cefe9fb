"""Protocol files: the shipped ones and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks.protocols import load_protocol, protocol_names
from harness.errors import ProtocolError

OWN = "version: 3\nsettings: {task: gsm8k, shots: 2}\n"


def test_the_community_protocol_comes_first() -> None:
    names = protocol_names("gsm8k")
    assert names[0] == "community"
    assert names[1:] == sorted(names[1:])


def test_a_user_s_own_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(OWN + "reduced: true\n")
    spec = load_protocol("gsm8k", str(file))
    assert (spec.name, spec.version, spec.settings["shots"]) == ("gsm8k/mine", 3, 2)
    assert spec.marks == ("reduced-protocol",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "a mapping with version and settings"),
        ("version: 1", "a mapping with version and settings"),
        (OWN + "setings: {}", "unknown key 'setings' .*'settings'"),
        (OWN.replace("3", "new"), "needs a whole number as its version"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_protocol(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(ProtocolError, match=message):
        load_protocol("gsm8k", str(file))


def test_a_wrong_name_names_the_nearest() -> None:
    with pytest.raises(ProtocolError, match="did you mean 'community'"):
        load_protocol("gsm8k", "comunity")
