"""``--judge vllm:DIR`` with the real vLLM: started, asked and ended by the tool, on whatever machine
this is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engines import EngineSettings
from harness.served_judge import ServedJudge
from judges import Comparison, JudgeError, JudgeSettings, Rating, open_judge, pair_accuracy
from tests.groundwork.test_guarded_process import wait_until_gone

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
SETTINGS = EngineSettings(max_length=1024)
ITEMS = [
    Comparison(item_id="1", instruction="What is 2 + 2?", output_1="Four.", output_2="Five."),
    Comparison(item_id="2", instruction="Name a fruit.", output_1="A stone.", output_2="An apple."),
]
KILLED = """
import sys, time
from pathlib import Path
from harness.engines import EngineSettings
from harness.served_judge import ServedJudge
from judges import JudgeSettings, Rating

judge = ServedJudge(
    JudgeSettings("vllm:" + sys.argv[1]), Path(sys.argv[2]), EngineSettings(max_length=1024)
)
judge.ratings([Rating(item_id="1", category="x", turns=("What is 2 + 2?", "4"))])
print("rated", flush=True)
time.sleep(600)
"""


def members(parent: int) -> list[int]:
    """Process ids of all descendants."""
    import psutil

    return [child.pid for child in psutil.Process(parent).children(recursive=True)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verdicts") / "v.sqlite"


@pytest.fixture(scope="module")
def served(vllm_here: None, smollm2_dir: Path, store: Path) -> Iterator[ServedJudge]:
    judge = ServedJudge(JudgeSettings(f"vllm:{smollm2_dir}"), store, SETTINGS)
    judge.check()
    yield judge
    judge.stop()


def test_letters_ratings_and_pairs(served: ServedJudge) -> None:
    preferences = served.preferences(ITEMS)
    # A small model's top five may lack both letters; then the state says so.
    assert {v.state for v in preferences} <= {"ok", "unparsed"}
    assert all(1 <= v.value <= 2 for v in preferences if v.value is not None)
    assert all(v.prompt_tokens > 100 and v.completion_tokens == 1 for v in preferences)
    [rating] = served.ratings([Rating(item_id="1", category="x", turns=("What is 2 + 2?", "4"))])
    assert rating.raw
    result = pair_accuracy(served, ITEMS, [1, 2])
    assert result.n + result.unparsed == 2
    repeated = served.preferences(ITEMS)
    assert all(v.cached for v in repeated if v.state == "ok")
    assert [v.value for v in repeated] == [v.value for v in preferences]


def test_it_knows_no_other_model(served: ServedJudge, tmp_path: Path) -> None:
    address = served._running()._url
    with pytest.raises(JudgeError, match="has no model 'gpt-9'"):
        open_judge(JudgeSettings("gpt-9", address), tmp_path / "v.sqlite").check()


def test_nothing_is_left_after_stop(served: ServedJudge) -> None:
    served._running()
    running = members(os.getpid())
    assert len(running) >= 2, "the guard and vLLM"
    served.stop()
    assert wait_until_gone(running)


def test_nothing_is_left_after_kill_minus_nine(
    vllm_here: None, smollm2_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(smollm2_dir), str(tmp_path / "v.sqlite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "rated\n"
    running = members(process.pid)
    assert len(running) >= 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert wait_until_gone(running)
