"""Budgets in calls and dollars, across restarts, and the estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError, JudgeSettings, open_judge
from judges.errors import BudgetError
from judges.prices import DEFAULT_TABLE
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import budget_judge, comparisons


def test_a_budget_in_calls_is_never_exceeded(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.01) as server:
        judge = budget_judge(server, tmp_path, max_calls=25)
        with pytest.raises(BudgetError, match="25 calls does not cover"):
            judge.preferences(comparisons(60))
        assert sum(server.answered.values()) == 25
        assert judge.spent()["calls"] == 25
        more = budget_judge(server, tmp_path, max_calls=35)
        assert len(more.preferences(comparisons(60))) == 60
        assert sum(server.answered.values()) == 60


def test_a_budget_in_dollars_counts_what_is_in_flight(tmp_path: Path) -> None:
    # 100 prompt tokens at $10 and 1 completion token at $30 a million: $0.00103 a call.
    with FaultyServer(latency_s=0.01, fault_share=0.2, stall_s=1) as server:
        judge = budget_judge(server, tmp_path, max_cost=0.0515)
        with pytest.raises(BudgetError, match=r"\$0.05"):
            judge.preferences(comparisons(100))
    spent = judge.spent()
    assert spent["cost_usd"] == pytest.approx(spent["calls"] * 0.00103)
    assert spent["calls"] == sum(server.answered.values())
    # Reservations are above the true cost, so the budget is not overrun; it is nearly used.
    reserved = judge.budget.upper_bound(_one_request())
    assert reserved > 0.00103
    assert 0.0515 - reserved <= spent["cost_usd"] <= 0.0515


def _one_request() -> Any:
    from judges.protocols import weighted_preference

    return weighted_preference.request(comparisons(1)[0])


def test_a_resumed_run_knows_what_it_spent(tmp_path: Path) -> None:
    with FaultyServer() as server:
        first = budget_judge(server, tmp_path, max_calls=10, scope="run-1")
        first.preferences(comparisons(8))
        second = budget_judge(server, tmp_path, max_calls=10, scope="run-1")
        with pytest.raises(BudgetError):
            second.preferences(comparisons(20))
        assert sum(server.answered.values()) == 10


def test_two_judges_of_one_run_share_its_budget(tmp_path: Path) -> None:
    with FaultyServer() as server:
        first, second = (
            budget_judge(server, tmp_path, max_calls=10, scope="run-1") for _ in range(2)
        )
        first.preferences(comparisons(8))
        second.refresh_budget()
        assert second.spent()["calls"] == 8
        with pytest.raises(BudgetError):
            second.preferences(comparisons(20))
        assert sum(server.answered.values()) == 10


def test_estimate_from_the_table(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = budget_judge(server, tmp_path, max_cost=1.0)
    # 805 calls, 700,000 prompt tokens at $10 and 200 completion tokens a call at $30 a million.
    assert judge.estimate(805, 700_000) == pytest.approx(7.0 + 805 * 200 * 30e-6)


def test_price_table_without_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(
        JudgeError, match=r"no price of model 'gpt-4-1106-previeu' \(did you mean 'gpt-4-1"
    ):
        open_judge(JudgeSettings("gpt-4-1106-previeu"), tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match="no price of model 'm'"):
        open_judge(JudgeSettings("m", "http://h:1/v1", max_cost=1.0), tmp_path / "v.sqlite")
    open_judge(JudgeSettings("m", "http://h:1/v1"), tmp_path / "v.sqlite")


@pytest.mark.parametrize(
    "text", ["- a", "models: {m: {input: x, output: 1}}", "models: {m: 3}", ":"]
)
def test_a_broken_price_table(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(JudgeError, match=r"p.yaml: no price table"):
        open_judge(JudgeSettings("m", "http://h:1/v1", prices=path), tmp_path / "v.sqlite")


@pytest.mark.parametrize("price", [".nan", ".inf", "-1", "true and false", "1e999"])
def test_a_price_that_is_no_amount_is_refused(price: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"models: {{m: {{input: {price}, output: 1}}}}")
    with pytest.raises(JudgeError, match=r"p.yaml: no price table"):
        open_judge(JudgeSettings("m", "http://h:1/v1", prices=path), tmp_path / "v.sqlite")


def test_an_unpriced_judge_needs_a_bound_on_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(
        JudgeError, match=r"no price of model 'new'.*--judge-prices FILE.*--max-calls"
    ):
        open_judge(JudgeSettings("new"), tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match="no price of model 'new'"):
        open_judge(JudgeSettings("new", max_calls=9, max_cost=1.0), tmp_path / "v.sqlite")
    judge = open_judge(JudgeSettings("new", max_calls=9), tmp_path / "v.sqlite")
    assert judge.notes == [
        f"no price of new in {DEFAULT_TABLE}: its cost is not counted, 9 calls at most"
    ]
