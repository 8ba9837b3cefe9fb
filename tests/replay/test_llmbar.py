"""LLMBar's published judge accuracies, from its published verdicts, by the commands a user types; no call."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: object) -> str:
    from harness.cli.main import main

    monkeypatch.setattr(sys, "argv", ["sso-bench", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        main()
    found = capsys.readouterr()
    assert not stop.value.code, found.err
    return found.out


@pytest.mark.parametrize(
    ("subset", "judge", "strategy"),
    [
        ("llmbar-natural", "GPT-4", "Vanilla"),
        ("llmbar-natural", "ChatGPT", "Vanilla"),
        ("llmbar-adver-GPTOut", "ChatGPT", "CoT"),
    ],
)
def test_published_accuracies(
    subset: str, judge: str, strategy: str, data_dir: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path))
    verdicts = data_dir / "judge_agreement" / "llmbar_pairwise_judgments.jsonl"
    done = call(monkeypatch, capsys, "verdicts", "import", verdicts, "--format", "pairwise")
    assert f"saved:{judge}/{strategy}" in done
    pairs = data_dir / "rewardbench" / "llmbar_as_rewardbench.jsonl"
    out = call(
        monkeypatch, capsys, "judge", "agreement", pairs, "--judge", f"saved:{judge}/{strategy}"
    )
    published = json.loads(
        (data_dir / "judge_agreement" / "llmbar_published_statistics.json").read_text()
    )
    figures = published[f"{subset}|{judge}|{strategy}"]

    def share(name: str) -> float:
        return float(re.search(r"([\d.]+)%", figures[name])[1])  # type: ignore[index]

    def printed(label: str) -> float:
        return float(re.search(rf"^{label}\s+([\d.]+)", out, re.MULTILINE)[1])  # type: ignore[index]

    n, usable = (int(x) for x in re.search(r"(\d+) pairs, (\d+) unusable", out).groups())  # type: ignore[union-attr]
    total = int(figures["correct_both"].split("/")[1].split("=")[0])
    assert n + usable == total
    orders = re.search(
        r"^right in each order, mean\s+([\d.]+) %? ?/ ([\d.]+) ?%?, ([\d.]+)", out, re.MULTILINE
    )
    assert orders, out
    assert float(orders[3]) == pytest.approx(share("correct_average"), abs=0.06)
    both = int(figures["correct_both"].split("/")[0])
    assert printed("equals the majority label") == pytest.approx(100 * both / n, abs=0.06)
