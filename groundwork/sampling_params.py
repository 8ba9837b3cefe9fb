"""How a model samples a text: one frozen record, from the settings down to the choice of a token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingParams:
    """At most ``max_new_tokens`` tokens at ``temperature`` (0 is greedy) from the nucleus ``top_p``;
    a text ends before the first of the ``stop`` strings (empty ones are left out) and at an end of turn,
    unless ``ignore_end``. Seeds belong to the prompts, one each."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    ignore_end: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", tuple(mark for mark in self.stop if mark))

    @property
    def greedy(self) -> bool:
        """Whether every token is the most likely one, so that seeds change nothing."""
        return self.temperature == 0
