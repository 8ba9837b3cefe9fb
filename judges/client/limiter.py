"""How many requests may be in flight: additive increase, multiplicative decrease, with a memory.

The window doubles per round trip until the server first refuses (429, 503). Refusals come back at
once, so when all refusals of a round trip have arrived, the requests still in flight are those that
the server took: the window shrinks to that number, but at most to a half per round trip. It then
grows by one per round trip up to just below the size that was refused, stays there for a few, and
probes one more. A Retry-After stops all sending until it is over.

The window counts from the sending of a request to the end of our work on its reply, so a busy
machine needs more than the server's own limit to keep the server full; the probing finds that.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

LEAST_LEFT = 0.5
"""The share of the window that remains, at least, after one round trip's refusals."""
HOLD_ROUNDS = 3
"""Round trips that the window stays just below the refused size before it probes it again."""
CLOCK_S = 0.001
"""The event loop may call back this much too early."""


class AdaptiveLimiter:
    """Slots for requests in flight, in one event loop at a time.

    Args:
        maximum: the most slots ever.
        start: slots at the beginning.
    """

    def __init__(self, maximum: int, *, start: int = 64) -> None:
        self.maximum = maximum
        self.window = float(min(start, maximum))
        self.in_flight = 0
        self.cuts = 0
        self.refused_at: int | None = None
        self._held = 0
        self._floor = 1.0
        self._paused_until = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Wait for a slot; returns the ticket that goes back with the outcome."""
        if self.has_room():
            return self.take()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._hand_back()
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return self.cuts

    def has_room(self) -> bool:
        """Whether a slot is free now that nobody waits for."""
        return self._free() and not self._waiters

    def take(self) -> int:
        """Take a slot without waiting (where ``has_room``); returns the ticket."""
        self.in_flight += 1
        return self.cuts

    def succeeded(self) -> None:
        """A request was answered: hand its slot back, maybe grow."""
        if self.refused_at is None:
            self.window = min(self.window + 1, self.maximum)
        elif self.window + 1 < self.refused_at:
            self.window = min(self.window + 1 / self.window, self.maximum)
        elif self._held < HOLD_ROUNDS * self.window:
            self._held += 1
        else:
            # Probe: one more slot, and one more per round trip until the next refusal.
            self._held = 0
            self.refused_at = self.maximum + 2
            self.window = min(self.window + 1, self.maximum)
        self._hand_back()

    def limited(self, ticket: int, retry_after: float | None) -> None:
        """The server refused a request for load: hand the slot back and shrink the window."""
        if ticket == self.cuts:
            self.cuts += 1
            self._held = 0
            self._floor = max(1.0, min(self.window, self.in_flight) * LEAST_LEFT)
        self.in_flight -= 1
        if self.in_flight < self.window:
            self.window = max(self._floor, self.in_flight)
            self.refused_at = int(self.window) + 1
        if retry_after:
            self._pause(retry_after)
        self._wake()

    def failed(self) -> None:
        """A request failed for another reason: hand its slot back."""
        self._hand_back()

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        asyncio.get_running_loop().call_later(seconds + CLOCK_S, self._wake)

    def _free(self) -> bool:
        return time.monotonic() >= self._paused_until and self.in_flight < int(self.window)

    def _hand_back(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        """Hand free slots to those who wait for one, the first come first."""
        while self._waiters and self._free():
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)
