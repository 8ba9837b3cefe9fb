"""Where benchmark data come from, one layout for all: a folder per benchmark.

In: ``sample`` or ``starter`` (shipped), ``hub`` (fetched and kept in the cache) or a folder. Out: a ``DataSource``
that finds files and reads rows. ``manifest.yaml`` lists the public sets with their pins; ``get``
fills a folder from it and ``verify`` checks one. Light to import.
"""

from __future__ import annotations

from pathlib import Path

from harness.data.sources import DataSource
from harness.errors import DataError

__all__ = ["DataSource", "open_source"]

SAMPLE_FOLDER = Path(__file__).parent / "sample"
SAMPLE_VERSION = "1"
STARTER_FOLDER = Path(__file__).parent / "starter"
"""Items that a model of 135M parameters solves in part; what is not in it comes from the sample."""


def open_source(spec: str | Path) -> DataSource:
    """``sample``, ``starter``, ``hub`` or a folder.

    Raises:
        DataError: the folder does not exist.
    """
    if spec == "sample":
        return DataSource("sample", SAMPLE_FOLDER, SAMPLE_VERSION)
    if spec == "starter":
        return DataSource("sample", STARTER_FOLDER, f"starter-{SAMPLE_VERSION}", SAMPLE_FOLDER)
    if spec == "hub":
        from harness.data.hub import hub_source

        return hub_source()
    root = Path(spec)
    if not root.is_dir():
        raise DataError(
            f"no data folder {root} (give 'sample', 'starter', 'hub' or an existing folder)"
        )
    return DataSource("dir", root)
