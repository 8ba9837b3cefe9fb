"""Shards of an evaluation give what one piece gives, and a set that is not whole is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from groundwork.errors import UserError
from groundwork.files import read_json, write_json
from harness.config import RunConfig, load_config
from harness.experiment import run_experiment
from harness.progress import Reporter, terminal
from harness.shards import Shard, answer_shard, parse_shard, whole_set

QUIET = Reporter(terminal(), True)


@pytest.fixture
def config(tiny_model_dir: Path) -> RunConfig:
    overrides = [f"model={tiny_model_dir}", "engine.kind=fake", "iterations=0", "methods=[]"]
    names = "{gsm8k: {protocol: quick, limit: 7}, mt_bench: {protocol: quick, limit: 5}}"
    loaded = load_config("quickstart", overrides)
    chosen = load_config("quickstart", [*overrides, f"benchmarks={names}"]).benchmarks
    kept = {name: chosen[name] for name in ("gsm8k", "mt_bench")}
    return loaded.model_copy(update={"benchmarks": kept})


def answered(config: RunConfig, folder: Path, of: int) -> list[Path]:
    paths = [folder / f"shard-{n}" for n in range(1, of + 1)]
    for number, path in enumerate(paths, 1):
        answer_shard(config, path, Shard(number, of), QUIET)
    return paths


def figures(run: Path, name: str) -> object:
    stage = run / "base" / "eval" / name
    scores = json.loads((stage / "scores.json").read_text())
    items = [json.loads(line) for line in (stage / "items.jsonl").read_text().splitlines()]
    return scores, items


def test_the_same_scores_and_items_as_in_one_piece(config: RunConfig, tmp_path: Path) -> None:
    run_experiment(config, tmp_path / "whole", QUIET)
    shards = answered(config, tmp_path, 3)
    lines = [len((s / "gsm8k" / "generations.jsonl").read_text().splitlines()) for s in shards]
    assert lines == [3, 2, 2]
    assert not list(tmp_path.glob("shard-*/*/outputs.jsonl"))
    run_experiment(config, tmp_path / "merged", QUIET, shards=shards[::-1])
    for name in config.benchmarks:
        assert figures(tmp_path / "merged", name) == figures(tmp_path / "whole", name)
        record = read_json(tmp_path / "merged" / "base" / "eval" / name / "stage.json")
        assert record["tokens"] == 0, "every answer came from a shard"


def test_a_set_that_is_not_whole_is_refused(config: RunConfig, tmp_path: Path) -> None:
    one, two, three = answered(config, tmp_path, 3)
    with pytest.raises(UserError, match="of 3 shards, 2 is missing"):
        whole_set([one, three], config)
    with pytest.raises(UserError, match="shard 2 of 3 is there twice"):
        whole_set([one, two, Path(shutil.copytree(two, tmp_path / "again")), three], config)
    record = read_json(two / "shard.json")
    write_json(two / "shard.json", {**record, "versions": {**record["versions"], "torch": "0.1"}})
    with pytest.raises(UserError, match=r"another versions than .*: torch .* and 0\.1"):
        whole_set([one, two, three], config)
    write_json(two / "shard.json", {**record, "done": False})
    with pytest.raises(UserError, match="is not finished"):
        whole_set([one, two, three], config)
    with pytest.raises(UserError, match="is no shard"):
        whole_set([tmp_path], config)


def test_shards_of_other_settings_are_not_scored(config: RunConfig, tmp_path: Path) -> None:
    shards = answered(config, tmp_path, 2)
    other = config.model_copy(
        update={"benchmarks": {"gsm8k": config.benchmarks["gsm8k"].model_copy(update={"limit": 6})}}
    )
    with pytest.raises(UserError, match="other settings or data of gsm8k"):
        run_experiment(other, tmp_path / "merged", QUIET, shards=shards)
    with pytest.raises(UserError, match="holds another shard"):
        answer_shard(config, shards[0], Shard(2, 2), QUIET)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_shard_is_a_number_of_a_number(text: str) -> None:
    assert parse_shard("3/8") == Shard(3, 8)
    with pytest.raises(UserError, match="as 3/8"):
        parse_shard(text)
