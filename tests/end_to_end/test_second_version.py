"""The second version as it is, on a tiny model: query sets, writer, principles taken over, step settings."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.conftest import Call, small

FORM = (
    "--iters", "1", "--benchmarks", "gsm8k",
    "--set", "principles.source=generated", "--set", "principles.select=none",
    "--set", "queries.generator=3", "--set", "training.generator.batch_size=1",
    "--set", "training.policy.batch_size=6",
)  # fmt: skip


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def record(run: Path, stage: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((run / stage / "stage.json").read_text())
    return found


def test_query_sets_writer_and_steps(call: Call, tiny_model_dir: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    writer = ("--set", f"writer.model={tiny_model_dir}", "--set", "writer.kind=fake")
    done = call("run", *small(tiny_model_dir, first, *FORM, *writer), "--methods", "sso,pbaa")
    assert done.code == 0, done.err
    every = {str(row["query_id"]) for row in lines(first / "principles-1/principles.jsonl")}
    assert len(every) == 6
    assert len(lines(first / "sso/iter-1/sample/contrasts.jsonl")) == 3
    assert len(lines(first / "sso/iter-1/pairs/contrasts.jsonl")) == 6
    assert len(lines(first / "pbaa/iter-1/sample/contrasts.jsonl")) == 6
    assert record(first, "sso/iter-1/generator")["settings"]["training"]["batch_size"] == 1
    assert record(first, "sso/iter-1/policy")["settings"]["training"]["batch_size"] == 6
    assert record(first, "sso/iter-1/generator")["counts"]["groups"] == 3
    assert record(first, "sso/iter-1/policy")["counts"]["groups"] == 6

    taken = ("--principles-from", str(first), "--methods", "sso-minus")
    done = call("run", *small(tiny_model_dir, second, *FORM), *taken)
    assert done.code == 0, done.err
    theirs = lines(first / "principles-1/principles.jsonl")
    assert lines(second / "principles-1/principles.jsonl") == theirs

    other = (*taken, "--set", "queries.per_iteration=9")
    refused = call("run", *small(tiny_model_dir, tmp_path / "third", *FORM), *other)
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert "has no principles for 3 queries of this run" in refused.err
