"""Short forms of the attacks in ``benchmarking/chaos``; ``pytest -m chaos``."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from benchmarking.chaos.damage import (
    HARMS,
    KINDS,
    TRAINING,
    attack,
    flip,
    resume_attack,
    swap,
    targets,
    templates,
)
from benchmarking.chaos.experiment import results
from benchmarking.chaos.forked import forked
from benchmarking.chaos.hostile_cases import cases
from benchmarking.chaos.hostile_replies import attack as attack_judge
from benchmarking.chaos.kills import operations, start

pytestmark = pytest.mark.chaos

SLOW_CASES = ("silence", "one byte", "endless", "Retry-After", "20 MB", "bomb")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_dir: Path) -> Path:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_model_dir, tmp_path / "model")
    return tmp_path


def test_kills_at_chosen_operations_change_no_result(work: Path) -> None:
    total = operations(work)
    expected = results(work / "run")
    shutil.rmtree(work / "run")
    for share in (0.1, 0.3, 0.1):
        kill = {"operation": int(share * total), "after": share > 0.1}
        assert start(work, kill) is None, "it was killed"
    assert start(work, None) == 0
    assert results(work / "run") == expected


def test_damage_is_noticed_and_mended(work: Path) -> None:
    assert start(work, None) == 0
    finished = Path(shutil.copytree(work / "run", work / "finished"))
    expected = results(finished)
    names = ("base/eval/gsm8k/scores.json", "sso/iter-1/pair_accuracy/stage.json", "run.json")
    states = []
    for number, name in enumerate(names):
        harm, chance = HARMS[number], random.Random(number)
        outcome = forked(lambda n=name, h=harm, c=chance: vars(attack(finished, n, h, c, expected)))
        states.append((name, harm.__name__, outcome["state"]))
    assert {state for _, _, state in states} == {"mended"}, states


def test_damage_of_a_killed_training_is_noticed_and_the_older_checkpoint_taken(work: Path) -> None:
    made = forked(lambda: {k: str(v) for k, v in templates(work).items()}, 900)
    killed, expected = Path(made["killed"]), results(Path(made["finished"]))
    checkpoints = killed / "sso/iter-1/policy/work/checkpoints"
    whole = [
        p for p in checkpoints.iterdir() if (p / "trainer_state.json").is_file()
    ]  # the kill tears one
    newest = max(whole, key=lambda p: int(p.name.removeprefix("checkpoint-")))
    state = next((newest / "state").glob("*.distcp")).relative_to(killed).as_posix()
    metadata = (newest / "state" / ".metadata").relative_to(killed).as_posix()
    names = [n.removeprefix(f"{TRAINING}/") for n in targets(killed, KINDS[2], random.Random(0))]
    for number, name in enumerate(names * 3):
        found = resume_attack(killed, name, HARMS[number % len(HARMS)], random.Random(number))
        assert found.state in ("mended", "no change"), found
    for number, (name, harm) in enumerate(((state, flip), (metadata, swap))):
        chance = random.Random(number)
        outcome = forked(lambda n=name, h=harm, c=chance: vars(attack(killed, n, h, c, expected)))
        assert outcome["state"] == "mended", outcome


def test_hostile_replies_poison_nothing_and_end_nothing(tmp_path: Path) -> None:
    quick = [name for name in cases() if not any(slow in name for slow in SLOW_CASES)]
    found = attack_judge(tmp_path, quick[::2], patience=60)
    assert found["ended"] == ""
    assert found["poison"] == []
    assert found["good_verdicts_wrong"] == []
    assert found["hostile"] > 50
