"""Runs on a Ray cluster of two nodes on one machine: one is killed in the middle, the head is lost, SIGTERM."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.run_folder import RunFolder
from tests.end_to_end.test_interrupted import start, wait_for
from tests.end_to_end.test_workers import arguments, records


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


@pytest.mark.slow
def test_sigterm_and_a_lost_head_are_clean_stops(tiny_model_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'sso-bench[ray]'")
    from benchmarking.scale_ray import start_two

    out, cache = tmp_path / "run", tmp_path / "cache"
    line = arguments(tiny_model_dir, out)
    cluster, _ = start_two()
    address = cluster.address
    on_ray = [*line, "--executor", "ray", "--set", f"executor.address={address}"]
    try:
        process = start(on_ray, cache)
        wait_for(out / "pbaa" / "iter-1" / "policy" / "stage.json", process)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=240)[1]
        assert process.returncode == 130, said
        assert "Resume with:\n  sso-bench run" in said
        assert "Traceback" not in said
        assert not RunFolder(out).claims.living()

        shutil.rmtree(out / "pbaa")
        process = start(on_ray, cache)
        wait_for(out / "pbaa" / "iter-1" / "policy" / "stage.json", process)
        cluster.head_node.kill_gcs_server()
        said = process.communicate(timeout=240)[1]
        assert process.returncode == 2, said
        assert f"the Ray cluster's head node ({address}) is lost" in said
        assert "Traceback" not in said
        done = {f: f.read_bytes() for f, record in stage_files(out) if record["status"] == "done"}
    finally:
        cluster.shutdown()
    cluster, _ = start_two(int(address.rpartition(":")[2]))
    try:
        process = start(on_ray, cache)  # the same line on the cluster started again
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said
    finally:
        cluster.shutdown()
    assert {record["status"] for _, record in stage_files(out)} == {"done"}
    assert done
    assert {f: f.read_bytes() for f in done} == done  # none done twice


def stage_files(out: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every stage's file with what it says."""
    return [(f, json.loads(f.read_text())) for f in out.glob("[!.]*/**/stage.json")]
