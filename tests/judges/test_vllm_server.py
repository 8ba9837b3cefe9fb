"""A real server as judge: ``vllm serve`` with the quick-start model, on whatever machine this is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from judges import Comparison, JudgeError, JudgeSettings, Rating, open_judge, pair_accuracy
from judges.server import ServerJudge

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
STARTING_S = 400


@pytest.fixture(scope="module")
def server(
    vllm_here: None, smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a vLLM server that calls the model ``smollm2``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log.txt"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(smollm2_dir), "--served-model-name", "smollm2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "1024"]
    command += ["--enforce-eager", "--max-num-seqs", "4"]
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    pytest.fail(f"vllm serve did not start:\n{log.read_text()[-3000:]}")


def judge(server: str, tmp_path: Path, name: str = "smollm2") -> ServerJudge:
    opened = open_judge(JudgeSettings(name, server), tmp_path / "v.sqlite")
    assert isinstance(opened, ServerJudge)
    return opened


ITEMS = [
    Comparison(item_id="1", instruction="What is 2 + 2?", output_1="Four.", output_2="Five."),
    Comparison(item_id="2", instruction="Name a fruit.", output_1="A stone.", output_2="An apple."),
]


def test_a_real_server_gives_letters_ratings_and_pairs(server: str, tmp_path: Path) -> None:
    real = judge(server, tmp_path)
    real.check()
    preferences = real.preferences(ITEMS)
    # A small model's top five may lack both letters; then the state says so.
    assert {v.state for v in preferences} <= {"ok", "unparsed"}
    assert all(1 <= v.value <= 2 for v in preferences if v.value is not None)
    assert all(v.prompt_tokens > 100 and v.completion_tokens == 1 for v in preferences)
    [rating] = real.ratings([Rating(item_id="1", category="x", turns=("What is 2 + 2?", "4"))])
    assert rating.raw
    result = pair_accuracy(real, ITEMS, [1, 2])
    assert result.n + result.unparsed == 2
    again = judge(server, tmp_path).preferences(ITEMS)
    assert all(v.cached for v in again if v.state == "ok")
    assert [v.value for v in again] == [v.value for v in preferences]


def test_a_real_server_knows_no_other_model(server: str, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="has no model 'gpt-9'"):
        judge(server, tmp_path, "gpt-9").check()
