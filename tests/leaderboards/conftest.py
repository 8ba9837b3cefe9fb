"""Fixtures of this room: a run of two arms; a fresh database in SQLite and on a PostgreSQL server."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from leaderboards.history import DEFAULT_URL
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


@pytest.fixture
def run(tmp_path):
    """base, sso 1-2 and pbaa 1 on GSM8K (sso 2 clearly better) and MT-Bench."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better = base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1  # 50 items gained, none lost: p = 2^-49
    slightly = base.copy()
    slightly[np.flatnonzero(base == 0)[0]] = 1
    add_eval(run, "gsm8k", base.tolist(), marks=("sample-data",))
    add_eval(run, "gsm8k", slightly.tolist(), arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "gsm8k", better.tolist(), arm="sso", iteration=2, marks=("sample-data",))
    add_eval(
        run,
        "gsm8k",
        base.tolist(),
        arm="pbaa",
        iteration=1,
        protocol="gsm8k@2",
        marks=("sample-data",),
    )
    for arm, iteration, value in (("base", 0, 5.0), ("sso", 1, 6.0), ("pbaa", 1, 5.5)):
        add_eval(
            run,
            "mt_bench",
            [value, value + 0.2],
            metric="average",
            unit="points",
            arm=arm,
            iteration=iteration,
        )
    return run


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
