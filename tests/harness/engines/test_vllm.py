"""The vLLM engine: the real thing where it is installed, its bookkeeping with a stand-in worker."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundwork.sampling_params import SamplingParams
from harness.engines import (
    BatchEngine,
    Completion,
    ContextTooLong,
    EngineError,
    EngineSettings,
    ResumableEngine,
    open_engine,
)
from harness.engines import vllm as vllm_engine
from harness.engines.vllm import PREFILL_PIECE, VllmEngine

STAND_IN = """
import os, sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[-1]))
connection.recv()
if os.environ.get("FAKE_FAILS"):
    connection.send(("failed", "no memory"))
    sys.exit()
connection.send(("ready", None))
while True:
    try:
        kind, rows = connection.recv()
    except EOFError:
        break
    for row in rows:
        if kind == "chat":
            if row["item"] in map(int, os.environ.get("FAKE_DIES_AT", "").split()):
                flag = os.environ["FAKE_FLAG"]
                lives = int(open(flag).read())
                if lives:
                    open(flag, "w").write(str(lives - 1))
                    print("out of luck", file=sys.stderr, flush=True)
                    os._exit(9)
            answer = (row["ids"][-3:], False)
        else:
            answer = (-float(len(row["ids"])), len(row["ids"]) - row["context"], True)
        connection.send(("done", (row["item"], answer)))
    connection.send(("end", None))
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Replaces the worker's process by one that echoes, so that no vLLM is needed."""
    script = tmp_path / "worker.py"
    script.write_text(STAND_IN)
    real = vllm_engine.subprocess.Popen

    def popen(command: list[str], **how: Any) -> Any:
        return real([sys.executable, str(script), command[-1]], **how)

    monkeypatch.setattr(vllm_engine.subprocess, "Popen", popen)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        vllm_engine.importlib.util,
        "find_spec",
        lambda name: found("json" if name == "vllm" else name),
    )
    return tmp_path


def _lives(monkeypatch: pytest.MonkeyPatch, folder: Path, count: int, items: str) -> None:
    flag = folder / "lives"
    flag.write_text(str(count))
    monkeypatch.setenv("FAKE_FLAG", str(flag))
    monkeypatch.setenv("FAKE_DIES_AT", items)


@pytest.mark.parametrize("replicas", [1, 3])
def test_items_come_back_in_order(stand_in: Path, tiny_model_dir: Path, replicas: int) -> None:
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu", data_parallel=replicas))
    prompts = [f"item {n:03d}" for n in range(10)]
    found = engine.chat(prompts, SamplingParams(9))
    assert [c.text for c in found] == [f"{n:03d}" for n in range(10)]
    scored = engine.logprobs(prompts, ["xy"] * 9 + [""])
    assert [s.tokens for s in scored] == [2] * 9 + [0]
    assert scored[0].total == -10.0
    processes = [worker.process for worker in engine._workers]
    engine.close()
    assert all(process is not None and process.poll() is not None for process in processes)


def test_a_process_that_dies_is_started_again_once(
    stand_in: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lives(monkeypatch, stand_in, 1, "4")
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu"))
    seen: list[int] = []
    found = engine.chat(
        [f"item {n:03d}" for n in range(8)], SamplingParams(9), on_done=lambda i, _: seen.append(i)
    )
    assert [c.text for c in found] == [f"{n:03d}" for n in range(8)]
    assert seen == list(range(8))  # nothing was generated twice
    engine.close()


def test_a_second_death_is_an_error_and_items_are_kept(
    stand_in: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lives(monkeypatch, stand_in, 2, "3")
    prompts = [f"item {n:03d}" for n in range(8)]
    journal = stand_in / "journal.jsonl"
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu"))
    with pytest.raises(EngineError, match=r"died twice.*exit code 9: out of luck"):
        ResumableEngine(engine, journal).chat(prompts, SamplingParams(9))
    engine.close()
    assert len(journal.read_text().splitlines()) == 3
    again = VllmEngine(tiny_model_dir, EngineSettings(device="cpu"))
    seen: list[int] = []
    plain = again.chat
    monkeypatch.setattr(
        again, "chat", lambda *a, **k: seen.extend(k["finished"]) or plain(*a, **k), raising=True
    )
    found = ResumableEngine(again, journal).chat(prompts, SamplingParams(9))
    assert [c.text for c in found] == [f"{n:03d}" for n in range(8)]
    assert sorted(seen) == list(range(3))
    again.close()


def test_a_longer_context_is_reserved_when_a_prompt_needs_it(
    stand_in: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "FIRST_CONTEXT", 64)
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu"))
    assert engine._options["max_model_len"] == 64
    first = engine._workers[0].process
    engine.chat(["short"], SamplingParams(9))
    assert engine._workers[0].process is first
    found = engine.chat(["x" * 100 + "end"], SamplingParams(9))
    assert [c.text for c in found] == ["end"]
    assert engine._options["max_model_len"] == 128  # 103 + 9 tokens
    engine.close()


WAITS = """
import os, time
first = True
try:
    os.close(os.open("slow", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    first = False
def wait():
    for _ in range(400 if first else 0):
        if os.path.exists("go"):
            return
        time.sleep(0.05)
"""


def test_a_free_process_takes_what_a_slow_one_has_not_taken(
    stand_in: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 items a process that answers nothing yet holds 8; in fixed shares it would hold 16."""
    monkeypatch.chdir(stand_in)
    slow = STAND_IN.replace("answer = (row", "wait(); answer = (row")
    (stand_in / "worker.py").write_text(WAITS + slow)
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu", data_parallel=4))
    done: list[int] = []

    def count(item: int, completion: Completion) -> None:
        done.append(item)
        if len(done) == 56:
            (stand_in / "go").touch()

    prompts = [f"item {n:03d}" for n in range(64)]
    found = engine.chat(prompts, SamplingParams(9), on_done=count)
    assert [c.text for c in found] == [f"{n:03d}" for n in range(64)]
    assert len(set(done[56:])) == 8
    assert (stand_in / "go").exists()
    engine.close()


def test_auto_is_a_process_per_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    replicas = vllm_engine.replicas_of
    assert replicas(EngineSettings(), "cuda") == 8
    assert replicas(EngineSettings(tensor_parallel=2), "cuda") == 4
    assert replicas(EngineSettings(data_parallel=3), "cuda") == 3
    assert replicas(EngineSettings(), "cpu") == 1
    with pytest.raises(EngineError, match="needs as many GPUs, 8 are visible"):
        replicas(EngineSettings(tensor_parallel=16), "cuda")


def test_a_model_that_cannot_be_loaded(
    stand_in: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAILS", "1")
    with pytest.raises(EngineError, match=r"can't load .*: no memory"):
        VllmEngine(tiny_model_dir, EngineSettings(device="cpu"))


def test_prompts_without_room(stand_in: Path, tiny_model_dir: Path) -> None:
    engine = VllmEngine(tiny_model_dir, EngineSettings(device="cpu", max_length=20))
    with pytest.raises(ContextTooLong):
        engine.chat(["ok", "p" * 20], SamplingParams(1))
    engine.close()


def test_missing_package_is_named(tiny_model_dir: Path) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed here")
    with pytest.raises(EngineError, match=r"pip install 'sso-bench\[vllm\]'"):
        open_engine(EngineSettings(kind="vllm"), tiny_model_dir)


def test_gpus_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    dealt = [vllm_engine._environment("cuda", n, 2, 2)["CUDA_VISIBLE_DEVICES"] for n in (0, 1)]
    assert dealt == ["4,5", "6,7"]
    with pytest.raises(EngineError, match="needs 6 GPUs, 4 are visible"):
        vllm_engine._environment("cuda", 0, 2, 3)


# --- the real engine ----------------------------------------------------------------------------

QUESTIONS = [
    "What is the capital of France?",
    "Name three primary colours.",
    "What is 2 + 2?",
    "Write one sentence about the sea.",
    "Who wrote Romeo and Juliet?",
    "How many days has a week?",
]
CHATS = [[{"role": "user", "content": question}] for question in QUESTIONS]


SMALL: dict[str, Any] = {"device": "cpu", "dtype": "fp32", "max_length": 1024, "batch_size": 8}


@pytest.fixture(scope="module")
def real(vllm_here: None, smollm2_dir: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(smollm2_dir, EngineSettings(**SMALL))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def other(smollm2_dir: Path) -> Iterator[BatchEngine]:
    """The engine in this process, to compare with."""
    engine = open_engine(EngineSettings(kind="hf", **SMALL), smollm2_dir)
    yield engine
    engine.close()


@pytest.mark.vllm
def test_real_greedy_answers_equal_the_hf_engine(real: VllmEngine, other: BatchEngine) -> None:
    ours = real.chat(CHATS, SamplingParams(24))
    theirs = other.chat(CHATS, SamplingParams(24))
    assert "Paris" in ours[0].text
    same = sum(a.text == b.text for a, b in zip(ours, theirs, strict=True))
    # Sums in another order can turn a near-tie, after which the texts part.
    assert same >= len(CHATS) - 1
    assert [c.prompt_tokens for c in ours] == [c.prompt_tokens for c in theirs]


@pytest.mark.vllm
def test_real_logprobs_equal_the_hf_engine(real: VllmEngine, other: BatchEngine) -> None:
    texts = [real.render(chat) for chat in CHATS]
    rests = ["Paris", " red", "4", "The sea is wide.", "Shakespeare", "seven"]
    texts.append(" ".join(f"bottle {n}" for n in range(150)))  # read in several pieces
    rests.append("".join(f" and {n}" for n in range(30)))
    assert real.count_tokens(texts[-1]) > 2 * PREFILL_PIECE
    for a, b in zip(real.logprobs(texts, rests), other.logprobs(texts, rests), strict=True):
        assert a.total == pytest.approx(b.total, abs=2e-3 * b.tokens)
        assert (a.tokens, a.greedy) == (b.tokens, b.greedy)


@pytest.mark.vllm
def test_real_seeds_and_stop(real: VllmEngine) -> None:
    params = SamplingParams(20, temperature=0.9, top_p=0.95)
    one = real.chat(CHATS, params, seeds=[1] * 6)
    assert [c.text for c in one] == [c.text for c in real.chat(CHATS, params, seeds=[1] * 6)]
    assert [c.text for c in one] != [c.text for c in real.chat(CHATS, params, seeds=[2] * 6)]
    (cut,) = real.chat(CHATS[:1], SamplingParams(30, stop=("Paris",)))
    assert "Paris" not in cut.text
    assert not cut.truncated
    (limited,) = real.chat(CHATS[3:4], SamplingParams(3))
    assert (limited.truncated, limited.completion_tokens) == (True, 3)


@pytest.mark.vllm
def test_real_process_killed_mid_run(real: VllmEngine) -> None:
    expected = real.chat(CHATS, SamplingParams(16))
    (worker,) = real._workers
    assert worker.process is not None
    killed = worker.process.pid
    seen: list[int] = []

    def kill_once(item: int, _: Completion) -> None:
        seen.append(item)
        if len(seen) == 1:
            os.killpg(killed, signal.SIGKILL)
            time.sleep(0.2)

    found = real.chat(CHATS, SamplingParams(16), on_done=kill_once)
    assert sorted(seen) == list(range(len(CHATS)))
    assert worker.process.pid != killed
    same = sum(a.text == b.text for a, b in zip(found, expected, strict=True))
    assert same >= len(CHATS) - 1
