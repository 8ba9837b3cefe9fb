"""Downloads of one file: the hub's by huggingface_hub, GitHub's by pooch; both checked by sha256.

Hub files come from ``HF_ENDPOINT`` (default https://huggingface.co) with the user's token
(``HF_TOKEN``, or the one saved by ``hf auth login``). Files on GitHub come from ``SSO_BENCH_GITHUB`` (default https://raw.githubusercontent.com), where a mirror can
stand in.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from groundwork.download_bar import download_bar
from groundwork.files import file_sha256
from harness.data.manifest import DataFile, RemoteFile
from harness.errors import DataError

HUB = "https://huggingface.co"
GITHUB = "https://raw.githubusercontent.com"
ATTEMPTS = 5
PAUSE_S = 1.0
"""Before the second attempt; doubles with each further one."""
TIMEOUT_S = 30.0
BUSY = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Fetched:
    """A downloaded file, and the commit behind the revision where the server named it."""

    path: Path
    commit: str = ""


class UnreachableError(DataError):
    """The server can't be reached (nothing is wrong with the request)."""


class WrongChecksumError(DataError):
    """The server sent another file than the manifest's."""


class _TransientError(Exception):
    """A failed attempt; the next one may succeed."""


def fetch(file: DataFile, source: RemoteFile, partial: Path) -> Fetched:
    """Download one source file of a manifest entry into the folder ``partial``.

    A whole part of an earlier call is not downloaded again. A cut connection or a busy server is
    tried again; from the hub, a cut download is resumed.

    Raises:
        DataError: gated or missing.
        WrongChecksumError: the server sent another file than the manifest's.
        UnreachableError: the server can't be reached or keeps failing.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    name = f"{file.repo}@{file.revision[:12]}:{source.path}"
    partial.mkdir(parents=True, exist_ok=True)
    retrying = Retrying(
        retry=retry_if_exception_type(_TransientError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(PAUSE_S),
        reraise=True,
    )
    try:
        download = _from_hub if file.host == "hub" else _from_github
        fetched: Fetched = retrying(download, file, source, partial, name)
    except _TransientError as error:
        host = urlsplit(_base(file)).netloc
        raise UnreachableError(f"can't get {name} from {host}: {error}") from None
    found = file_sha256(fetched.path)
    if source.sha256 not in (None, found):
        raise _wrong_checksum(name, found, source)
    return fetched


def _base(file: DataFile) -> str:
    variable, default = ("HF_ENDPOINT", HUB) if file.host == "hub" else ("SSO_BENCH_GITHUB", GITHUB)
    return os.environ.get(variable, default).rstrip("/")


def _from_hub(file: DataFile, source: RemoteFile, partial: Path, name: str) -> Fetched:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        path = Path(
            huggingface_hub.hf_hub_download(
                file.repo,
                source.path,
                repo_type="dataset",
                revision=file.revision,
                cache_dir=partial,
                endpoint=_base(file),
                tqdm_class=download_bar(),
            )
        )
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError) as error:
        local = isinstance(error, errors.LocalEntryNotFoundError)
        cause: BaseException | None = error.__cause__ if local else error
        if isinstance(cause, errors.OfflineModeIsEnabled):
            raise UnreachableError(f"can't get {name}: HF_HUB_OFFLINE is set") from None
        response: Any = getattr(cause, "response", None)
        if response is not None:
            raise _refused(file, source, name, response.status_code) from None
        raise _TransientError(_one_line(cause or error)) from None
    except (errors.HTTPError, ConnectionError, EOFError, RuntimeError) as error:
        raise _TransientError(_one_line(error)) from None
    except OSError as error:
        if error.errno is not None:  # a full disk, an unwritable folder
            raise
        raise _TransientError(_one_line(error)) from None  # fewer bytes than announced
    return Fetched(path, path.parts[path.parts.index("snapshots") + 1])


def _from_github(file: DataFile, source: RemoteFile, partial: Path, name: str) -> Fetched:
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    url = _url(file, source)
    try:
        path = pooch.retrieve(
            url,
            source.sha256 and f"sha256:{source.sha256}",
            fname=f"{file.revision[:12]}__{source.path.replace('/', '__')}",
            path=partial,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT_S),
        )
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        raise _refused(file, source, name, code) from None
    except requests.RequestException as error:
        raise _TransientError(_one_line(error)) from None
    except ValueError as error:
        found = re.search(r"got ([0-9a-f]{64})", str(error))
        if found is None:
            raise
        raise _wrong_checksum(name, found.group(1), source) from None
    return Fetched(Path(path), file.revision if len(file.revision) == 40 else "")


def _url(file: DataFile, source: RemoteFile) -> str:
    kind = "datasets/" if file.host == "hub" else ""
    revision = quote(file.revision, safe="")
    middle = f"resolve/{revision}" if file.host == "hub" else revision
    return f"{_base(file)}/{kind}{file.repo}/{middle}/{quote(source.path)}"


def _refused(file: DataFile, source: RemoteFile, name: str, code: int) -> Exception:
    """The error for an HTTP status."""
    if code in BUSY:
        return _TransientError(f"the server answers {code}")
    if code in (401, 403):
        from huggingface_hub import get_token

        gate = f"{_base(file)}/datasets/{file.repo}"
        advice = (
            f"your token has no access: accept the terms at {gate} with its account"
            if get_token()
            else f"accept the terms at {gate}, then set HF_TOKEN or run `hf auth login`"
        )
        return DataError(f"{name} is gated ({code}): {advice}")
    if code == 404:
        return DataError(f"{name} does not exist (404): {_url(file, source)}")
    return DataError(f"{name}: the server answers {code}: {_url(file, source)}")


def _wrong_checksum(name: str, found: str, source: RemoteFile) -> WrongChecksumError:
    return WrongChecksumError(
        f"wrong checksum: {name} has sha256 {found}, the manifest says {source.sha256} "
        "(removed; a proxy or mirror may have changed it)"
    )


def _one_line(error: BaseException) -> str:
    """The innermost cause: "Connection refused", and not the pools and addresses around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:300] or type(error).__name__
