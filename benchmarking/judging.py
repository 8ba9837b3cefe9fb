"""How fast verdicts are obtained and read back, beside alpaca_eval's and FastChat's own clients.

A server process answers every chat completion after a fixed latency and refuses (429) what is above
its limit of requests in flight: 200 ms and 50 requests give at most 250 verdicts per second.

- our client: ``ServerJudge.preferences`` into an empty store, from a cold start, twice: told the limit
  (``judge.concurrency``), as the two others are, and finding it by itself;
- alpaca_eval: its ``openai_completions`` with ``num_procs`` equal to the server's limit;
- FastChat: its ``chat_completion_openai`` in a pool of as many threads as the limit, as its
  ``gen_judgment --parallel`` does. It needs openai < 1, which is installed into a temporary folder
  (``--old-openai DIR`` to use one that is there).

Each client runs in a process of its own, after its imports, on the same comparisons, one after the
other and in rotation (``--rounds``); the best round of each counts. Then 10,000 verdicts
are read back from a store, and peak memory is taken while 1,000 and 100,000 verdicts stream by.

    python benchmarking/judging.py [--requests 10000] [--rounds 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MODEL = "gpt-4-1106-preview"
TOPS = [
    {"token": "M", "bytes": [77], "logprob": -0.2},
    {"token": "m", "logprob": -1.7, "bytes": [109]},
]
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "finish_reason": "length",
            "message": {"role": "assistant", "content": "M"},
            "logprobs": {"content": [{**TOPS[0], "top_logprobs": TOPS}]},
        }
    ],
    "usage": {"prompt_tokens": 700, "completion_tokens": 1, "total_tokens": 701},
}


# The server


async def serve(latency_s: float, limit: int) -> None:
    """Print the port, then answer until killed."""
    in_flight = 0
    good = _response(200, ANSWER)
    busy = _response(429, {"error": {"message": "Rate limit reached", "type": "requests"}})

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal in_flight
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                mark = head.lower().index(b"content-length:") + 15
                await reader.readexactly(int(head[mark : head.index(b"\r\n", mark)]))
                if in_flight >= limit:
                    writer.write(busy)
                    continue
                in_flight += 1
                try:
                    await asyncio.sleep(latency_s)
                finally:
                    in_flight -= 1
                writer.write(good)
        writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _response(status: int, body: Any) -> bytes:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return head.encode() + b"\r\n\r\n" + text


@contextlib.contextmanager
def running_server(latency_s: float, limit: int) -> Iterator[str]:
    """Address of a server in a process of its own."""
    command = [sys.executable, __file__, "serve", str(latency_s), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


# What is judged


def comparisons(n: int) -> Iterator[Any]:
    """Comparisons of the size of AlpacaEval's (about 2 kB a prompt)."""
    from judges import Comparison

    for i in range(n):
        yield Comparison(
            item_id=str(i),
            instruction=f"Question {i}: " + "what is it about " * 10,
            output_1="It is about several things. " * 25,
            output_2=f"Answer {i}. " + "It depends on many things. " * 25,
        )


# The clients, each printing seconds for n verdicts


def ours(url: str, n: int, limit: int, concurrency: int = 0) -> float:
    """Cold start: empty store; told the limit, as the other clients are."""
    import aiohttp  # noqa: F401  (imports are not what is measured)

    from judges import JudgeSettings, open_judge
    from judges.client import ClientSettings

    items = list(comparisons(n))
    settings = ClientSettings(concurrency=concurrency or limit)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "v.sqlite"
        judge = open_judge(JudgeSettings(MODEL, url, client=settings), store)
        began = time.perf_counter()
        verdicts = judge.preferences(items)
        seconds = time.perf_counter() - began
    assert all(v.state == "ok" for v in verdicts)
    return seconds


def ours_unaided(url: str, n: int, limit: int) -> float:
    """The same, finding the limit by itself below a maximum far above it."""
    return ours(url, n, limit, concurrency=128)


def alpaca_eval(url: str, n: int, limit: int) -> float:
    """alpaca_eval's OpenAI client on the same prompts, one process, ``num_procs`` = limit."""
    from alpaca_eval.decoders.openai import openai_completions

    from judges.protocols import weighted_preference

    prompts = [
        "".join(
            f"<|im_start|>{m['role']}\n{m['content']}\n<|im_end|>\n"
            for m in weighted_preference.request(item).messages
        ).strip()
        for item in comparisons(n)
    ]
    began = time.perf_counter()
    done = openai_completions(
        prompts,
        model_name=MODEL,
        max_tokens=1,
        temperature=1,
        logprobs=True,
        top_logprobs=5,
        num_procs=limit,
        openai_api_base=url,
        openai_api_keys=["none"],
        openai_organization_ids=None,
        client_config_path="/nonexistent",
    )
    seconds = time.perf_counter() - began
    assert len(done["completions"]) == n
    return seconds


def fastchat(url: str, n: int, limit: int) -> float:
    """FastChat's judge call in threads, as ``gen_judgment --parallel`` makes them."""
    import types

    sys.modules.setdefault("anthropic", types.ModuleType("anthropic"))
    from fastchat.llm_judge.common import chat_completion_openai, get_conversation_template

    from judges.protocols import weighted_preference

    chats = []
    for item in comparisons(n):
        system, user = weighted_preference.request(item).messages
        chat = get_conversation_template("gpt-4")
        chat.set_system_message(system["content"])
        chat.append_message(chat.roles[0], user["content"])
        chat.append_message(chat.roles[1], None)
        chats.append(chat)
    access = {"api_base": url, "api_key": "none"}
    began = time.perf_counter()
    with ThreadPoolExecutor(limit) as pool:
        done = list(
            pool.map(lambda chat: chat_completion_openai("gpt-4", chat, 0, 1, access), chats)
        )
    seconds = time.perf_counter() - began
    assert done == ["M"] * n
    return seconds


# Reading back


def cached_read(n: int) -> float:
    """Seconds in which a judge gives n verdicts that its store holds."""
    from judges import JudgeSettings, open_judge

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.sqlite"
        items = list(comparisons(n))
        fill(path, items)
        began = time.perf_counter()
        verdicts = open_judge(JudgeSettings(MODEL, offline=True), path).preferences(items)
        seconds = time.perf_counter() - began
    assert all(v.cached and v.state == "ok" for v in verdicts)
    return seconds


def fill(path: Path, items: Iterable[Any]) -> None:
    """Put a reply to each comparison into a store, as if it had been paid for."""
    from judges.protocols import weighted_preference
    from judges.store import VerdictStore
    from judges.stored_reply import StoredReply

    store, rows = VerdictStore(path), []
    for item in items:
        request = weighted_preference.request(item)
        rows.append(StoredReply.of(request, MODEL, ANSWER))
        if len(rows) == 1000:
            store.put(rows)
            rows = []
    store.put(rows)
    store.close()


def peak_memory(path: Path, n: int) -> float:
    """Peak resident MB of this process after n stored verdicts have streamed through the client."""
    from judges.client import Client, Server
    from judges.prices import Budget
    from judges.protocols import weighted_preference
    from judges.store import VerdictStore

    async def stream() -> int:
        client = Client(Server(MODEL), MODEL, VerdictStore(path), Budget(None))
        requests = (weighted_preference.request(item) for item in comparisons(n))
        return sum([1 async for answer in client.ask(requests) if answer.cached])

    assert asyncio.run(stream()) == n
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# Putting it together

CLIENTS = {
    "ours": ours,
    "ours_unaided": ours_unaided,
    "alpaca_eval": alpaca_eval,
    "fastchat": fastchat,
}


def in_process(*arguments: str, env: dict[str, str] | None = None) -> float:
    """Run one part of this file in a process of its own; the last line it prints is its figure."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": "none", "PYTHONWARNINGS": "ignore", **(env or {})},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def old_openai(folder: Path | None, scratch: Path) -> Path:
    """A folder with openai < 1, for FastChat's client."""
    if folder is None:
        folder = scratch / "old-openai"
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        subprocess.run([*command, str(folder), "openai==0.28.1"], check=True)
    return folder


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """All figures; prints them as they come."""
    seconds: dict[str, list[float]] = {name: [] for name in CLIENTS}
    n, limit = arguments.requests, arguments.limit
    ceiling = limit / arguments.latency
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        paths = {"fastchat": {"PYTHONPATH": str(old_openai(arguments.old_openai, scratch))}}
        for turn in range(arguments.rounds):
            first = turn % len(CLIENTS)
            order = [*CLIENTS][first:] + [*CLIENTS][:first]
            for client in order:
                with running_server(arguments.latency, limit) as url:
                    took = in_process(client, url, str(n), str(limit), env=paths.get(client))
                seconds[client].append(took)
                print(f"{client:12} {n / took:7.1f} verdicts/s of {ceiling:.0f}", flush=True)
        reads = min(in_process("cached_read", "10000") for _ in range(arguments.rounds))
        print(f"10,000 stored verdicts read in {reads:.2f} s", flush=True)
        fill(scratch / "m.sqlite", comparisons(arguments.stream))
        memory = [
            in_process("peak_memory", str(scratch / "m.sqlite"), str(count))
            for count in (1000, arguments.stream)
        ]
        print(
            f"peak memory {memory[0]:.1f} MB for 1,000, {memory[1]:.1f} MB for {arguments.stream}"
        )
    rate = {client: n / min(times) for client, times in seconds.items()}
    return {
        "throughput_vs_limit": rate["ours"] / ceiling,
        "throughput_vs_limit_unaided": rate["ours_unaided"] / ceiling,
        "throughput_vs_alpaca_eval": rate["ours"] / rate["alpaca_eval"],
        "throughput_vs_fastchat": rate["ours"] / rate["fastchat"],
        "cached_read_seconds": reads,
        "verdicts_per_second": rate["ours"],
        "alpaca_eval_verdicts_per_second": rate["alpaca_eval"],
        "fastchat_verdicts_per_second": rate["fastchat"],
        "memory_growth": memory[1] / memory[0],
    }


def main() -> None:
    """Parse the command line; the parts that run as processes of their own come first."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "serve":
        asyncio.run(serve(float(sys.argv[2]), int(sys.argv[3])))
    elif part in CLIENTS:
        print(CLIENTS[part](sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    elif part == "cached_read":
        print(cached_read(int(sys.argv[2])))
    elif part == "peak_memory":
        print(peak_memory(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
        parser.add_argument("--requests", type=int, default=10_000)
        parser.add_argument("--rounds", type=int, default=2)
        parser.add_argument("--latency", type=float, default=0.2, help="seconds")
        parser.add_argument("--limit", type=int, default=50, help="requests in flight")
        parser.add_argument("--stream", type=int, default=100_000, help="verdicts for the memory")
        parser.add_argument("--old-openai", type=Path, help="folder that holds openai < 1")
        parser.add_argument("--json", type=Path)
        arguments = parser.parse_args()
        figures = measure(arguments)
        for name, value in figures.items():
            print(f"{name:32} {value:.4g}")
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
