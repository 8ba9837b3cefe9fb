"""Settings, results and statistics of the client."""

from __future__ import annotations

from dataclasses import dataclass, field

from judges.errors import JudgeError
from judges.request import JudgeRequest
from judges.stored_reply import StoredReply


@dataclass(frozen=True)
class ClientSettings:
    """How many requests are in flight, and how patient the client is. Times in seconds."""

    concurrency: int = 128
    """Most requests in flight; the number adapts below it."""
    timeout_s: float = 120.0
    """For one try, from the connection to the last byte."""
    attempts: int = 12
    """Tries per request; refusals for load are not counted."""
    patience_s: float = 1800.0
    """How long one request may be refused for load."""
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    batch_poll_s: float = 30.0
    """Between two looks at a batch."""

    @property
    def lease_s(self) -> float:
        """How long a claim on a request holds: one try and its back-off."""
        return self.timeout_s + 2 * self.backoff_max_s + 30


@dataclass(frozen=True)
class Server:
    """A server, the model's name there, and the key (``None`` as address: OpenAI's own)."""

    model: str
    base_url: str | None = None
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Failure:
    """A request that got no usable reply. ``error`` is one scrubbed line."""

    error: str


@dataclass(frozen=True)
class Answer:
    """The outcome of one request, by its position in the input."""

    index: int
    outcome: StoredReply | Failure
    cached: bool


@dataclass
class RequestStats:
    """Counts of one client: requests answered by the server and by the store, tries and failures."""

    answered: int = 0
    cached: int = 0
    sent: int = 0
    refused: int = 0
    retried: int = 0
    failed: int = 0
    served: dict[str, int] = field(default_factory=dict)
    """Answers by the name that the server gives the model."""


@dataclass
class Job:
    """A request under way, and the positions in the input that wait for it.

    ``bound`` is the cost set aside for it, ``claimed_at`` when it was last claimed (monotonic
    seconds), ``refusals`` how often it was refused for load, ``unreadable`` how many replies were no
    chat completions, ``odd`` how many refused it in a way that refuses all requests, though others were
    answered. ``sending``: a try is under way, which may be charged.
    """

    request: JudgeRequest
    key: str
    indices: list[int]
    bound: float = 0.0
    claimed_at: float = 0.0
    refusals: int = 0
    unreadable: int = 0
    odd: int = 0
    sending: bool = False


class FatalServerError(JudgeError):
    """An answer of the server that ends the run."""
