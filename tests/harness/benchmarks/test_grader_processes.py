"""Graders in processes: killed when they hang, replaced when they die, equal tasks graded once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from harness.benchmarks.aggregate import Answer
from harness.benchmarks.grader_processes import _IDLE, grade_all
from harness.benchmarks.math import GRADER, target_of
from harness.benchmarks.math import grade as grade_math

SCRIPT = """
import json, os, sys
print("ready", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task["do"] == "hang":
        while True:
            pass
    if task["do"] == "die":
        os._exit(3)
    with open(task["log"], "a") as log:
        log.write(task["do"] + "\\n")
    print(json.dumps({"done": task["do"], "pid": os.getpid()}), flush=True)
"""


def test_a_hanging_grader_is_killed_and_the_others_go_on(tmp_path: Path) -> None:
    script = tmp_path / "grader.py"
    script.write_text(SCRIPT)
    log = tmp_path / "log"
    kinds = ["a", "hang", "b", "die", "c", "a"]
    tasks = [{"do": kind, "log": str(log)} for kind in kinds]
    results = grade_all(script, tasks, seconds=1.0, workers=1)
    assert [r.get("done") for r in results] == ["a", None, "b", None, "c", "a"]
    assert "more than 1 s" in results[1]["error"]
    assert results[3]["error"] == "the grader died"
    assert sorted(log.read_text().split()) == ["a", "b", "c"]  # the second "a" was not graded again
    assert len({r["pid"] for r in results if "pid" in r}) == 3  # a new process after each loss


def test_a_process_is_kept_for_the_next_call_unless_it_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "grader.py"
    script.write_text(SCRIPT)
    task = {"do": "a", "log": str(tmp_path / "log")}

    def pid() -> int:
        (result,) = grade_all(script, [task], seconds=1.0)
        return int(result["pid"])

    first = pid()
    assert pid() == first
    os.kill(first, signal.SIGKILL)
    while psutil.Process(first).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    second = pid()
    assert second != first
    script.write_text(SCRIPT.replace('"done"', '"other"'))  # a process runs what it has read
    grade_all(script, [{**task, "do": "die"}], seconds=1.0)
    assert "other" in grade_all(script, [task], seconds=1.0)[0]
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))  # what it would now find is another thing
    assert pid() not in (first, second)
    _IDLE.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def test_a_grader_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("NLTK_DATA", "here")
    script = tmp_path / "grader.py"
    script.write_text(SCRIPT.replace('"pid": os.getpid()', '"names": sorted(os.environ)'))
    (result,) = grade_all(script, [{"do": "a", "log": str(tmp_path / "log")}], seconds=1.0)
    assert "OPENAI_API_KEY" not in result["names"]
    assert {"NLTK_DATA", "PATH"} <= set(result["names"])


def test_a_grader_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "grader.py"
    script.write_text("import nothing_of_this_name")
    with pytest.raises(RuntimeError, match="does not start"):
        grade_all(script, [{"do": "a"}], seconds=1.0)


def test_no_task_starts_no_process() -> None:
    assert grade_all(Path("absent.py"), [], seconds=1.0) == []


def test_math_answers_in_other_forms_are_the_same_and_wrong_ones_are_not() -> None:
    cases = [
        (r"\frac{1}{2}", r"So we get $\boxed{0.5}$.", 1.0),
        ("1000", r"The total is \boxed{1,000}.", 1.0),
        (r"(x+1)(x-2)", r"\boxed{(x-2)(x+1)}", 1.0),
        (r"-\frac{4}{9}", r"\boxed{-4/9}", 1.0),
        ("7", r"\boxed{8}", 0.0),
        ("7", "", 0.0),
    ]
    answers = [Answer(target_of({"answer": key}, ""), text) for key, text, _ in cases]
    grades = grade_math(answers, {})
    assert [g.values["math_verify"] for g in grades] == [value for _, _, value in cases]
    assert [g.unparsed for g in grades] == [False] * 5 + [True]
    assert grades[0].extracted == "0.5"


def test_minerva_wants_its_own_closing_sentence() -> None:
    text = "Final Answer: The final answer is $12$. I hope it is correct."
    (grade,) = grade_math([Answer(target_of({"answer": "12"}, ""), text)], {})
    assert grade.values == {"math_verify": 1.0, "minerva": 1.0}
    assert GRADER.is_file()
