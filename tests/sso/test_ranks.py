"""What the first process makes, all have; alone, nothing is sent."""

from __future__ import annotations

import pytest

from sso.ranks import Ranks


def test_one_process_is_the_first_and_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = Ranks.join()
    assert (ranks.rank, ranks.world, ranks.first) == (0, 1, True)
    assert ranks.from_first(lambda: 7) == 7
    assert ranks.gathered("a") == ["a"]
    with pytest.raises(ValueError, match="mine"):
        ranks.from_first(lambda: int("mine"))
