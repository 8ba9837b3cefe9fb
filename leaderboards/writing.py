"""Files put in place whole: a reader sees the old content or the new, never half of it."""

from __future__ import annotations

from pathlib import Path

from leaderboards.errors import LeaderboardError


def write_whole(path: Path, text: str, what: str) -> Path:
    """Write ``text`` beside ``path`` and rename it into place; ``what`` names it in the error."""
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise LeaderboardError(f"{what} can't be written: {path}: {error.strerror}") from None
    return path
