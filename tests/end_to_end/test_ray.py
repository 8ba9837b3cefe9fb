"""Runs on a Ray cluster of two nodes on one machine, one of which is killed in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_workers import records


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_gives_what_the_sequence_gives(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sso-bench[ray]'")
    from benchmarking.scale_ray import answers, cluster_of_two, kill_when_begun, run, table

    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    plan = ("methods=[pbaa]", "iterations=2", "launch.own_process=false")
    run(tiny_model_dir, tmp_path / "local", *plan)
    cluster, second = cluster_of_two()
    found: dict[str, Any] = {}
    try:
        kill_when_begun(cluster, second, tmp_path / "ray", found)
        run(tiny_model_dir, tmp_path / "ray", *plan, "executor.kind=ray")
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert records(tmp_path / "ray") == records(tmp_path / "local")
    assert table(tmp_path / "ray") == table(tmp_path / "local")
    after = answers(tmp_path / "ray")
    assert found["before"]
    assert found["killed"]
    assert all(after[name] >= lines for name, lines in found["before"].items())
