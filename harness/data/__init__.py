"""Where benchmark data come from, one layout for all: a folder a benchmark.

In: ``sample`` (shipped), ``hub`` (fetched and kept in the cache) or a folder. Out: a ``DataSource``
that finds files and reads rows. ``manifest.yaml`` lists the public sets with their pins; ``get``
fills a folder from it and ``verify`` checks one. Light to import.
"""

from harness.data.opening import open_source
from harness.data.source import DataSource

__all__ = ["DataSource", "open_source"]
