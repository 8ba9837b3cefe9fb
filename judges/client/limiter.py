"""How many requests may be in flight: additive increase, multiplicative decrease, with a memory.

The window doubles per round trip until the server first refuses (429, 503). A refusal cuts it by a
twentieth, or by half where many are refused, at most once per round trip. It then grows by one per
round trip up to just below the size that was refused, stays there for a few, and probes again.
A Retry-After stops all sending until it is over.

The window counts from the sending of a request to the end of our work on its reply, so a busy
machine needs more than the server's own limit to keep the server full; the probing finds that.
"""

from __future__ import annotations

import asyncio
from collections import deque

GENTLE, HARD = 0.95, 0.5
MANY = 0.25
"""Share of refusals (moving average) above which the window is halved."""
HOLD_ROUNDS = 3
"""Round trips that the window stays just below the refused size before it probes it again."""
MEMORY = 0.95


class AdaptiveLimiter:
    """Slots for requests in flight, in one event loop.

    Args:
        maximum: the most slots ever.
        start: slots at the beginning.
    """

    def __init__(self, maximum: int, *, start: int = 32) -> None:
        self.maximum = maximum
        self.window = float(min(start, maximum))
        self.in_flight = 0
        self.cuts = 0
        self.refused = 0
        self.refused_at: int | None = None
        self._held = 0
        self._open = False
        self._rate = 0.0
        self._paused_until = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Wait for a slot; returns the ticket to hand back with what came of it."""
        while not self._free():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        self.in_flight += 1
        return self.cuts

    def try_acquire(self) -> int | None:
        """A ticket when a slot is free now, else ``None``."""
        if not self._free():
            return None
        self.in_flight += 1
        return self.cuts

    def succeeded(self) -> None:
        """A request was answered: hand its slot back, maybe grow."""
        self._rate *= MEMORY
        if self.refused_at is None:
            self.window = min(self.window + 1, self.maximum)
        elif self.window + 1 < self.refused_at:
            self.window = min(self.window + 1 / self.window, self.maximum)
        elif self._held < HOLD_ROUNDS * self.window:
            self._held += 1
        else:
            # Probe: one more slot, and one more each round trip until the next refusal.
            self._held = 0
            self.refused_at = self.maximum + 2
            self.window = min(self.window + 1, self.maximum)
        self._hand_back()

    def limited(self, ticket: int, retry_after: float | None) -> None:
        """The server refused a request for load: hand the slot back, cut once per round trip."""
        self._rate = self._rate * MEMORY + (1 - MEMORY)
        self.refused += 1
        if ticket == self.cuts:
            self.refused_at = max(2, min(int(self.window), self.in_flight))
            factor = HARD if self._rate > MANY else GENTLE
            self.window = max(1.0, self.refused_at * factor)
            self.cuts += 1
            self._held = 0
        if retry_after:
            self.pause(retry_after)
        self._hand_back()

    def failed(self) -> None:
        """A request failed for another reason: hand its slot back."""
        self._hand_back()

    def pause(self, seconds: float) -> None:
        """Send nothing for that long."""
        loop = asyncio.get_running_loop()
        self._paused_until = max(self._paused_until, loop.time() + seconds)
        loop.call_at(self._paused_until, self._wake)

    def open_wide(self) -> None:
        """Let everyone who waits through: the run ends, and they are to notice."""
        self._open = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _free(self) -> bool:
        if self._open:
            return True
        if asyncio.get_running_loop().time() < self._paused_until:
            return False
        return self.in_flight < int(self.window)

    def _hand_back(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        free = int(self.window) - self.in_flight
        while self._waiters and free > 0:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
