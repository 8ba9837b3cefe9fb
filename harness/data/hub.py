"""``--data hub``: the user's own copy of the public data; each file is fetched on its first use.

The copy lies in the cache (``SSO_BENCH_CACHE``) in the same layout as any data folder. A file needs the
network only once; ``sso-bench data get --to DIR`` fills a folder beforehand.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.data.fetch import UnreachableError
from harness.data.install import get
from harness.data.manifest import manifest, manifest_revision
from harness.data.sources import DataSource
from harness.errors import DataError


@dataclass(frozen=True)
class HubSource(DataSource):
    """A data folder that fetches the files of the manifest that it lacks."""

    def find(self, *alternatives: str) -> Path | None:
        """As in any data source; where none of the paths exists, the first one of the manifest is
        fetched.

        Raises:
            DataError: gated, unreachable, or a wrong checksum.
        """
        found = super().find(*alternatives)
        known = {file.path: file for file in manifest()}
        wanted = next((known[name] for name in alternatives if name in known), None)
        if found is not None or wanted is None:
            return found
        print(f"data: fetching {wanted.path} from {wanted.repo}", file=sys.stderr)
        try:
            get(wanted, self.root)
        except UnreachableError as error:
            raise DataError(
                f"{wanted.path} is not in {self.root} and can't be fetched: {error}. Without a "
                "network: --data sample, or --data DIR with a folder filled by "
                "`sso-bench data get --to DIR` elsewhere"
            ) from None
        return super().find(*alternatives)


def hub_source(root: Path | None = None) -> HubSource:
    """The hub's data, kept in ``root`` (default: ``data`` in the user's cache); ``revision`` is a
    hash of the manifest's pins."""
    from harness.models import model_cache

    folder = root or model_cache() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return HubSource("hub", folder, manifest_revision())
