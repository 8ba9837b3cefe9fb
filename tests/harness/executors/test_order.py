"""An order makes the same plan in another process; every failure of a stage is an outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.executors.order import Order, OrderedStages, Told
from harness.run_folder import RunFolder

SMALL = ("iterations=1", "methods=[pbaa]", "engine.kind=fake", "evaluate_base=false")


def order_of(model: Path, root: Path) -> Order:
    """A run of one arm in ``root``."""
    config = load_config("quickstart", [*SMALL, f"model={model}"])
    return Order.of(config.model_copy(update={"benchmarks": {}}), RunFolder(root))


def test_stages_of_an_order_run_by_name(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    stages = OrderedStages(order_of(tiny_model_dir, tmp_path / "run"), Told(said.append))
    assert stages.attempt("queries", None, str).state == "done"
    assert stages.attempt("queries", None, str).state == "skipped"
    assert stages.attempt("pbaa/iter-1/policy", None, str).state == "waits"
    unknown = stages.attempt("sso/iter-1/policy", None, str)
    assert (unknown.state, unknown.error) == ("failed", "not in the plan that this process made")
    assert said == ["[1/4] queries: started"]
    (tmp_path / "run" / "queries" / "stage.json").unlink()

    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(stages._runner, "attempt", broken)
    failed = stages.attempt("queries", None, lambda: "the log")
    assert failed.error == "KeyError: 'x' (more in the log)"
    stages.close()


def test_a_process_without_the_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="absent"):
        OrderedStages(order_of(tmp_path / "absent", tmp_path / "run"), Told(print))
