"""Claims: one holder, freed by release and by death, on this machine and seen from another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from groundwork.claims import STALE_S, Claims, this_process
from groundwork.errors import UserError

HOLD = """
import sys
from pathlib import Path
from groundwork.claims import Claims
with Claims(Path(sys.argv[1])).holding("a/b") as claim:
    print("held" if claim else "none", flush=True)
    sys.stdin.read()
"""


def hold(root: Path) -> subprocess.Popen[str]:
    """Another process that holds ``a/b``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(root: Path, name: str, age: float) -> Path:
    """A claim of a process on another machine, touched ``age`` seconds ago."""
    file = root / name / "1.json"
    file.parent.mkdir(parents=True)
    holder = {**vars(this_process()), "host": "node-7", "place": "another"}
    file.write_text(json.dumps({"holder": holder}))
    touched = file.stat().st_mtime - age
    os.utime(file, (touched, touched))
    return file


def test_a_killed_holder_is_taken_over_at_once_and_named(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    process = hold(tmp_path)
    holder = claims.holder("a/b")
    assert holder is not None
    assert (holder.pid, list(claims.living())) == (process.pid, ["a/b"])
    with claims.holding("a/b") as claim:
        assert claim is None
    process.kill()
    process.communicate()
    with claims.holding("a/b") as claim:
        assert claim is not None
        assert f"process {process.pid} on" in claim.taken_over
    with claims.holding("a/b") as claim:
        assert claim is not None
        assert claim.taken_over == ""
    assert claims.living() == {}


def test_a_number_that_another_process_got_is_not_used_again(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.holding("s") as claim:
        assert claim is not None
        assert claim.file.name == "1.json"
        with Claims(tmp_path).holding("s") as other:
            assert other is None
    with claims.holding("s") as claim:
        assert claim is not None
        assert claim.file.name == "2.json"


@pytest.mark.parametrize(("age", "free"), [(0.0, False), (STALE_S - 5, False), (STALE_S + 5, True)])
def test_a_holder_elsewhere_is_judged_by_its_heart_beat(
    tmp_path: Path, age: float, free: bool
) -> None:
    elsewhere(tmp_path, "s", age)
    claims = Claims(tmp_path)
    assert claims.age("s") == pytest.approx(age, abs=2)
    assert (claims.holder("s") is None) is free
    with claims.holding("s") as claim:
        assert (claim is not None) is free
        if claim is not None:
            assert "on node-7" in claim.taken_over


@pytest.mark.parametrize("content", ["", "{", "[]", '{"holder": {"pid": 1}}', "\x00" * 9])
def test_a_damaged_claim_is_held_until_it_is_stale(tmp_path: Path, content: str) -> None:
    file = elsewhere(tmp_path, "s", 0)
    file.write_text(content)
    claims = Claims(tmp_path)
    assert claims.holder("s") is not None
    os.utime(file, (1.0, 1.0))
    with claims.holding("s") as claim:
        assert claim is not None


def test_a_holder_that_was_taken_over_notices_it(tmp_path: Path) -> None:
    with Claims(tmp_path).holding("s") as claim:
        assert claim is not None
        claim.beat()
        claim.check()
        (claim.file.parent / "2.json").write_text("{}")
        claim.beat()
        with pytest.raises(UserError, match="another process took this stage over"):
            claim.check()


def test_many_at_once_get_each_claim_one_after_another(tmp_path: Path) -> None:
    inside, most, done = [0], [0], [0]
    lock = threading.Lock()

    def work() -> None:
        claims = Claims(tmp_path)
        for _ in range(30):
            with claims.holding("s") as claim:
                if claim is None:
                    continue
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    done[0] += 1
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert done[0] >= 4


def test_a_finished_run_keeps_no_claims(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "c")
    with claims.holding("s"):
        claims.clear()
        assert claims.root.is_dir()
    claims.clear()
    assert not claims.root.exists()
