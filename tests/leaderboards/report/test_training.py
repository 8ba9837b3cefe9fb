"""The filter funnel and the drawn features."""

from leaderboards.report.training import training_tables
from leaderboards.runs import read_run
from tests.leaderboards.example_runs import start_run, write_stage


def test_funnel_and_features(tmp_path):
    run = start_run(tmp_path)
    base = run / "sso" / "iter-1"
    sampled = {"queries": 10, "pairs": 7, "dropped_empty": 2, "dropped_identical": 1,
               "dropped_truncated": 0, "feature_depth": 6, "feature_safety": 14}  # fmt: skip
    stages = [
        ("sample", "sample", sampled, "1"),
        ("generator", "train", {"pairs": 14}, "2"),
        ("pairs", "sample", {"queries": 7, "pairs": 6, "dropped_empty": 1}, "3"),
        ("policy", "train", {"pairs": 6}, "4"),
    ]
    for name, kind, counts, minute in stages:
        (base / name).mkdir(parents=True)
        write_stage(
            run, base / name, kind=kind, counts=counts, started=f"2026-01-01T00:0{minute}:00"
        )
    funnel, features = training_tables([read_run(run)])
    assert funnel.heads == [
        "Stage", "Sampled", "Left out: empty answer", "Left out: both answers equal", "Pairs kept",
        "Pairs trained on",
    ]  # fmt: skip
    assert funnel.rows == [
        ["SSO 1/sample", 10, 2, 1, 7, None],
        ["SSO 1/pairs", 7, 1, 0, 6, 6],
    ]
    assert features.heads == ["Stage", "depth", "safety"]
    assert features.rows == [["SSO 1/sample", 6, 14]]


def test_nothing_trained(tmp_path):
    assert training_tables([read_run(start_run(tmp_path))]) == []
