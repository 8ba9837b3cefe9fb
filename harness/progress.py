"""What a run says while it works: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from groundwork.addresses import without_secrets
from groundwork.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

Update = Callable[[int, int], None]

PLAIN_INTERVAL = 15.0
"""Seconds between progress lines of one stage where there is no terminal."""

BURST = 1.0
"""Seconds after the first report in which items count as there before: a resumed stage reports those at once."""


def print_table(text: str) -> None:
    """Print a drawn table, whose texts are printable already and whose bold is our own."""
    print(text, file=getattr(sys.stdout, "raw", None))


class Pace:
    """Items a second since the stage began its own work; what a resumed stage found done is not in it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: float | None = None
        self._before = self._done = 0
        self._latest = 0.0

    def report(self, done: int) -> None:
        """``done`` items are there now."""
        self._latest, self._done = self._clock(), done
        if self._begun is None:
            self._begun = self._latest
        if self._latest - self._begun < BURST:
            self._before = done

    @property
    def rate(self) -> float:
        """Items a second; 0 while unknown."""
        if self._begun is None or self._done == self._before:
            return 0.0
        return (self._done - self._before) / (self._latest - self._begun)

    def left(self, total: int) -> float | None:
        """Seconds to the last of ``total`` items; None while unknown."""
        return (total - self._done) / self.rate if self.rate else None


def terminal() -> Console:
    """A console on standard output itself: what is said through it is made printable by ``say``."""
    from rich.console import Console

    return Console(file=getattr(sys.stdout, "raw", None))


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
            text = printable(without_secrets(text))
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
            pace = Pace()

            def update(done: int, total: int) -> None:
                pace.report(done)
                rate = f"{pace.rate:.1f}/s" if pace.rate else ""
                bar.update(task, completed=done, total=total, rate=rate)

            yield update

    def _plain(self, label: str) -> Update:
        pace, last = Pace(), time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal last
            pace.report(done)
            moment = time.monotonic()
            if moment - last < PLAIN_INTERVAL or not done:
                return
            last = moment
            left = pace.left(total)
            soon = "" if left is None else f", {pace.rate:.2f}/s, about {left:.0f} s left"
            self.say(f"  {label}: {done}/{total} items{soon}")

        return update
