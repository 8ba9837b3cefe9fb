"""The progress bar of a download, on terminals only; the libraries' other bars are off."""

from __future__ import annotations

import sys
from typing import Any


def download_bar() -> type[Any] | None:
    """A bar class for huggingface_hub's ``tqdm_class``; ``None`` where nobody watches."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        """Shown whatever the environment says of bars, and gone when it is full."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # huggingface_hub's own
            super().__init__(*args, **{**kwargs, "disable": False, "leave": False})

    return Bar
