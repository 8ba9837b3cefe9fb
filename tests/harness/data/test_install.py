"""Downloads: whole, resumed, refused, changed on the way; converted; the hub source."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.data.fetch import UnreachableError
from harness.data.install import Got, get
from harness.data.manifest import read_lock
from harness.data.verify import verify
from harness.errors import DataError
from tests.harness.data.data_server import Server, server, serving
from tests.harness.data.manifest_entries import (
    GITHUB,
    HUB,
    ROWS,
    entry,
    left_over,
    parquet,
    parquet_entry,
    sha,
)

__all__ = ["server"]  # a fixture


def test_a_file_is_fetched_once_and_kept_byte_for_byte(server: Server, tmp_path: Path) -> None:
    server.files[GITHUB] = ROWS
    assert get(entry(), tmp_path) == Got("gsm8k/test.jsonl", "fetched")
    assert (tmp_path / "gsm8k/test.jsonl").read_bytes() == ROWS
    assert get(entry(), tmp_path) == Got("gsm8k/test.jsonl", "present")
    assert len(server.asked) == 1
    assert left_over(tmp_path) == []
    locked = read_lock(tmp_path)["gsm8k/test.jsonl"]
    assert (locked.sha256, locked.commit, locked.revision) == (sha(ROWS), "", "v1")


def test_a_cut_connection_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.files[GITHUB] = ROWS
    server.cut = [100, 50]
    get(entry(), tmp_path)
    assert (tmp_path / "gsm8k/test.jsonl").read_bytes() == ROWS
    assert len(server.asked) == 3


def test_an_unreachable_server_is_named_and_a_later_call_succeeds(
    server: Server, tmp_path: Path
) -> None:
    server.files[GITHUB] = ROWS
    server.cut = [10] * 5
    with pytest.raises(UnreachableError, match=r"can't get openai/grade-school-math@v1:test.jsonl"):
        get(entry(), tmp_path)
    assert not (tmp_path / "gsm8k/test.jsonl").exists()
    assert get(entry(), tmp_path).status == "fetched"
    assert (tmp_path / "gsm8k/test.jsonl").read_bytes() == ROWS


def test_a_download_from_the_hub_is_resumed_where_it_was_cut(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50)
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    server.cut = [100, 50]
    assert get(parquet_entry(), tmp_path).status == "fetched"
    spans = [span for _, span, _ in server.asked]
    assert spans[-2:] == ["bytes=100-", "bytes=150-"]
    assert left_over(tmp_path) == []


def test_a_broken_hub_is_named_and_leaves_no_half_file(server: Server, tmp_path: Path) -> None:
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    server.cut, server.broken_after = [100], 1
    with pytest.raises(UnreachableError, match="the server answers 500"):
        get(parquet_entry(), tmp_path)
    assert not (tmp_path / "mmlu/dev.jsonl").exists()
    server.broken_after = None
    assert get(parquet_entry(), tmp_path).status == "fetched"


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    server.files[GITHUB] = ROWS.replace(b"q7", b"Q7")
    with pytest.raises(DataError, match=r"wrong checksum: openai/grade-school-math@v1:test.jsonl"):
        get(entry(), tmp_path)
    assert not (tmp_path / "gsm8k/test.jsonl").exists()
    assert left_over(tmp_path) == []


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.files[GITHUB] = ROWS
    server.statuses = [503, 429]
    assert get(entry(), tmp_path).status == "fetched"
    server.statuses = [500] * 5
    with pytest.raises(UnreachableError, match="answers 500"):
        get(entry(path="gsm8k/again.jsonl"), tmp_path)


def test_what_is_not_there_is_said_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test.jsonl does not exist \(404\)"):
        get(entry(), tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("token", "message"), [(None, "set HF_TOKEN"), ("wrong", "your token has no access")]
)
def test_a_gated_set_says_how_to_get_it(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    message: str,
) -> None:
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    server.gated = {HUB}
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(DataError, match=f"is gated .*{message}") as error:
        get(parquet_entry(), tmp_path)
    assert f"{server.url}/datasets/some/set" in str(error.value)
    monkeypatch.setenv("HF_TOKEN", "right")
    assert get(parquet_entry(), tmp_path).status == "fetched"


def test_the_token_follows_no_redirect_to_another_host(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "right")
    with serving() as other:
        other.files["/blob"] = parquet([{"question": "a", "choices": ["b"]}] * 2)
        other.commit = ""
        server.redirects = {HUB: f"{server.url}/here", "/here": f"{other.url}/blob"}
        get(parquet_entry(), tmp_path)
    assert set(server.tokens) == {"Bearer right"}
    assert other.asked == [("/blob", None, None)]
    assert read_lock(tmp_path)["mmlu/dev.jsonl"].commit == "c0ffee"


@pytest.mark.parametrize("host", ["hub", "github"])
def test_two_downloads_of_one_file_do_not_mix(server: Server, tmp_path: Path, host: str) -> None:
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    server.files[GITHUB] = ROWS
    file = parquet_entry() if host == "hub" else entry()
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: get(file, tmp_path), range(4)))
    assert "fetched" in {one.status for one in got}
    (check,) = verify(tmp_path, [file])
    assert check.status == "ok"
    assert left_over(tmp_path) == []


def test_offline_mode_of_the_hub_is_respected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read when imported
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE"):
        get(parquet_entry(), tmp_path)
    assert server.asked == []
