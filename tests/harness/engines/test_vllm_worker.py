"""The worker's side of the protocol, with an engine that answers at once."""

from __future__ import annotations

import sys
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engines.vllm_worker import run


class Engine:
    """Finishes every request in one step, last one first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, list[int], Any]] = []

    def add_request(self, name: str, prompt: dict[str, Any], parameters: Any) -> None:
        self.waiting.append((name, prompt["prompt_token_ids"], parameters))

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        name, ids, _ = self.waiting.pop()
        logprobs = [
            {token: SimpleNamespace(logprob=-float(place), rank=1 + place % 2)}
            for place, token in enumerate(ids)
        ]
        answer = SimpleNamespace(token_ids=(ids[-1], 2), finish_reason="length")
        return [
            SimpleNamespace(
                finished=True,
                request_id=name,
                outputs=[answer],
                prompt_token_ids=ids,
                prompt_logprobs=logprobs,
            )
        ]


@pytest.fixture(autouse=True)
def parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(SamplingParams=lambda **options: options)
    kinds = SimpleNamespace(RequestOutputKind=SimpleNamespace(FINAL_ONLY="last"))
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", kinds)


def results(kind: str, rows: list[dict[str, Any]]) -> dict[int, Any]:
    ours, theirs = Pipe()
    run(Engine(), theirs, kind, rows, number=1)  # type: ignore[arg-type]
    found = {}
    while ours.poll():
        word, (item, answer) = ours.recv()
        assert word == "done"
        found[item] = answer
    return found


def test_texts_come_back_by_item() -> None:
    common = {"temperature": 0, "top_p": 1.0, "seed": None, "room": 2, "stop": [], "end_ids": [2]}
    rows = [{"item": n, "ids": [5, n], **common} for n in (3, 8)]
    assert results("chat", rows) == {3: ([3, 2], True), 8: ([8, 2], True)}


def test_log_probabilities_of_the_tokens_after_the_context() -> None:
    rows = [
        {"item": 0, "ids": [5, 6, 7, 8], "context": 2},
        {"item": 1, "ids": [5, 6, 7], "context": 2},
    ]
    # places 2 and 3 have -2 and -3 nats; only the even ones have rank 1
    assert results("logprobs", rows) == {0: (-5.0, 2, False), 1: (-2.0, 1, True)}


def test_rows_that_come_during_a_job_belong_to_it_and_only_last_outputs_are_asked_for() -> None:
    common = {"temperature": 0, "top_p": 1.0, "seed": None, "room": 2, "stop": [], "end_ids": [2]}
    rows = [{"item": n, "ids": [5, n], **common} for n in (3, 8, 9)]
    ours, theirs = Pipe()
    ours.send(("chat", rows[1:]))
    engine = Engine()
    asked: list[Any] = []
    plain = engine.add_request
    engine.add_request = lambda *request: asked.append(request[2]) or plain(*request)  # type: ignore[method-assign,func-returns-value]
    run(engine, theirs, "chat", rows[:1], number=1)  # type: ignore[arg-type]
    found = [ours.recv()[1][0] for _ in range(3)]
    assert sorted(found) == [3, 8, 9]
    assert not ours.poll()
    assert {options["output_kind"] for options in asked} == {"last"}
