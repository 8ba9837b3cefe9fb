"""Stages: folders of checkpoints, identities of judges, readers of outputs."""

from __future__ import annotations

from harness.stage import CheckpointKey, Source, Stage, StageResult, readers
from tests.harness.plan_examples import plan_inputs


def test_a_checkpoint_s_folder_and_score_fields() -> None:
    assert CheckpointKey("base", 0, 7, "seed-7/").folder == "base"
    key = CheckpointKey("sso", 2, 7, "seed-7/")
    assert key.folder == "seed-7/sso/iter-2"
    fields = {"arm": "sso", "iteration": 2, "seed": 7, "model": "m"}
    assert key.score_fields("m") == fields


def test_the_base_is_the_resolved_model() -> None:
    base = plan_inputs().base
    assert (str(base.path), base.fingerprint, base.stage) == ("m", "f" * 64, "")


def test_readers_of_one_output_are_found_through_whole_folders_too() -> None:
    def reading(name: str, output: str) -> Stage:
        source = Source(stage="train", output=output)
        return Stage(name, "eval", {"x": source}, {}, lambda run: StageResult())

    plan = [reading("a", "model"), reading("b", "pairs.jsonl"), reading("c", "")]
    assert [stage.id for stage in readers(plan, "train", "model")] == ["a", "c"]
    assert readers(plan, "other", "model") == []
