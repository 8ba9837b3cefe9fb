"""The history: scores of every run with date and commit, in SQLite or in PostgreSQL.

A record of the history is a run with its scores and the per-item baseline that the gate needs
(``check --baseline history:main``). Adding a run again replaces it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from groundwork.addresses import public_address, scrubbed
from groundwork.errors import UserError
from groundwork.printable import one_line
from leaderboards.gate.baseline import baseline_text
from leaderboards.runs import read_runs
from leaderboards.score_frame import frame_of

DEFAULT_URL = "runs/history.sqlite"
UNSENT = Path("runs/history-unsent.sqlite")
_SCORE = (
    "model", "arm", "loss", "iteration", "seed", "benchmark", "metric", "category", "headline",
    "value", "stderr", "unit", "n", "n_expected", "protocol", "judge", "marks",
)  # fmt: skip


@dataclass(frozen=True)
class Added:
    """What ``add`` did: where the runs are, and what the user should know."""

    runs: tuple[str, ...]
    where: str
    message: str
    reached: bool = True


class History:
    """An open history; a context manager. ``url`` is a file (SQLite) or a database URL.

    A file that is not there is made, unless ``only_read``: then it is a UserError.
    """

    def __init__(self, url: str | Path = DEFAULT_URL, only_read: bool = False) -> None:
        self.url = str(url)
        if only_read and "://" not in self.url and not Path(self.url).is_file():
            raise UserError(f"no history at {self.url}; make one with: sso-bench history add RUN")
        self._engine = _engine(self.url)
        self._runs, self._scores = _tables()
        with self._readable_errors():
            self._runs.metadata.create_all(self._engine)

    def __enter__(self) -> History:
        return self

    def __exit__(self, *exception: object) -> None:
        self._engine.dispose()

    def put(self, record: dict[str, Any], scores: Sequence[dict[str, Any]]) -> None:
        """Insert one run and its scores; a run of the same key is replaced, in one transaction."""
        from sqlalchemy import delete, insert

        with self._readable_errors(), self._engine.begin() as connection:
            for table in (self._scores, self._runs):
                connection.execute(delete(table).where(table.c.run_key == record["run_key"]))
            connection.execute(insert(self._runs), [record])
            if scores:
                connection.execute(insert(self._scores), list(scores))

    def records(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Every run with its scores, oldest first."""
        from sqlalchemy import select

        with self._readable_errors(), self._engine.connect() as connection:
            runs = (
                connection.execute(select(self._runs).order_by(self._runs.c.created))
                .mappings()
                .all()
            )
            for run in runs:
                chosen = select(self._scores).where(self._scores.c.run_key == run["run_key"])
                rows = connection.execute(chosen).mappings().all()
                scores = [{name: row[name] for name in ("run_key", *_SCORE)} for row in rows]
                yield dict(run), scores

    def baseline(self, branch: str) -> Any:
        """The newest baseline of a branch, parsed; UserError when there is none."""
        from sqlalchemy import select

        runs = self._runs
        newest = (
            select(runs.c.baseline).where(runs.c.branch == branch).order_by(runs.c.created.desc())
        )
        with self._readable_errors(), self._engine.connect() as connection:
            found = connection.execute(newest).scalars().first()
            known = connection.execute(select(runs.c.branch).distinct()).scalars().all()
        if found is None:
            listed = ", ".join(sorted(name or "runs of no branch" for name in known))
            raise UserError(
                f"no run of branch {branch!r} in {public_address(self.url)}; "
                f"it has {listed or 'no runs yet'} (history add --branch names one)"
            )
        return json.loads(found)

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except DBAPIError as error:
            reason = (str(error.orig or error).strip() or type(error).__name__).splitlines()[0]
            line = one_line(scrubbed(reason, self.url))
            raise HistoryError(
                f"the history can't be used: {public_address(self.url)}: {line}"
            ) from None


class HistoryError(UserError):
    """The history's database can't be reached or is not a history."""


def add(
    runs: Sequence[Path | str], url: str | Path = DEFAULT_URL, branch: str | None = None
) -> Added:
    """Put runs into the history at ``url``, with the baseline of their last checkpoints.

    ``branch`` is found out from the run, from GitHub's environment or from git when not given. When
    the database can't be reached the runs are kept in ``runs/history-unsent.sqlite`` and the result
    reports it; the next ``add`` that reaches it sends them.
    """
    records = [_record(run, branch) for run in read_runs(runs)]
    names = tuple(record["name"] for record, _ in records)
    try:
        with History(url) as history:
            waiting = _send_unsent(history)
            for record, scores in records:
                history.put(record, scores)
    except HistoryError as error:
        with History(UNSENT) as local:
            for record, scores in records:
                local.put({**record, "target": public_address(str(url))}, scores)
        return Added(
            names, str(UNSENT), f"{error}; kept in {UNSENT} and sent with the next add", False
        )
    sent = f" and {waiting} kept from before" if waiting else ""
    return Added(
        names,
        public_address(str(url)),
        f"added {', '.join(names)}{sent} to {public_address(str(url))}",
    )


def _send_unsent(history: History) -> int:
    if not UNSENT.is_file() or history.url == str(UNSENT):
        return 0
    with History(UNSENT) as local:
        waiting = list(local.records())
        mine = [pair for pair in waiting if pair[0]["target"] == public_address(history.url)]
        for record, scores in mine:
            history.put({**record, "target": None}, scores)
    if len(mine) == len(waiting):
        UNSENT.unlink()
    return len(mine)


def _record(run: Any, branch: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    git = run.info.get("git") or {}
    created = str(run.info.get("created") or datetime.now(UTC).isoformat(timespec="seconds"))
    identity = json.dumps([run.name, run.model, created, git.get("commit")])
    key = sha256(identity.encode()).hexdigest()[:24]
    record = {
        "run_key": key,
        "name": run.name,
        "model": run.model,
        "created": created,
        "added": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git.get("commit"),
        "dirty": bool(git.get("dirty")),
        "branch": branch or git.get("branch") or current_branch(),
        "path": str(run.path),
        "versions": json.dumps(run.info.get("versions") or {}),
        "baseline": baseline_text(run.path),
        "target": None,
    }
    rows = frame_of([run]).to_dict("records")
    scores = [{"run_key": key, **{name: _plain(row[name]) for name in _SCORE}} for row in rows]
    return record, scores


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def current_branch() -> str | None:
    """The branch of this process: GitHub's environment, else git in the working directory."""
    for name in ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"):
        if os.environ.get(name):
            return os.environ[name]
    command = ["git", "rev-parse", "--abbrev-ref", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _engine(url: str) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    if "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{url}"
    if url.startswith(("postgres://", "postgresql://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    options = {"connect_timeout": 10} if url.startswith("postgresql") else {}
    try:
        return create_engine(url, connect_args=options)
    except (ArgumentError, NoSuchModuleError):
        raise UserError(f"not a database URL or file: {public_address(url)}") from None
    except ModuleNotFoundError as error:
        raise UserError(
            f"the driver {error.name} is missing; install it with: pip install 'sso-bench[postgres]'"
        ) from None


def _tables() -> tuple[Any, Any]:
    from sqlalchemy import Boolean, Column, Float, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    runs = Table(
        "sso_bench_runs",
        metadata,
        Column("run_key", String(24), primary_key=True),
        *(Column(name, Text) for name in ("name", "model", "created", "added", "git_commit")),
        Column("dirty", Boolean),
        *(Column(name, Text) for name in ("branch", "path", "versions", "baseline", "target")),
    )
    kinds = {"iteration": Integer, "seed": Integer, "n": Integer, "n_expected": Integer,
             "value": Float, "stderr": Float, "headline": Boolean}  # fmt: skip
    scores = Table(
        "sso_bench_scores",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("run_key", String(24), index=True),
        *(Column(name, kinds.get(name, Text)) for name in _SCORE),
    )
    return runs, scores
