"""Planted secrets: in no file, no output and no error of a whole run, whatever it ends with."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call, small
from tests.judges.faulty_server import FaultyServer, completion, letter_reply

SECRET = "Pl4nted-9f3c"


def reply(body: dict[str, object]) -> object:
    if body.get("logprobs"):
        return letter_reply(body)
    return completion("[[A]] [[7]]")


def plain(value: object) -> str:
    return zlib.decompress(value).decode() if isinstance(value, bytes) else str(value)


def everything(folder: Path) -> str:
    """All that was written below a folder, databases unpacked."""
    text = ""
    for file in folder.rglob("*"):
        text += f"{file.name}\n"
        if file.suffix == ".sqlite":
            with sqlite3.connect(file) as db:
                tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (table,) in tables.fetchall():
                    for row in db.execute(f"SELECT * FROM {table}"):
                        text += "".join(map(plain, row))
        if file.is_file():
            text += file.read_bytes().decode("latin-1")
    return text


@pytest.mark.parametrize("place", ["query", "account"])
def test_a_judges_address_leaves_no_secret(
    call: Call,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with FaultyServer(reply) as server:
        url = f"{server.url}?api-key={SECRET}"
        if place == "account":
            url = server.url.replace("http://", f"http://me:{SECRET}@")
        args = small(tiny_model_dir, tmp_path / "run", "-b", "mt_bench", "--judge", "judge-1")
        done = call("run", "--iters", 1, *args, "--judge-url", url, "--max-calls", 900)
        assert done.code == 0, done.err
        again = call("run", "--iters", 1, *args, "--judge-url", url, "--max-calls", 900)
        assert (again.code, "0 stages run" in again.out) == (0, True)
    report = call("report", tmp_path / "run", "-o", tmp_path / "report.html")
    gone = small(tiny_model_dir, tmp_path / "other", "-b", "mt_bench", "--judge", "judge-1")
    failed = call("run", "--iters", 1, *gone, "--judge-url", url, "--max-calls", 900)
    assert failed.code == 2
    for shown in (done, again, report, failed):
        assert SECRET not in shown.out + shown.err
    assert SECRET not in everything(tmp_path)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["judge"]["base_url"]


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:9/db",
        f"postgresql://127.0.0.1:9/db?user=me&password={SECRET}",
        f"postgresql://me:p@{SECRET}@127.0.0.1:9/db",
        f"postgresql://me:p/{SECRET}@127.0.0.1:9/db",
        f"mysql://me:{SECRET}@127.0.0.1:9/db",
        f"nonsense://me:{SECRET}@127.0.0.1:9/db?password={SECRET}",
    ],
)
def test_a_databases_address_leaves_no_secret(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    args = ["-b", "gsm8k", "--limit", 2, "--engine", "fake", "--out", run]
    assert call("eval", tiny_model_dir, *args).code == 0
    for command in (("add", run), ("show",), ("plot",)):
        done = call("history", *command, "--db", url)
        assert "Traceback" not in done.err
        assert SECRET not in done.out + done.err
    assert SECRET not in everything(tmp_path)
