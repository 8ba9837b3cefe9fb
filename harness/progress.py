"""What a run says while it works: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Update = Callable[[int, int], None]

PLAIN_INTERVAL = 15.0
"""Seconds between progress lines of one stage where there is no terminal."""


class Reporter:
    """Tells which stage works, how far it is, how fast, and when it should be done.

    In a terminal a live bar shows stage, items, rate and ETA; elsewhere the same comes as plain
    lines, at most one every ``PLAIN_INTERVAL`` seconds.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet

    def say(self, text: str) -> None:
        """One line of news."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, label: str) -> Iterator[Update]:
        """Progress of one stage: call the yielded function with (done, total)."""
        if self.quiet:
            yield lambda done, total: None
        elif self.console.is_terminal:
            with self._live(label) as update:
                yield update
        else:
            yield self._plain(label)

    @contextlib.contextmanager
    def _live(self, label: str) -> Iterator[Update]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(label, total=None, rate="")
            started = time.monotonic()

            def update(done: int, total: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-9)
                bar.update(task, completed=done, total=total, rate=f"{rate:.1f}/s")

            yield update

    def _plain(self, label: str) -> Update:
        started = last = time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal last
            moment = time.monotonic()
            if moment - last < PLAIN_INTERVAL or not done:
                return
            last = moment
            rate = done / (moment - started)
            left = (total - done) / rate if rate else 0.0
            self.say(f"  {label}: {done}/{total} items, {rate:.2f}/s, about {left:.0f} s left")

        return update
