"""Joining a run: what must be the same on every machine, and what a worker does with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import harness.work
from groundwork.errors import UserError
from harness.cli.options import select_benchmarks
from harness.config import RunConfig, load_config
from harness.experiment import describe_run
from harness.prepare import Prepared, prepare
from harness.progress import Reporter
from harness.run_folder import RunFolder
from harness.stage_runner import package_versions
from harness.work import check_same_plan, check_versions, work

QUIET = Reporter(Console(quiet=True), quiet=True)
SMALL = ("iterations=0", "methods=[]", "engine.kind=fake")


@pytest.fixture
def prepared(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    return prepare(config_of(tiny_model_dir), tmp_path / "run", print)


def config_of(model: Path, benchmarks: str = "gsm8k") -> RunConfig:
    return select_benchmarks(load_config("quickstart", [*SMALL, f"model={model}"]), benchmarks, 2)


def described(prepared: Prepared, root: Path, **changes: Any) -> dict[str, Any]:
    """The description of a run that a worker may join."""
    run = RunFolder(root)
    run.root.mkdir(exist_ok=True)
    describe_run(run, prepared)
    found = {**(run.description() or {}), **changes}
    run.describe(found)
    return found


def test_a_worker_finishes_a_run_and_writes_its_tables(prepared: Prepared, tmp_path: Path) -> None:
    described(prepared, tmp_path / "run")
    assert work(tmp_path / "run", QUIET).done == ["base/eval/gsm8k"]
    assert (tmp_path / "run" / "tables" / "iterations.md").is_file()
    assert not (tmp_path / "run" / ".claims").exists()
    again = work(tmp_path / "run", QUIET)
    assert str(again).startswith("0 stages run in 0 s, 1 were done before")


def test_no_run_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.work, "APPEARS_S", 0.1)
    with pytest.raises(UserError, match=r"is no run folder .*that this machine shares"):
        work(tmp_path / "absent", QUIET)
    with pytest.raises(UserError, match=r"is no run folder"):
        work(tmp_path, QUIET)


def test_other_package_versions_are_named() -> None:
    check_versions({"versions": package_versions()})
    other = {**package_versions(), "torch": "1.0", "vllm": "9"}
    with pytest.raises(
        UserError, match=r"torch .* \(the run: 1.0\), vllm is missing \(the run: 9\)"
    ):
        check_versions({"versions": other})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_fingerprint": "x"}, "has another model under"),
        (
            {"engine": {"kind": "vllm", "dtype": "bf16"}},
            "engine auto is fake, fp32 on .* and vllm, bf16",
        ),
        (
            {"plan": {"base/eval/gsm8k": "x"}},
            "other data or settings than the run for base/eval/gsm",
        ),
        ({"store": "x"}, "verdict store that .* does not share"),
    ],
)
def test_a_machine_that_would_find_other_figures_is_refused(
    prepared: Prepared, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    check_same_plan(described(prepared, tmp_path / "run"), prepared)
    with pytest.raises(UserError, match=words):
        check_same_plan(described(prepared, tmp_path / "run", **changes), prepared)


def test_a_machine_without_the_model_gets_one_line(prepared: Prepared, tmp_path: Path) -> None:
    config = {**prepared.config.model_dump(mode="json"), "model": str(tmp_path / "absent")}
    described(prepared, tmp_path / "run", config=config)
    with pytest.raises(UserError) as error:
        work(tmp_path / "run", QUIET)
    assert len(str(error.value).splitlines()) == 1
    assert "absent" in str(error.value)


def test_a_reward_run_is_not_joined(prepared: Prepared, tmp_path: Path) -> None:
    config = prepared.config.model_dump(mode="json")
    config["reward"]["data"] = ["ultrafeedback"]
    described(prepared, tmp_path / "run", config=config)
    with pytest.raises(UserError, match="trains a reward model"):
        work(tmp_path / "run", QUIET)


def test_a_run_with_new_settings_is_joined_again(
    prepared: Prepared, tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(prepared, tmp_path / "run")
    joined: list[str] = []
    check = harness.work.check_same_plan

    def changing(description: Any, mine: Prepared) -> None:
        joined.append(mine.plan[0].id)
        check(description, mine)
        if len(joined) == 1:
            more = config_of(tiny_model_dir, "gsm8k,mmlu_pro")
            described(prepare(more, tmp_path / "run", print), tmp_path / "run")

    monkeypatch.setattr(harness.work, "check_same_plan", changing)
    summary = work(tmp_path / "run", QUIET)
    assert len(joined) == 2
    assert summary.done == ["base/eval/gsm8k", "base/eval/mmlu_pro"]
