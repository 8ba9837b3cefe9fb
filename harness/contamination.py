"""Which training queries a benchmark contains: equal texts, and shared runs of words.

Texts are compared as words: NFKC, casefolded, punctuation and spacing dropped. Two rules:

- ``exact``: all words of the query equal all words of an item's text;
- ``ngram``: query and item share ``n`` words in a row. 13 is the usual length for taking test
  items out of training sets (Brown et al. 2020, *Language Models are Few-Shot Learners*, appendix
  C). A text with fewer than ``n`` words has no such run, so only the exact rule can find it.

Items are the questions as the data source has them: the largest set of a benchmark that is present
(MATH-500 is part of MATH, GPQA's diamond of main, main of extended).
In a language written without spaces each run of letters is one word: only the exact rule applies.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from harness.benchmarks import get_benchmark
from harness.data.sources import DataSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = re.compile(r"[^\W_]+")
MULTIPLIER = 0x9E3779B97F4A7C15
BLOCK = 4_000_000
"""Letters of queries that are compared at a time: their words take some 20 times as much memory."""


@dataclass(frozen=True)
class Overlap:
    """A query that a benchmark contains; ``detail``: what is shared, for gated items only how much."""

    query_id: str
    benchmark: str
    item_id: str
    kind: str
    detail: str


@dataclass(frozen=True)
class ItemText:
    """One text of a benchmark item; ``hidden`` where it must not be written anywhere."""

    benchmark: str
    item_id: str
    words: tuple[str, ...]
    hidden: bool


def words(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared."""
    return tuple(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def find_overlaps(
    queries: Mapping[str, str], data: DataSource, benchmarks: Sequence[str], n: int = 13
) -> list[Overlap]:
    """Queries (id to text) that the benchmarks' items contain, in the order given.

    At most one overlap per query and benchmark: an equal text, else the item that shares the most
    runs of ``n`` words. A benchmark whose files the data source lacks is skipped.

    Raises:
        UserError: ``n`` below 1, or an unknown benchmark.
        DataError: an unreadable data file (file and line).
    """
    if n < 1:
        raise UserError(f"contamination: n must be at least 1, not {n}")
    items = [item for name in benchmarks for item in item_texts(data, name)]
    found: dict[tuple[str, str], Overlap] = {}
    runs = _ItemRuns(items, n)
    for block in _blocks(queries):
        texts = {query_id: words(text) for query_id, text in block.items()}
        for overlap in (*_exact(texts, items), *runs.shared_with(texts)):
            found.setdefault((overlap.query_id, overlap.benchmark), overlap)
    place = {name: number for number, name in enumerate(benchmarks)}
    rank = {query_id: number for number, query_id in enumerate(queries)}
    return sorted(found.values(), key=lambda o: (rank[o.query_id], place[o.benchmark]))


def item_texts(data: DataSource, benchmark: str) -> Iterator[ItemText]:
    """Every question of a benchmark in the data source; each turn of an MT-Bench question.

    Raises:
        ProtocolError: no such benchmark.
        DataError: an unreadable data file (file and line).
    """
    about = get_benchmark(benchmark)
    hidden = about.info.gated and data.kind != "sample"
    for item_id, text in about.questions(data):
        yield ItemText(benchmark, f"{benchmark}/{item_id}", words(text), hidden)


def _exact(queries: Mapping[str, tuple[str, ...]], items: Sequence[ItemText]) -> list[Overlap]:
    by_text: dict[tuple[str, ...], dict[str, ItemText]] = {}
    for item in items:
        if item.words:
            by_text.setdefault(item.words, {}).setdefault(item.benchmark, item)
    return [
        Overlap(query_id, item.benchmark, item.item_id, "exact", f"all {len(item.words)} words")
        for query_id, text in queries.items()
        for item in by_text.get(text, {}).values()
    ]


def _blocks(queries: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Queries of ``BLOCK`` letters together, in order."""
    block: dict[str, str] = {}
    letters = 0
    for query_id, text in queries.items():
        block[query_id] = text
        letters += len(text)
        if letters >= BLOCK:
            yield block
            block, letters = {}, 0
    yield block


class _ItemRuns:
    """The runs of ``n`` words of the items, found by a 64-bit hash; every hit is then compared word by word."""

    def __init__(self, items: Sequence[ItemText], n: int) -> None:
        import numpy as np

        self.items, self.n = items, n
        self.vocabulary: dict[str, int] = {}
        for item in items:
            for word in item.words:
                self.vocabulary.setdefault(word, len(self.vocabulary))
        hashes, owners, starts = _runs([item.words for item in items], n, self.vocabulary)
        order = np.argsort(hashes, kind="stable")
        self.hashes, self.owners, self.starts = hashes[order], owners[order], starts[order]

    def shared_with(self, queries: Mapping[str, tuple[str, ...]]) -> Iterator[Overlap]:
        """For each query and benchmark the item that shares the most runs."""
        import numpy as np

        items, n = self.items, self.n
        texts = list(queries.items())
        wanted, askers, places = _runs([text for _, text in texts], n, self.vocabulary)
        first = np.searchsorted(self.hashes, wanted, side="left")
        last = np.searchsorted(self.hashes, wanted, side="right")
        shared: dict[tuple[int, str], Counter[int]] = {}
        shown: dict[tuple[int, int], tuple[str, ...]] = {}
        for hit in np.flatnonzero(last > first):
            asker, place = int(askers[hit]), int(places[hit])
            run = texts[asker][1][place : place + n]
            for entry in range(int(first[hit]), int(last[hit])):
                owner, start = int(self.owners[entry]), int(self.starts[entry])
                if items[owner].words[start : start + n] == run:
                    shared.setdefault((asker, items[owner].benchmark), Counter())[owner] += 1
                    shown.setdefault((asker, owner), run)
        for (asker, benchmark), counts in shared.items():
            owner = min(counts, key=lambda o: (-counts[o], o))
            item = items[owner]
            detail = f"{counts[owner]} shared runs of {n} words"
            if not item.hidden:
                detail += f", the first: {' '.join(shown[asker, owner])}"
            yield Overlap(texts[asker][0], benchmark, item.item_id, "ngram", detail)


def _runs(
    texts: Sequence[tuple[str, ...]], n: int, vocabulary: Mapping[str, int]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Hash, number of the text and first word of every run of ``n`` words within one text; words that are in
    no vocabulary count as one."""
    import numpy as np

    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    unknown = len(vocabulary)
    numbers = np.fromiter(
        (vocabulary.get(word, unknown) for text in texts for word in text),
        dtype=np.uint64,
        count=int(lengths.sum()),
    )
    total = max(len(numbers) - n + 1, 0)
    hashes = np.zeros(total, dtype=np.uint64)
    values = _scrambled(numbers)
    for offset in range(n):
        hashes = hashes * np.uint64(MULTIPLIER) + values[offset : offset + total]
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    starts = np.arange(len(numbers), dtype=np.int64) - np.repeat(
        np.cumsum(lengths) - lengths, lengths
    )
    whole = owners[:total] == owners[n - 1 : n - 1 + total]
    return hashes[whole], owners[:total][whole], starts[:total][whole]


def _scrambled(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Word numbers spread over 64 bits (the finaliser of splitmix64), so that runs rarely collide."""
    import numpy as np

    mixed = (numbers + np.uint64(1)) * np.uint64(MULTIPLIER)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
