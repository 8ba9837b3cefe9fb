"""Compares a run with a baseline and gathers the verdict of the gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import UserError, did_you_mean
from leaderboards.compare import Comparison, ItemStore, compare_rows, flipped_items
from leaderboards.gate.baseline import (
    Record,
    Side,
    checkpoints,
    headline_records,
    load_baseline,
    parse_baseline,
    stored_id,
)
from leaderboards.gate.decide import OTHER_EFFECT, Decision, decide
from leaderboards.gate.matching import Pair, common_seeds, is_usable, paired_records, remarks_of
from leaderboards.gate.policy import GatePolicy
from leaderboards.gate.result import GateCheck, GateResult
from leaderboards.statistics.power import detectable_difference


def check(
    run: Path | str,
    baseline: Path | str,
    policy: GatePolicy | None = None,
    history: str | None = None,
) -> GateResult:
    """Check ``run`` against ``baseline``: a run folder, a baseline file, or ``history:BRANCH``.

    Without a policy the last iteration of every arm is checked, on the benchmarks that the baseline
    has. ``history`` is the history's file or URL.

    Raises:
        UserError: a side can't be read, protocols or items differ (it names which), or nothing can
            be compared.
    """
    policy = policy or GatePolicy()
    records = checkpoints(headline_records([run]), policy.arm, policy.iteration)
    after, before = Side(str(run), tuple(records), {}), _baseline(baseline, history)
    _known_names(before, after, policy)
    pairs = paired_records(before, after, policy)
    remarks = remarks_of(pairs, before, after, policy)
    pairs = [common_seeds(*pair) for pair in pairs]
    store = ItemStore(before.items, rename=stored_id if before.items else None)
    found = [compare_rows(a, b, store) if b and is_usable(b) else None for a, b in pairs]
    effects = [_effect(*pair, policy) for pair in pairs]
    decisions = _decisions(pairs, found, effects, policy)
    checks = tuple(
        _check(pair, one, effect, decision, policy, store)
        for pair, one, effect, decision in zip(pairs, found, effects, decisions, strict=True)
    )
    return GateResult(after.name, before.name, checks, policy, remarks)


def _baseline(baseline: Path | str, history: str | None) -> Side:
    text = str(baseline)
    if text.startswith("history:"):
        from leaderboards.history import DEFAULT_URL, History

        branch = text.removeprefix("history:")
        with History(history or DEFAULT_URL, only_read=True) as kept:
            return parse_baseline(kept.baseline(branch), text)
    path = Path(baseline)
    if path.is_file():
        return load_baseline(path)
    if not path.exists():
        raise UserError(f"no such baseline (a run folder or a file): {path}")
    return Side(text, tuple(headline_records([path])), {})


def _known_names(before: Side, after: Side, policy: GatePolicy) -> None:
    known = sorted({record["benchmark"] for side in (before, after) for record in side.records})
    for name in policy.named:
        if name not in known:
            raise UserError(
                f"no benchmark {name!r} in the run or the baseline ({did_you_mean(name, known)})"
            )


def _effect(first: Record, second: Record | None, policy: GatePolicy) -> float:
    """The smallest loss that matters: the policy's, else the one that the benchmark states."""
    record = second or first
    stated = policy.effect(record["benchmark"]) or record["info"].minimum_effect
    return OTHER_EFFECT[record["unit"]] if stated is None else float(stated)


def _decisions(
    pairs: Sequence[Pair],
    found: Sequence[Comparison | None],
    effects: Sequence[float],
    policy: GatePolicy,
) -> list[Decision]:
    """Decisions in order; advisory benchmarks are a family of their own in the correction."""
    decided: dict[int, Decision] = {}
    advisory = [policy.tier(first["benchmark"]) == "advisory" for first, _ in pairs]
    for family in (True, False):
        chosen = [i for i, is_advisory in enumerate(advisory) if is_advisory == family]
        made = decide([found[i] for i in chosen], [effects[i] for i in chosen], policy.alpha)
        decided.update(zip(chosen, made, strict=True))
    return [decided[i] for i in range(len(pairs))]


def _check(
    pair: Pair,
    found: Comparison | None,
    effect: float,
    decision: Decision,
    policy: GatePolicy,
    store: ItemStore,
) -> GateCheck:
    first, second = pair
    known = found is not None and math.isfinite(found.stderr)
    usable = second if is_usable(second) else None
    absent = "not evaluated in this run" if second is None else "withheld: no usable figure"
    lost, gained = flipped_items(first, usable, store) if usable else ((), ())
    return GateCheck(
        benchmark=first["benchmark"],
        metric=first["metric"],
        arm=first["arm"],
        iteration=first["iteration"],
        tier=policy.tier(first["benchmark"]),
        status=decision.status if usable else "missing",
        reason=decision.reason if usable else absent,
        before=first["value"],
        after=usable["value"] if usable else None,
        difference=found.difference if found else None,
        stderr=found.stderr if found and known else None,
        p_worse=decision.p_worse,
        largest_loss=decision.largest_loss if math.isfinite(decision.largest_loss) else None,
        minimum_effect=effect,
        detectable=detectable_difference(found.stderr) if found and known else None,
        n=found.n if found else 0,
        method=found.method if found else "",
        lost=tuple(map(stored_id, lost)),
        gained=tuple(map(stored_id, gained)),
    )
