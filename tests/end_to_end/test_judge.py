"""The commands of ``sso-bench judge``: agreement, calibration, saved judgments."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harness.data.sources import read_rows
from tests.end_to_end.conftest import Call, small
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_servers import KINDS


def test_agreement_of_a_remote_judge_needs_no_local_model(call: Call, tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "instruction": "q", "output_1": "a", "output_2": "b", "labels": [1 + i % 2]}
        for i in range(8)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with FaultyServer(KINDS["old"]) as server:
        asked = ["--judge", "judge-1", "--judge-url", server.url, "--set", "model=/nonexistent"]
        done = call("judge", "agreement", path, *asked)
    assert done.code == 0, done.err
    labels = [line.partition("  ")[0] for line in done.out.splitlines()]
    assert {"macro precision, recall, F1", "Cohen's kappa"} <= set(labels)


# Scores of saved judgments


def test_published_annotations_give_the_published_figures(call: Call, data_dir: Path) -> None:
    file = data_dir / "alpaca_eval/alpaca-7b/annotations.json.gz"
    done = call("judge", "score", file, "--data", data_dir)
    assert done.code == 0, done.err
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines["win_rate"].split()[1] == "2.59"
    assert lines["lc_win_rate"].split()[1] in ("5.87", "5.88")
    assert "n 805 of 805" in lines["win_rate"]
    by_place = call("judge", "score", file, "--data", data_dir, "--by-position")
    assert by_place.out.splitlines()[-1].endswith("/by-position")


def test_published_judgments_give_the_published_score(call: Call, data_dir: Path) -> None:
    file = data_dir / "mt_bench/model_judgment/gpt-4_single__llama2_chat_7b.jsonl"
    done = call("judge", "score", file, "--data", data_dir)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].split()[:2] == ["average", "6.19"]


def test_a_failed_judgment_is_replaced_and_two_usable_ones_are_refused(
    call: Call, data_dir: Path, tmp_path: Path
) -> None:
    file = data_dir / "mt_bench/model_judgment/gpt-4_single__llama2_chat_7b.jsonl"
    rows = read_rows(file)
    failed = {**rows[0], "judgment": "$ERROR$", "score": -1}
    path = tmp_path / "judgments.jsonl"

    def scored(rows: list[dict[str, object]], *more: str) -> str:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = call("judge", "score", path, "--data", data_dir, *more)
        return done.out.splitlines()[0] if done.code == 0 else done.err

    assert scored([failed, *rows]) == scored([*rows, failed]) == scored(rows)
    again = {**rows[0], "judgment": "Rating: [[1]]", "score": 1}
    assert "turn 1 is judged twice (--duplicates last or all)" in scored([*rows, again])
    last, every = (
        scored([*rows, again], "--duplicates", "last"),
        scored([*rows, again], "--duplicates", "all"),
    )
    values = [float(row["score"]) for row in rows]
    assert last.split()[1] == f"{(sum(values) - values[0] + 1) / 160:.2f}"
    assert every.split()[1] == f"{(sum(values) + 1) / 161:.2f}", "FastChat's mean over all rows"
    assert "no rule 'lst'" in scored(rows, "--duplicates", "lst")


def test_other_files_and_other_baselines_are_refused(
    call: Call, data_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}]')
    done = call("judge", "score", path, "--data", data_dir)
    assert (done.code, "neither AlpacaEval annotations" in done.err) == (2, True)
    text = gzip.decompress((data_dir / "alpaca_eval/alpaca-7b/annotations.json.gz").read_bytes())
    rows = [{**row, "output_1": "x", "generator_1": "davinci"} for row in json.loads(text)[:3]]
    path.write_text(json.dumps(rows))
    done = call("judge", "score", path, "--data", data_dir)
    assert (done.code, "entry 1 is against davinci, not against" in done.err) == (2, True)


# Calibration


def test_calibration_is_printed_kept_and_stands_under_later_tables(
    call: Call, data_dir: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with FaultyServer(KINDS["no-logprobs"]) as server:
        asked = ["--judge", "judge-1", "--judge-url", server.url]
        given = ["--data", data_dir, "--models", "alpaca-7b,llama2_chat_7b", "--limit", "24"]
        done = call("judge", "calibrate", *asked, *given, "--passes", "2")
        assert done.code == 0, done.err
        for label in (
            "shift of win rate",
            "shift of MT score",
            "prefers the longer",
            "second pass",
        ):
            assert label in done.out
        few = small(tiny_model_dir, tmp_path / "run", "-b", "mt_bench", *asked)
        assert call("eval", few[1], *few[2:]).code == 0
    table = call("table", tmp_path / "run")
    assert "beside gpt-4 on 48 answers: MT score" in table.out, table.out


def test_the_local_judge_can_not_be_calibrated(
    call: Call, data_dir: Path, tiny_model_dir: Path
) -> None:
    given = ["--judge", "local", "--set", f"model={tiny_model_dir}", "--limit", "2"]
    done = call("judge", "calibrate", *given, "--data", data_dir)
    assert (done.code, "needs a judge behind a server" in done.err) == (2, True)


@pytest.mark.parametrize("name", ["nothing"])
def test_a_folder_without_published_verdicts_is_named(
    call: Call, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    done = call("judge", "calibrate", "--judge", "j", "--data", tmp_path / name)
    assert (done.code, "has no published verdicts" in done.err) == (2, True)
