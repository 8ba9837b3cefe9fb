"""An engine and a judge that answer by rule, so that every figure can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, Prompt
from judges import Comparison, Rating, Verdict


class RuleEngine:
    """Answers with ``answer(prompt)``; remembers how it was called."""

    name = "rule-model"
    model_hash = "rule"
    max_length = 4096

    def __init__(self, answer: Callable[[list[dict[str, str]]], str]) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def render(
        self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = True
    ) -> str:
        return "\n".join(f"{m['role']}: {m['content']}" for m in messages)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def chat(
        self, prompts: Sequence[Prompt], params: SamplingParams, *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]:  # fmt: skip
        self.calls.append(
            {
                "prompts": [list(p) for p in prompts],
                "max_new_tokens": params.max_new_tokens,
                "temperature": params.temperature,
                "top_p": params.top_p,
                "seeds": list(seeds or ()),
            }
        )
        out = []
        for index, prompt in enumerate(prompts):
            text = self.answer([dict(m) for m in prompt])  # type: ignore[arg-type]
            out.append(Completion(text, 10, len(text.split()), text.endswith("...")))
            if on_done:
                on_done(index, out[-1])
        return out

    def logprobs(self, prompts: Any, continuations: Any) -> Any:
        raise AssertionError("no log-probabilities are needed")

    def close(self) -> None:
        return None


class RuleJudge:
    """Preferences and ratings by rule; ``None`` stands for a reply that could not be read."""

    def __init__(
        self,
        preference: Callable[[Comparison], float | None] = lambda c: 1.5,
        rating: Callable[[Rating], float | None] = lambda r: 5.0,
        *,
        name: str = "gpt-4-1106-preview",
        comparable: bool = True,
        asked: str = "alpaca-eval-2/abc/top5",
    ) -> None:
        self.preference, self.rating = preference, rating
        self.name, self.snapshot, self.comparable, self.asked = name, name, comparable, asked
        self.seen: list[Any] = []

    def _verdict(self, item: Any, kind: str, value: float | None, protocol: str) -> Verdict:
        self.seen.append(item)
        return Verdict(
            item_id=item.item_id,
            kind=kind,  # type: ignore[arg-type]
            judge=self.name,
            protocol=protocol,
            state="ok" if value is not None else "unparsed",
            value=value,
            raw="no score" if value is None else f"I rate it [[{value:g}]]",
        )

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        return [self._verdict(c, "preference", self.preference(c), self.asked) for c in comparisons]

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        out = []
        for r in ratings:
            template = "single-math-v1" if r.references else "single-v1"
            suffix = "-multi-turn" if len(r.turns) == 4 else ""
            out.append(
                self._verdict(r, "rating", self.rating(r), f"mt-bench/own/{template}{suffix}")
            )
        return out

    def pairwise(self, comparisons: Any) -> Any:
        raise AssertionError("not asked")

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        return 0.0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}
