"""One file over HTTP: resumed where it was cut, checked, put in place atomically.

Hub files come from ``HF_ENDPOINT`` (default https://huggingface.co) with the user's token
(``HF_TOKEN``, or the one saved by ``hf auth login``), sent to that host alone; files on GitHub come
from ``SSO_BENCH_GITHUB`` (default https://raw.githubusercontent.com), where a mirror can stand in.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.data.manifest import DataFile, RemoteFile
from harness.errors import DataError

HUB = "https://huggingface.co"
GITHUB = "https://raw.githubusercontent.com"
BLOCK = 1 << 20
ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})

Progress = Callable[[int, int], None]
"""Called with the bytes there are and the bytes there will be (0: unknown)."""


@dataclass(frozen=True)
class Remote:
    """A URL, what to say about it, and the checksum it must have where that is known."""

    url: str
    name: str
    gate: str
    sha256: str | None = None
    token: str | None = None
    hub: bool = False


@dataclass
class Reply:
    """What the servers on the way said: ``commit`` behind the revision asked for."""

    commit: str = ""


class UnreachableError(DataError):
    """The server can't be reached (nothing is wrong with what was asked for)."""


def remote_of(file: DataFile, source: RemoteFile) -> Remote:
    """Where a manifest entry's source file is to be had."""
    path = urllib.parse.quote(source.path)
    revision = urllib.parse.quote(file.revision, safe="")
    name = f"{file.repo}@{file.revision[:12]}:{source.path}"
    if file.host == "hub":
        base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        url = f"{base}/datasets/{file.repo}/resolve/{revision}/{path}"
        return Remote(url, name, f"{base}/datasets/{file.repo}", source.sha256, _hub_token(), True)
    base = os.environ.get("SSO_BENCH_GITHUB", GITHUB).rstrip("/")
    gate = f"https://github.com/{file.repo}"
    return Remote(f"{base}/{file.repo}/{revision}/{path}", name, gate, source.sha256)


def _hub_token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def fetch(
    remote: Remote,
    part: Path,
    *,
    progress: Progress = lambda done, total: None,
    pause: float = 1.0,
) -> Reply:
    """Download to ``part``, going on from what an earlier, interrupted call left there.

    A cut connection or a busy server is tried again ``ATTEMPTS`` times, ``pause`` seconds and more
    apart. When this returns, ``part`` is whole and has the checksum.

    Raises:
        DataError: gated, not there, or another checksum (``part`` is then removed).
        UnreachableError: the server can't be reached or keeps failing; ``part`` stays for the next call.
    """
    if remote.hub and os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise UnreachableError(f"can't get {remote.name}: HF_HUB_OFFLINE is set")
    part.parent.mkdir(parents=True, exist_ok=True)
    reply, problem, resumed = Reply(), "the connection was cut", part.is_file()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            if _attempt(remote, part, reply, progress):
                if _right(remote, part, give_up=not resumed):
                    return reply
                resumed = False
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in RETRIED_STATUS:
                raise _refused(remote, error.code) from None
            problem = f"the server answers {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if _is_local(error):
                raise
            reason = getattr(error, "reason", error)
            problem = str(reason) or type(error).__name__
    host = urllib.parse.urlsplit(remote.url).netloc
    raise UnreachableError(
        f"can't get {remote.name} from {host}: {problem} (what is there is kept; the same command "
        "goes on from it)"
    )


def _attempt(remote: Remote, part: Path, reply: Reply, progress: Progress) -> bool:
    """One request; whether the file is whole afterwards."""
    have, etag = _left_over(remote, part)
    request = urllib.request.Request(remote.url, headers={"Accept-Encoding": "identity"})
    if remote.token:
        request.add_unredirected_header("Authorization", f"Bearer {remote.token}")
    if have:
        request.add_header("Range", f"bytes={have}-")
        if etag:
            request.add_header("If-Range", etag)
    opener = urllib.request.build_opener(_Redirects(remote, reply))
    try:
        answer = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        if remote.sha256 and _sha256(part) == remote.sha256:
            return True
        part.unlink()
        return False
    with answer:
        reply.commit = reply.commit or answer.headers.get("X-Repo-Commit", "")
        start = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else 0
        _note(remote, part, answer.headers.get("ETag", ""))
        with part.open("ab" if start else "wb") as handle:
            done = _copy(answer, handle, start, total, progress)
    return done == total or not total


def _copy(answer: Any, handle: IO[bytes], done: int, total: int, progress: Progress) -> int:
    while block := answer.read(BLOCK):
        handle.write(block)
        done += len(block)
        progress(done, total)
    handle.flush()
    os.fsync(handle.fileno())
    return done


def _left_over(remote: Remote, part: Path) -> tuple[int, str]:
    """Bytes of an interrupted download that can be gone on from, and the server's tag of them.

    Without a tag and without a checksum nobody could tell that the file has changed since.
    """
    try:
        note = json.loads(_note_path(part).read_text(encoding="utf-8"))
        etag = str(note["etag"])
        usable = note["url"] == remote.url and (etag or remote.sha256)
    except (OSError, ValueError, KeyError, TypeError):
        etag, usable = "", False
    if not usable or not part.is_file():
        part.unlink(missing_ok=True)
        return 0, ""
    return part.stat().st_size, "" if etag.startswith("W/") else etag


def _note(remote: Remote, part: Path, etag: str) -> None:
    _note_path(part).write_text(json.dumps({"url": remote.url, "etag": etag}), encoding="utf-8")


def _note_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def forget(part: Path) -> None:
    """Remove what a download left behind."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def _is_local(error: Exception) -> bool:
    """A full disk or an unwritable folder, which no further attempt will mend."""
    if not isinstance(error, OSError) or isinstance(error, urllib.error.URLError):
        return False
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or error.filename is not None


def _right(remote: Remote, part: Path, give_up: bool) -> bool:
    """Whether the checksum is right. A file that isn't goes; what was begun by an earlier call may
    be the culprit, so only one downloaded in whole here is given up on."""
    found = _sha256(part) if remote.sha256 else None
    if found == remote.sha256:
        return True
    forget(part)
    if give_up:
        raise DataError(
            f"wrong checksum: {remote.name} has sha256 {found}, the manifest says {remote.sha256} "
            "(removed; a proxy or mirror may have changed it)"
        )
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _refused(remote: Remote, code: int) -> DataError:
    if code in (401, 403):
        todo = (
            f"your token has no access: accept the terms at {remote.gate} with its account"
            if remote.token
            else f"accept the terms at {remote.gate}, then set HF_TOKEN or run `hf auth login`"
        )
        return DataError(f"{remote.name} is gated ({code}): {todo}")
    if code == 404:
        return DataError(f"{remote.name} is not there (404): {remote.url}")
    return DataError(f"{remote.name}: the server answers {code}: {remote.url}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, keeps the commit that the hub names on the way, and gives the token to no
    other host."""

    def __init__(self, remote: Remote, reply: Reply) -> None:
        self.remote, self.reply = remote, reply

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self.reply.commit = self.reply.commit or headers.get("X-Repo-Commit", "")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        here = urllib.parse.urlsplit(self.remote.url)
        there = urllib.parse.urlsplit(newurl)
        if new is not None and self.remote.token and here[:2] == there[:2]:
            new.add_unredirected_header("Authorization", f"Bearer {self.remote.token}")
        return new
