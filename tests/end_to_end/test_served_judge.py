"""A judge that the tool serves itself: started by the run, asked, and ended with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engines import EngineSettings
from harness.served_judge import JUDGE_CONTEXT, ServedJudge, _command, served_kind
from judges import Comparison, JudgeSettings, Rating
from judges.store import VerdictStore
from tests.end_to_end.conftest import Call, small
from tests.end_to_end.test_interrupted import start
from tests.groundwork.test_guarded_process import wait_until_gone

ITEM = Comparison(item_id="1", instruction="Name a fruit.", output_1="A stone.", output_2="Apple.")


def servers() -> list[int]:
    """Process ids of chat servers of ours."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if "harness.engines.chat_server" in line and str(os.getpid()) not in line.split()[:1]
    ]


def served(folder: Path, tmp_path: Path, kind: str = "hf") -> ServedJudge:
    settings = JudgeSettings(f"{kind}:{folder}")
    return ServedJudge(settings, tmp_path / "v.sqlite", EngineSettings(kind="hf"))


def test_verdicts_come_from_the_model_and_the_server_ends(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    judge = served(tiny_model_dir, tmp_path)
    judge.check()
    assert not (tmp_path / "v.sqlite").exists(), "nothing is asked before the first verdict"
    try:
        [preference] = judge.preferences([ITEM])
        assert preference.state == "ok"
        assert preference.protocol.endswith("/top5")
        assert preference.value is not None
        assert 1 <= preference.value <= 2
        [rating] = judge.ratings([Rating(item_id="1", category="x", turns=("q", "a"))])
        assert rating.state in ("ok", "unparsed", "truncated")
        running = servers()
        assert running
    finally:
        judge.stop()
    assert wait_until_gone(running)
    described = judge.describe()
    assert described["judge"] == f"hf:{tiny_model_dir}"
    again = served(tiny_model_dir, tmp_path)
    try:
        assert again.preferences([ITEM])[0].cached, "kept under the model's name, not the port"
    finally:
        again.stop()
    judges = {row.judge for row in VerdictStore(tmp_path / "v.sqlite").rows()}
    assert judges == {judge.snapshot}


def test_an_evaluation_starts_and_ends_its_judge(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    before = set(servers())
    few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval")
    done = call("eval", few[1], *few[2:], "--judge", f"hf:{tiny_model_dir}")
    assert done.code == 0, done.err
    assert set(servers()) <= before
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["judge"]
    assert recorded["judge"] == f"hf:{tiny_model_dir}"


def test_no_server_is_left_after_kill_minus_nine(tiny_model_dir: Path, tmp_path: Path) -> None:
    before = set(servers())
    few = small(tiny_model_dir, tmp_path / "run", "-b", "mt_bench")
    args = ["eval", few[1], *few[2:], "--judge", f"hf:{tiny_model_dir}"]
    process = start(args, tmp_path / "cache")
    deadline = time.monotonic() + 180
    while not (set(servers()) - before):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    mine = sorted(set(servers()) - before)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert wait_until_gone(mine)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vllm:a/b", "vllm"), ("hf:/m", "hf"), ("gpt-4.1", None), ("local", None), ("ft:gpt", None)],
)
def test_which_names_are_served(name: str, kind: str | None) -> None:
    assert served_kind(name) == kind


def test_room_is_kept_for_a_judges_prompt_not_for_the_models_whole_context(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long"
    shutil.copytree(tiny_model_dir, long)
    config = json.loads((long / "config.json").read_text())
    config["max_position_embeddings"] = 131_072
    (long / "config.json").write_text(json.dumps(config))

    def context(folder: Path, **engine: Any) -> str:
        command = _command("vllm", folder, 1, "m", EngineSettings(**engine))
        assert ("--enforce-eager" in command) == (not torch.cuda.is_available())
        return command[command.index("--max-model-len") + 1]

    assert "--chat-template" not in _command("vllm", long, 1, "m", EngineSettings())
    assert context(long) == str(JUDGE_CONTEXT)
    assert int(context(tiny_model_dir)) < JUDGE_CONTEXT
    assert context(long, max_length=50_000) == "50000"


def test_a_server_that_renders_by_itself_gets_the_template_with_the_day_in_it(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "dated"
    shutil.copytree(tiny_model_dir, folder)
    (folder / "chat_template.jinja").write_text(
        "{% set f = '%d %b' %}{% set d = strftime_now(f ~ ' %Y') %}on {{ d }}, {{ strftime_now(format='%Y-%m-%d') }}"
    )
    command = _command("vllm", folder, 1, "m", EngineSettings())
    given = command[command.index("--chat-template") + 1]
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    chat = [{"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(chat, chat_template=given, tokenize=False)
    assert text == "on 26 Jul 2024, 2024-07-26"
    assert served(folder, tmp_path, "vllm").snapshot.endswith("+2024-07-26")
    as_before = (served(tiny_model_dir, tmp_path, "vllm"), served(folder, tmp_path, "hf"))
    assert not any("+" in judge.snapshot.rpartition("@")[2] for judge in as_before)


def test_a_judge_that_can_not_be_served_is_refused_before_anything_starts(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval")
    none = call("eval", few[1], *few[2:], "--judge", f"hf:{tmp_path}/nothing")
    assert none.code == 2
    monkeypatch.setattr("harness.served_judge._memory", lambda: 1000.0)
    large = call("eval", few[1], *few[2:], "--judge", f"hf:{tiny_model_dir}")
    assert (large.code, "GB of weights" in large.err) == (2, True)
    monkeypatch.setattr("harness.served_judge.importlib.util.find_spec", lambda name: None)
    without = call("eval", few[1], *few[2:], "--judge", f"vllm:{tiny_model_dir}")
    assert without.code == 2
    assert "needs vllm, which is not installed" in without.err
    assert not list((tmp_path / "run").rglob("outputs.jsonl"))


def test_a_server_that_ends_at_once_names_its_log(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in tiny_model_dir.iterdir():
        content = file.read_bytes()
        cut = content[: len(content) // 2] if file.suffix == ".safetensors" else content
        (folder / file.name).write_bytes(cut)
    judge = served(folder, tmp_path)
    with pytest.raises(ValueError, match=r"its server ended \(log: .*server.log\)|safetensors"):
        judge.preferences([ITEM])
