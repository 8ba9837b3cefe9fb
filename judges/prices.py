"""What judging costs: a table of prices that a user can replace, and a budget that holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from groundwork.errors import did_you_mean
from judges.errors import BudgetError, JudgeError
from judges.request import JudgeRequest

DEFAULT_TABLE = Path(__file__).parent / "data" / "prices.yaml"
CHARACTERS_PER_TOKEN = 3.0
"""On the safe side for English (about 4) when a prompt's tokens are reserved before sending."""
EXPECTED_COMPLETION_TOKENS = 200
"""Of one explained verdict. GPT-4's published MT-Bench judgments of the two models in the shared
data have 170 and 219 tokens on average (characters / 4)."""


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens. ``batch`` is the share that the batch API charges."""

    input: float
    output: float
    batch: float = 1.0

    def cost(self, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float:
        """US dollars of one request."""
        share = self.batch if batch else 1.0
        tokens = prompt_tokens * self.input + completion_tokens * self.output
        return share * tokens / 1_000_000


@dataclass(frozen=True)
class PriceTable:
    """Prices by model name."""

    path: Path
    models: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of a model, ``None`` when the table lacks it."""
        return self.models.get(model)

    def missing(self, model: str) -> JudgeError:
        """The error for a model that the table lacks; names the nearest one."""
        return JudgeError(
            f"{self.path}: no price of model {model!r} ({did_you_mean(model, self.models)}); give a "
            "table that has it (--judge-prices FILE), or bound the calls (--max-calls N)"
        )


def load_prices(path: Path | None = None) -> PriceTable:
    """Read a price table.

    Raises:
        JudgeError: the file is unreadable or holds something else than prices.
    """
    import yaml

    path = path or DEFAULT_TABLE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        batch = float(content.get("batch", 1.0))
        models = {str(name): _price(row, batch) for name, row in content["models"].items()}
    except OSError as error:
        raise JudgeError(f"{path}: {error.strerror}") from None
    except (
        yaml.YAMLError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise JudgeError(
            f"{path}: no price table ({(str(error) or '-').splitlines()[0]})"
        ) from None
    return PriceTable(path, models)


def _price(row: Mapping[str, Any], batch: float) -> Price:
    price = Price(float(row["input"]), float(row["output"]), float(row.get("batch", batch)))
    for name in ("input", "output", "batch"):
        if not 0 <= getattr(price, name) < math.inf:
            raise ValueError(f"{name} price {getattr(price, name)} is no amount of dollars")
    return price


class Ledger(Protocol):
    """What all processes of a run have spent and set aside."""

    def reserve(
        self, cost: float, max_calls: int | None, max_cost: float | None
    ) -> tuple[int, float] | None:
        """Set a cost aside: calls and dollars spent so far; ``None`` where the budget is used up."""

    def unreserve(self, cost: float) -> None:
        """Give a reservation up."""


class Budget:
    """Dollars and calls that may still be spent, counting what is in flight.

    ``reserve`` takes the most that a request can cost before it is sent; ``settle`` replaces that by
    the true cost. ``spent``: calls and dollars already booked under the same scope (a run that was
    killed and is resumed). With a ``ledger`` the bound holds for all processes that share it.
    """

    def __init__(
        self,
        price: Price | None,
        *,
        max_cost: float | None = None,
        max_calls: int | None = None,
        spent: tuple[int, float] = (0, 0.0),
        ledger: Ledger | None = None,
    ) -> None:
        if max_cost is not None and not 0 <= max_cost < math.inf:
            raise JudgeError(f"a judging budget of {max_cost} dollars is no amount")
        self.price = price
        self.max_cost = max_cost
        self.max_calls = max_calls
        self.calls, self.cost = spent
        self.ledger = ledger if (max_cost, max_calls) != (None, None) else None
        self.reserved_calls = 0
        self.reserved_cost = 0.0

    def upper_bound(self, request: JudgeRequest, *, batch: bool = False) -> float:
        """The most that one request can cost, in US dollars (0 without a price)."""
        if self.price is None:
            return 0.0
        prompt = int(request.characters() / CHARACTERS_PER_TOKEN) + 8 * (len(request.messages) + 1)
        limits = [request.params.get(name, 0) for name in ("max_tokens", "max_completion_tokens")]
        return self.price.cost(prompt, int(max(limits)), batch=batch)

    def reserve(self, request: JudgeRequest, *, batch: bool = False) -> float | None:
        """Set the request's upper bound aside; ``None`` when the budget does not cover it now."""
        bound = self.upper_bound(request, batch=batch)
        if self.ledger is not None:
            spent = self.ledger.reserve(bound, self.max_calls, self.max_cost)
            if spent is None:
                return None
            self.calls, self.cost = spent
            self.reserved_calls += 1
            self.reserved_cost += bound
            return bound
        calls = self.calls + self.reserved_calls
        if self.max_calls is not None and calls + 1 > self.max_calls:
            return None
        if self.max_cost is not None and self.cost + self.reserved_cost + bound > self.max_cost:
            return None
        self.reserved_calls += 1
        self.reserved_cost += bound
        return bound

    def settle(self, bound: float, cost: float | None) -> None:
        """Replace a reservation by its cost; ``None``: nothing was answered, nothing is charged."""
        if self.ledger is not None:
            self.ledger.unreserve(bound)
        self.reserved_calls -= 1
        self.reserved_cost = max(0.0, self.reserved_cost - bound)
        if cost is not None:
            self.book(cost)

    def book(self, cost: float) -> None:
        """Count one answered request and its cost."""
        self.calls += 1
        self.cost += cost

    def exhausted(self, missing: int) -> BudgetError:
        """The error that ends a run for want of budget."""
        limits = []
        if self.max_cost is not None:
            limits.append(f"${self.max_cost:.2f}")
        if self.max_calls is not None:
            limits.append(f"{self.max_calls} calls")
        return BudgetError(
            f"the judging budget of {' and '.join(limits)} does not cover the next request "
            f"(spent ${self.cost:.4f} in {self.calls} calls, at least {missing} to go); "
            "verdicts so far are kept: raise the budget and run the same command again"
        )
