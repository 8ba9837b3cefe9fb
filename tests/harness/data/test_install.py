"""Downloads: whole, resumed, refused, changed on the way; converted; the hub source."""

from __future__ import annotations

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.data import open_source
from harness.data.fetch import UnreachableError
from harness.data.hub import hub_source
from harness.data.install import Got, get
from harness.data.manifest import DataFile, manifest, manifest_revision, read_lock, select
from harness.data.verify import verify
from harness.errors import DataError
from tests.harness.data.data_server import Server, server, serving

__all__ = ["server"]  # a fixture

ROWS = b"".join(b'{"question": "q%d", "answer": "#### %d"}\n' % (n, n) for n in range(40))
GITHUB = "/openai/grade-school-math/v1/test.jsonl"
HUB = "/datasets/some/set/resolve/main/data/test.parquet"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(sha256: str | None = sha(ROWS), **changes: Any) -> DataFile:
    given = {
        "path": "gsm8k/test.jsonl",
        "host": "github",
        "repo": "openai/grade-school-math",
        "revision": "v1",
        "sources": [{"path": "test.jsonl", "sha256": sha256}],
        "rows": 40,
        "fields": ["question", "answer"],
        "licence": "MIT",
        "megabytes": 0.1,
    }
    return DataFile.model_validate({**given, **changes})


def parquet_entry(**changes: Any) -> DataFile:
    given = {
        "path": "mmlu/dev.jsonl",
        "host": "hub",
        "repo": "some/set",
        "revision": "main",
        "sources": [{"path": "data/test.parquet"}],
        "convert": "rows",
        "rows": 2,
        "fields": ["question", "choices"],
    }
    return entry(**{**given, **changes})


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if ".partial" in p.parts)


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


def test_parquet_becomes_rows_and_the_lock_holds_them_afterwards(
    server: Server, tmp_path: Path
) -> None:
    rows = [{"question": "é?", "choices": ["a", "b"], "answer": n} for n in range(2)]
    server.files[HUB] = parquet(rows)
    file = parquet_entry()
    get(file, tmp_path)
    assert open_source(tmp_path).rows("mmlu/dev.jsonl") == rows
    (check,) = verify(tmp_path, [file])
    assert (check.status, check.checksum) == ("ok", "lock")
    path = tmp_path / "mmlu/dev.jsonl"
    path.write_text(path.read_text().replace("é", "e"))
    (check,) = verify(tmp_path, [file])
    assert check.status == "bad"
    assert "wrong checksum" in check.problem
    with pytest.raises(DataError, match="--force"):
        get(file, tmp_path)
    assert get(file, tmp_path, force=True).status == "fetched"
    assert open_source(tmp_path).rows("mmlu/dev.jsonl") == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "a", "choices": ["b"]}], "gives 1 rows .* not 2"),
        ([{"question": "a", "choices": None}] * 2, "row 1 .* no field 'choices'"),
        (None, "not a parquet file"),
    ],
)
def test_unexpected_rows_are_refused_and_fetched_anew(
    server: Server, tmp_path: Path, rows: list[dict[str, Any]] | None, message: str
) -> None:
    server.files[HUB] = parquet(rows) if rows else b"<html>sign in</html>"
    with pytest.raises(DataError, match=message):
        get(parquet_entry(), tmp_path)
    assert not (tmp_path / "mmlu/dev.jsonl").exists()
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    assert get(parquet_entry(), tmp_path).status == "fetched"


def test_of_several_parts_those_that_are_whole_are_not_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    root = "/datasets/some/set/resolve/main/"
    problem = {"problem": "1+1?", "level": "Level 1", "type": "Algebra"}
    one = parquet([{**problem, "solution": r"So \boxed{2}, hence \boxed{\frac{4}{2}}."}])
    other = parquet([{**problem, "solution": r"So \boxed{3}."}])
    server.files[f"{root}algebra/t.parquet"] = one
    file = parquet_entry(
        path="math/math_test_5000.jsonl",
        sources=[{"path": "algebra/t.parquet"}, {"path": "geometry/t.parquet"}],
        convert="math",
        fields=["problem", "answer", "unique_id"],
    )
    with pytest.raises(DataError, match="404"):
        get(file, tmp_path)
    server.files[f"{root}geometry/t.parquet"] = other
    get(file, tmp_path)
    paths = [path.removeprefix(root) for path, _, _ in server.asked]
    assert paths == ["algebra/t.parquet", "geometry/t.parquet"]
    rows = open_source(tmp_path).rows("math/math_test_5000.jsonl")
    assert [row["unique_id"] for row in rows] == ["test/algebra/row-0", "test/geometry/row-0"]
    assert rows[0]["answer"] == r"\frac{4}{2}"


def test_preference_conversations_become_their_last_answers(server: Server, tmp_path: Path) -> None:
    def talk(answer: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "p"}, {"role": "assistant", "content": answer}]

    row = {"prompt": "p", "chosen": talk("good"), "rejected": talk("bad"), "score_chosen": 8.5}
    server.files[HUB] = parquet([row])
    file = parquet_entry(
        path="preference/u.jsonl",
        convert="preferences",
        rows=1,
        fields=["prompt", "chosen", "rejected"],
    )
    get(file, tmp_path)
    (found,) = open_source(tmp_path).rows("preference/u.jsonl")
    assert found == {"prompt": "p", "chosen": "good", "rejected": "bad", "score_chosen": 8.5}


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


def test_the_hub_source_fetches_what_it_lacks_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("harness.data.hub.manifest", lambda: (entry(),))
    server.files[GITHUB] = ROWS
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path))
    data = open_source("hub")
    assert data.label == f"hub@{manifest_revision()}"
    assert data.find("gsm8k/absent.jsonl") is None
    assert server.asked == []
    assert len(data.rows("gsm8k/train.jsonl", "gsm8k/test.jsonl")) == 40
    assert len(data.rows("gsm8k/test.jsonl")) == 40
    assert len(server.asked) == 1
    assert "fetching gsm8k/test.jsonl" in capsys.readouterr().err


def test_the_hub_source_is_honest_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as gone:
        address = gone.url
    monkeypatch.setenv("SSO_BENCH_GITHUB", address)
    monkeypatch.setattr("harness.data.fetch.PAUSE_S", 0.0)
    with pytest.raises(DataError, match=r"can't be fetched: .*refused.*--data sample"):
        hub_source(tmp_path).path("gsm8k/test.jsonl")


def test_offline_mode_of_the_hub_is_respected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read when imported
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE"):
        get(parquet_entry(), tmp_path)
    assert server.asked == []


def test_the_manifest_is_pinned_and_names_are_checked() -> None:
    files = manifest()
    assert len({file.path for file in files}) == len(files)
    for file in files:
        pinned = len(file.revision) == 40 or all(source.sha256 for source in file.sources)
        assert pinned, file.path
        assert file.convert or len(file.sources) == 1
    assert [f.path for f in select(["gsm8k"])] == ["gsm8k/test.jsonl", "gsm8k/train.jsonl"]
    assert [f.path for f in select(["mmlu/dev.jsonl"])] == ["mmlu/dev.jsonl"]
    assert select([]) == list(files)
    with pytest.raises(DataError, match="did you mean 'mmlu_pro'"):
        select(["mmlupro"])


def test_a_damaged_lock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.lock.json").write_text(json.dumps({"files": {"a": 1}}))
    with pytest.raises(DataError, match=r"data.lock.json is damaged"):
        read_lock(tmp_path)
