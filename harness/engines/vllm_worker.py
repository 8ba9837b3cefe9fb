"""The process that holds a vLLM engine: ``python -m harness.engines.vllm_worker FD``.

Speaks over one inherited socket: a start message with vLLM's arguments comes in, ``("ready", None)``
or ``("failed", why)`` goes out; then each job, a list of rows, comes in, and its results go out one by
one, as they finish, up to ``("end", None)``. More rows of a job may come in before its end. When the other side goes away, so does this process.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any


def main(descriptor: int) -> None:
    """Serve jobs until the other side closes the socket."""
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection)


def serve(connection: Connection) -> None:
    """Load the model, then run jobs: ``("chat" | "logprobs", rows)``, a row being a dict."""
    options = connection.recv()
    try:
        from vllm import LLM

        engine: Any = LLM(**options).llm_engine
    except Exception as error:
        text = str(error).strip().splitlines()
        connection.send(("failed", f"{type(error).__name__}: {text[-1] if text else ''}"))
        return
    connection.send(("ready", None))
    number = 0
    while True:
        kind, rows = connection.recv()
        number += 1
        run(engine, connection, kind, rows, number)
        connection.send(("end", None))


def run(
    engine: Any, connection: Connection, kind: str, rows: Sequence[dict[str, Any]], number: int
) -> None:
    """Add all rows of a job, step until none is left, send ``("done", (item, result))`` each."""
    by_id: dict[str, dict[str, Any]] = {}
    more = rows
    while more or engine.has_unfinished_requests():
        for row in more:
            name = f"{number}-{row['item']}"
            by_id[name] = row
            engine.add_request(name, {"prompt_token_ids": list(row["ids"])}, _parameters(kind, row))
        more = connection.recv()[1] if connection.poll() else ()
        for output in engine.step():
            if output.finished:
                row = by_id.pop(output.request_id)
                result = _written(output) if kind == "chat" else _scored(output, row["context"])
                connection.send(("done", (row["item"], result)))


def _parameters(kind: str, row: dict[str, Any]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    last = RequestOutputKind.FINAL_ONLY  # else every step copies all tokens so far
    if kind == "logprobs":
        return SamplingParams(
            temperature=0, max_tokens=1, prompt_logprobs=1, detokenize=False, output_kind=last
        )
    return SamplingParams(
        temperature=row["temperature"],
        top_p=row["top_p"],
        seed=row["seed"],
        max_tokens=row["room"],
        stop=row["stop"] or None,
        stop_token_ids=row["end_ids"],
        skip_special_tokens=False,
        output_kind=last,
    )


def _written(output: Any) -> tuple[list[int], bool]:
    """Token ids, and whether the limit ended the text."""
    answer = output.outputs[0]
    if answer.finish_reason in ("error", "abort"):
        raise RuntimeError(f"vLLM ended request {output.request_id}: {answer.finish_reason}")
    return list(answer.token_ids), answer.finish_reason == "length"


def _scored(output: Any, context: int) -> tuple[float, int, bool]:
    """Sum of the log-probabilities of the tokens after ``context``, their number, all greedy?"""
    total, greedy = 0.0, True
    ids, found = output.prompt_token_ids, output.prompt_logprobs
    for place in range(context, len(ids)):
        entry = found[place][ids[place]]
        total += entry.logprob
        greedy = greedy and entry.rank == 1
    return total, len(ids) - context, greedy


if __name__ == "__main__":
    main(int(sys.argv[1]))
