"""What the client is told and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field

from judges.errors import JudgeError
from judges.request import JudgeRequest
from judges.store import StoredReply


@dataclass(frozen=True)
class ClientSettings:
    """How patient the client is. Times in seconds."""

    timeout_s: float = 120.0
    attempts: int = 12
    """Tries of one request before it is given up; refusals for load are not counted."""
    patience_s: float = 1800.0
    """How long one request may be refused for load."""
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0

    @property
    def lease_s(self) -> float:
        """How long a claim on a request holds: one try and its back-off."""
        return self.timeout_s + 2 * self.backoff_max_s + 30


@dataclass(frozen=True)
class Failure:
    """A request that got no usable reply. ``error`` is one scrubbed line."""

    error: str


@dataclass(frozen=True)
class Answer:
    """What came of one request, by its position in the input."""

    index: int
    outcome: StoredReply | Failure
    cached: bool


@dataclass
class Tally:
    """What a client did: requests answered by the server, from the store, tries and failures."""

    answered: int = 0
    cached: int = 0
    sent: int = 0
    refused: int = 0
    retried: int = 0
    failed: int = 0
    served: dict[str, int] = field(default_factory=dict)


@dataclass
class Job:
    """A request on its way, and the positions in the input that wait for it.

    ``bound`` is the cost set aside for it. ``ticket`` is the limiter's for its slot, ``None``
    while it has none; ``announced``: the limiter knows that it will ask for one. ``claimed_at`` is
    when it was last claimed (monotonic seconds).
    """

    request: JudgeRequest
    key: str
    indices: list[int]
    bound: float = 0.0
    ticket: int | None = None
    announced: bool = False
    claimed_at: float = 0.0


class HopelessError(JudgeError):
    """An answer of the server that ends the run."""
