"""Mistakes over all commands: one line or a short list, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import gzip
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
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b'{"a": 1}')[:-7])
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "nan.json").write_text('[{"accuracy": NaN, "value": 1e999}]')
    (tmp_path / "wide.csv").write_text("query\n" + "x" * 200_000 + "\n")
    (tmp_path / "half.jsonl").write_text('{"prompt": "\\ud800", "chosen": 3}\n')
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"schema": ')
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "run.json").write_text('{"schema": [], "config": 3, "stages": 7, "name": {}}')
    future = tmp_path / "future"
    future.mkdir()
    (future / "run.json").write_text('{"schema": 99, "config": {}}')
    (tmp_path / "prices.yaml").write_text("models: {judge: {input: .nan, output: 1}}\n")
    (tmp_path / "bad-model").mkdir()
    (tmp_path / "bad-model" / "config.json").write_text("[]")
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
        "eval bad-model FAKE",
        "eval broken FAKE",
        "eval binary FAKE",
        "eval MODEL -b gsm8k --limit 99999999999999999999x FAKE",
        "eval MODEL -b gsm8k --limit 1e3 FAKE",
        "eval MODEL -b gsm8k --data binary FAKE",
        "eval MODEL -b gsm8k --data /dev/null FAKE",
        "eval MODEL -b gsm8k --engine nonsense",
        "eval MODEL -b gsm8k --engine fake --out /",
        "eval MODEL -b gsm8k --engine fake --out /proc/1",
        "eval MODEL -b gsm8k --engine fake --out binary/inside",
        "eval MODEL -b gsm8k --engine fake --out broken",
        "eval MODEL -b gsm8k --engine fake --out odd",
        "eval MODEL -b gsm8k --engine fake --out future",
        "eval MODEL -b mt_bench --judge gpt-4 --judge-url nonsense FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --judge-url http://[::1 FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --judge-url ftp://host FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --max-cost nan FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --max-cost inf --judge-url http://127.0.0.1:9/v1 FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --max-cost -1 FAKE",
        "eval MODEL -b mt_bench --judge gpt-4 --max-calls 0 FAKE",
        "eval MODEL -b mt_bench --judge judge --max-cost 1 --set judge.prices=prices.yaml FAKE",
        "eval MODEL -b mt_bench --judge judge --max-cost 1 --set judge.prices=deep.yaml FAKE",
        "eval MODEL -b mt_bench --judge judge --max-cost 1 --set judge.prices=binary FAKE",
        "eval MODEL -b mt_bench --judge judge --max-cost 1 --set judge.prices=nofile FAKE",
        "run --iters x",
        "run --iters 1.5",
        "run --set training.learning_rate=nan --model MODEL FAKE",
        "run --set training.learning_rate=inf --model MODEL FAKE",
        "run --set training.epochs=-1",
        "run --set loss.beta=nan",
        "run --set sampling.temperature=-1",
        "run --set sampling.top_p=2",
        "run --set engine.batch_size=0",
        "run --set queries.file=binary --model MODEL FAKE",
        "run --set queries.file=folder --model MODEL FAKE",
        "run --set queries.file=deep.json --model MODEL FAKE",
        "run --set queries.file=cut.json.gz --model MODEL FAKE",
        "run --set queries.file=wide.csv --model MODEL FAKE",
        "run --set queries.file=half.jsonl --model MODEL FAKE",
        "run --set preferences.file=half.jsonl --methods ultrafeedback --model MODEL FAKE",
        "run --set preferences.file=nan.json --methods ultrafeedback --model MODEL FAKE",
        "run --set principles.file=binary --model MODEL FAKE",
        "run --set principles.file=deep.yaml --model MODEL FAKE",
        "run --set a.b.c.d.e=1",
        "run --set seeds=[-1]",
        "run --set seeds=[1.5]",
        "run -p binary",
        "run -p folder",
        "run -p /dev/null",
        "plan --iters -5",
        "plan -p nope",
        "plan --set a",
        "pairs binary",
        "pairs deep.json",
        "pairs cut.json.gz",
        "pairs half.jsonl",
        "judge agreement binary",
        "judge agreement deep.json",
        "judge agreement folder",
        "judge nosuch",
        "rescore binary --protocol gsm8k/paper",
        "rescore deep.json --protocol gsm8k/paper",
        "rescore cut.json.gz --protocol gsm8k/paper",
        "rescore folder --protocol gsm8k/paper",
        "rescore half.jsonl --protocol gsm8k/",
        "rescore half.jsonl --protocol /",
        "table broken",
        "table odd",
        "table future",
        "table binary",
        "table folder --format nope",
        "report broken",
        "report odd",
        "report future",
        "report binary",
        "plot broken",
        "plot odd",
        "check broken --baseline folder",
        "check odd --baseline odd",
        "check folder --baseline binary",
        "check odd --baseline deep.json",
        "baseline save broken",
        "baseline save odd",
        "compare broken odd",
        "compare binary folder",
        "history add broken",
        "history show --db binary",
        "history show --db nonsense://x",
        "history plot --db folder",
        "history add odd --db postgresql://127.0.0.1:1/x",
        "verdicts import binary",
        "verdicts import deep.json",
        "verdicts import half.jsonl",
        "verdicts import nan.json --format alpaca_eval --judge x",
        "verdicts import binary --format fastchat --prompts binary",
        "verdicts export /dev/null --store folder",
        "verdicts stats --store binary",
        "data verify binary",
        "data verify /dev/null",
        "data get gpqa --to binary",
        "presets binary",
        "doctor binary",
        "doctor odd",
        "doctor future",
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
