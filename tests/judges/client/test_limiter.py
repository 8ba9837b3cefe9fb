"""The limiter by hand, and against a server with a limit."""

from __future__ import annotations

import asyncio
from pathlib import Path

from judges.client.limiter import AdaptiveLimiter
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import comparisons, judge_on


def test_concurrency_comes_down_to_what_the_server_takes(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.1, limit=8) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=64)
        verdicts = judge.preferences(comparisons(150))
    assert all(v.state == "ok" for v in verdicts)
    assert judge.limiter.window < 32
    assert judge.limiter.cuts >= 1
    # Found out after the first rounds: without adapting, 56 of 64 would be refused each round.
    assert server.statuses["limit"] < 150


def test_limiter_by_hand() -> None:
    async def play() -> None:
        limiter = AdaptiveLimiter(100, start=4)
        tickets = [await limiter.acquire() for _ in range(4)]
        assert not limiter.has_room()
        for _ in tickets:
            limiter.succeeded()
        assert limiter.window == 8
        tickets = [await limiter.acquire() for _ in range(8)]
        shrunk = []
        for ticket in tickets[:5]:
            limiter.limited(ticket, None)
            shrunk.append(limiter.window)
        assert shrunk == [7, 6, 5, 4, 4], "what is still in flight, but half a round trip at most"
        for _ in range(3):
            limiter.succeeded()
        assert limiter.in_flight == 0
        for _ in range(3 * 4 - 3):
            assert limiter.window == 4, "just below what was refused"
            await limiter.acquire()
            limiter.succeeded()
        await limiter.acquire()
        limiter.succeeded()
        assert limiter.window == 5, "probes after three round trips"

    asyncio.run(play())


def test_the_limit_is_found_in_the_first_round_trips() -> None:
    """A server that takes 50: the window doubles to 64, 14 are refused, 50 are left."""

    async def play() -> None:
        limiter = AdaptiveLimiter(128, start=32)
        for _ in range(await take_all(limiter)):
            limiter.succeeded()
        assert limiter.window == 64
        in_flight = await take_all(limiter)
        for _ in range(in_flight - 50):
            limiter.limited(0, None)
        assert (limiter.window, limiter.in_flight) == (50, 50)

    async def take_all(limiter: AdaptiveLimiter) -> int:
        while limiter.has_room():
            limiter.take()
        return limiter.in_flight

    asyncio.run(play())


def test_who_waits_for_a_slot_gets_it_before_who_comes_later() -> None:
    async def play() -> list[str]:
        limiter, got = AdaptiveLimiter(1), []
        limiter.take()

        async def wait(name: str) -> None:
            await limiter.acquire()
            got.append(name)

        first, second = asyncio.create_task(wait("first")), asyncio.create_task(wait("second"))
        await asyncio.sleep(0)
        limiter.succeeded()
        assert not limiter.has_room(), "the slot is the first one's, though it has not run yet"
        await asyncio.sleep(0)
        second.cancel()
        limiter.succeeded()
        await asyncio.gather(first, second, return_exceptions=True)
        assert limiter.in_flight == 0, "a slot given to one that was cancelled comes back"
        return got

    assert asyncio.run(play()) == ["first"]
