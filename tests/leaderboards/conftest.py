"""Fixtures of the history: a fresh database, in SQLite and on a real PostgreSQL server."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from leaderboards.history import DEFAULT_URL


def binaries():
    """The folder of PostgreSQL's server programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def as_server_user(command):
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture(scope="session")
def postgres():
    """URL of a fresh database on a server started for the test."""
    if (folder := binaries()) is None:
        pytest.skip("the PostgreSQL server is not installed")
    pytest.importorskip("psycopg", reason="the postgres extra is not installed")
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    place.chmod(0o777)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(place / "data")
    setup = [str(folder / "initdb"), "-D", data, "-U", "bench", "-A", "trust", "--no-sync"]
    subprocess.run(as_server_user(setup), check=True, capture_output=True, cwd=place)
    options = f"-h 127.0.0.1 -p {port} -k {place} -c fsync=off"
    control = [str(folder / "pg_ctl"), "-D", data, "-o", options, "-w", "-l", str(place / "log")]
    subprocess.run(as_server_user([*control, "start"]), check=True, capture_output=True, cwd=place)
    yield f"postgresql://bench:secret@127.0.0.1:{port}/postgres"
    stop = [str(folder / "pg_ctl"), "-D", data, "-m", "immediate", "stop"]
    subprocess.run(as_server_user(stop), check=False, capture_output=True, cwd=place)
    shutil.rmtree(place, ignore_errors=True)


def empty(url):
    """Drop the history's tables, so that a test starts with none."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("drop table if exists sso_bench_scores, sso_bench_runs"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if request.param == "sqlite":
        return DEFAULT_URL
    url = request.getfixturevalue("postgres")
    empty(url)
    return url
