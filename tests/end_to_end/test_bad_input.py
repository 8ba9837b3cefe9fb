"""Mistakes over all commands: one line or a short list, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call

FAKE = ["--engine", "fake", "--out", "OUT"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with broken and odd files, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    turn = [{"role": "user", "content": "q"}]
    files = {
        "bad.jsonl": "x\n",
        "empty.jsonl": "",
        "list.json": "[1,2]",
        "bad.yaml": "a: [",
        "loop.yaml": "extends: loop.yaml",
        "deep.yaml": "[" * 3000,
        "big.yaml": "a: " + "9" * 6000,
        "conv.jsonl": json.dumps({"prompt": turn, "chosen": turn, "rejected": "b"}) + "\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "eval MODEL --limit 0",
        "eval MODEL --limit -3",
        "eval MODEL -b ,",
        "eval MODEL -b gsm8k,gsm8k/paper FAKE",
        "eval MODEL -b gsm9k FAKE",
        "eval MODEL -b gsm8k/papr FAKE",
        "eval /no/such/model/folder FAKE",
        "eval MODEL -b gsm8k --set benchmarks.gsm8k.overrides.shots=abc FAKE",
        "eval MODEL -b gsm8k --set benchmarks.gsm8k.overrides.shots=-1 FAKE",
        "eval MODEL -b math --set benchmarks.math.overrides.grading_seconds=x FAKE",
        "eval MODEL --data nope FAKE",
        "eval MODEL --engine fake --out bad.jsonl",
        "eval MODEL --engine fake --out /dev/null",
        "eval MODEL --engine fake --out .",
        "eval MODEL --judge gpt-4 FAKE",
        "run --iters 0",
        "run --iters -1",
        "run --methods foo --model MODEL FAKE",
        "run --set a",
        "run --set =3",
        "run --set loss.bet=1",
        "run --set training.learning_rate=abc",
        "run --set seeds=[]",
        "run --set seeds=[1,1]",
        "run --seeds 0",
        "run -p nope",
        "run -p bad.yaml",
        "run -p loop.yaml",
        "run -p deep.yaml",
        "run -p big.yaml",
        "plan --iters 100000",
        "pairs nofile",
        "pairs bad.jsonl",
        "pairs conv.jsonl",
        "pairs folder",
        "judge agreement nofile",
        "judge agreement bad.jsonl",
        "judge agreement conv.jsonl --limit -3",
        "rescore nofile --protocol gsm8k/paper",
        "import lm-evall bad.jsonl",
        "import lm-eval nofile",
        "import lm-eval list.json",
        "import inspect conv.jsonl",
        "import fastchat conv.jsonl --data sample",
        "import alpaca-eval list.json --data sample",
        "rescore bad.jsonl --protocol gsm8k/paper",
        "rescore empty.jsonl --protocol gsm8k/paper",
        "rescore list.json --protocol gsm8k/paper",
        "rescore conv.jsonl --protocol gsm8k/paper",
        "rescore conv.jsonl --protocol foo/bar",
        "table nofolder",
        "table folder",
        "report nofolder",
        "plot nofolder",
        "check nofolder --baseline folder",
        "baseline save nofolder",
        "compare nofolder",
        "history add nofolder",
        "verdicts stats --store typo",
        "verdicts export out --store typo",
        "verdicts import nofile",
        "verdicts verify --store typo",
        "verdicts verify --store folder",
        "verdicts verify --store bad.jsonl",
        "verdicts verify --mend --store bad.jsonl",
        "data get nope",
        "data verify nofolder",
        "doctor nofolder",
        "doctor bad.jsonl",
        "doctor folder",
        "presets nope",
        "nosuchcommand",
        "run --nosuchoption",
    ],
)
def test_a_mistake_is_one_clear_line(
    line: str, call: Call, place: Path, tiny_model_dir: Path
) -> None:
    before = {path.name for path in place.iterdir()}
    words = line.replace("FAKE", " ".join(FAKE)).replace("MODEL", str(tiny_model_dir)).split()
    done = call(*words)
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    assert 0 < len(done.err.strip().splitlines()) <= 12
    left = {path.name for path in place.iterdir()} - before
    assert left <= {"cache"}
