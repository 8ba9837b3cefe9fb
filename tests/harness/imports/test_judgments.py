"""Published annotations, judgments and leaderboards of alpaca_eval and FastChat."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.data.sources import DataSource
from harness.imports.judgments import read_alpaca_eval, read_fastchat

HEAD = ",win_rate,standard_error,n_total,avg_length,length_controlled_winrate,lc_standard_error\n"


def test_a_leaderboard_is_a_result_per_row(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text(HEAD + "a,50.5,1.5,805,1200,40.0,0.5\na,51.0,1.5,805,1300,,\n")
    first, second = read_alpaca_eval(path, DataSource("dir", tmp_path))
    assert (first.model, second.model) == ("a", "a (2)")
    figures = {score.metric: (score.value, score.stderr, score.n) for score in first.scores}
    assert figures == {
        "lc_win_rate": (40.0, 0.5, 805),
        "win_rate": (50.5, 1.5, 805),
        "length": (1200.0, None, 805),
    }
    assert [score.metric for score in second.scores] == ["win_rate", "length"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("model,score\na,1\n", "is not a leaderboard of alpaca_eval"),
        (HEAD + "a,x,1,1,1,1,1\n", r"board.csv:2: win_rate is no number: 'x'"),
        (HEAD + "a,nan,1,1,1,1,1\n", "win_rate is no number"),
        (HEAD + ",5,1,1,1,1,1\n", "the row names no model"),
    ],
)
def test_a_damaged_leaderboard_is_one_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "board.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        read_alpaca_eval(path, DataSource("dir", tmp_path))


def test_published_judgments_give_the_published_scores(data_dir: Path) -> None:
    results = read_fastchat(data_dir / "mt_bench", DataSource("dir", data_dir))
    found = {r.model: next(s for s in r.scores if s.headline).value for r in results}
    assert found["claude-3-opus-20240229"] == pytest.approx(8.68, abs=0.005)
    assert all(result.items for result in results)


def test_folders_without_judgments_are_one_line(tmp_path: Path) -> None:
    data = DataSource("dir", tmp_path)
    with pytest.raises(UserError, match=r"holds no annotations.json"):
        read_alpaca_eval(tmp_path, data)
    with pytest.raises(UserError, match="holds no judgments of FastChat"):
        read_fastchat(tmp_path, data)
