"""The layouts of the paper's tables, each one declarative description.

A layout names its rows (which iterations, how they are grouped and labelled) and the keys of its
columns; headings come with the scores. Adding a table is adding one ``Layout`` to ``LAYOUTS``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from groundwork.errors import UserError, did_you_mean
from leaderboards.benchmark_info import Kind

DECIMALS = {"percent": 1, "points": 2, "characters": 0, "nats": 3, "pairs": 0}


@dataclass(frozen=True)
class Column:
    """A table column: its key, heading, decimals, whether higher is better (1) or the figure is shown
    but never ranked (0), and the kind of its figures."""

    key: str
    label: str
    decimals: int = 1
    better: int = 1
    kind: Kind = "benchmark"


def columns_of(records: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """The columns that the records state, by key, in table order."""
    found = {
        (r["info"].order, r["info"].column): Column(
            r["info"].column,
            r["info"].label,
            DECIMALS[r["unit"]],
            r["info"].better,
            r["info"].kind,
        )
        for r in records
        if r["info"].column
    }
    return {key: found[order, key] for order, key in sorted(found)}


WRITER_SETTINGS = ("writer_weak", "writer_strong")
STUBS: dict[str, str] = {"arm": "Method", "loss": "Loss", "iteration": "Iter."}
SUITE = ("length", "ae2_lc", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k")


@dataclass(frozen=True)
class Layout:
    """One table: ``columns`` in this order where a figure exists, with ``others`` all further ones.

    ``rows`` "all" shows every iteration, "last" the starting model and each arm's last one.
    ``stub`` are the leading columns that label a row. ``arms`` filters (empty: all)
    and orders; ``ablations`` admits every arm that is one.
    ``paper`` names the published tables that this layout regenerates (``v1:table1``).
    """

    name: str
    title: str
    columns: tuple[str, ...]
    others: bool = False
    rows: Literal["all", "last"] = "all"
    stub: tuple[str, ...] = ("arm", "iteration")
    arms: tuple[str, ...] = ()
    ablations: bool = False
    settings: tuple[str, ...] = ("online",)
    paper: tuple[str, ...] = ()


ABLATIONS = (
    "sso", "sso-joint", "without-w", "without-g", "without-w-g", "pbaa", "pbaa-generator",
)  # fmt: skip

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "iterations",
            "Scores of every iteration by arm",
            (),
            others=True,
            settings=("online", "offline"),
            paper=("v1:table1", "v1:instruct_iterations", "v1:llama3_iterations"),
        ),
        Layout(
            "summary",
            "Scores at the last iteration",
            ("ae2_lc", "mt_bench", "mmlu_pro", "math"),
            others=True,
            rows="last",
            stub=("arm",),
            settings=("online", "offline"),
            paper=("v1:table2", "v1:table7"),
        ),
        Layout(
            "ablation",
            "Ablation of the parts of the loss",
            ("length", "ae2_lc", "mt_bench"),
            rows="last",
            stub=("arm",),
            arms=ABLATIONS,
            ablations=True,
            paper=("v1:table5",),
        ),
        Layout(
            "ablation-iterations",
            "Ablation of the parts of the loss by iteration",
            ("length", "ae2_lc", "mt_bench"),
            arms=ABLATIONS,
            ablations=True,
            paper=("v1:table12",),
        ),
        Layout(
            "offline",
            "Offline training: all pairs collected once",
            SUITE,
            rows="last",
            stub=("arm",),
            settings=("offline",),
            paper=("v1:table3",),
        ),
        Layout(
            "losses",
            "DPO against IPO at the last iteration",
            ("length", "ae2_lc", "mt_bench"),
            rows="last",
            stub=("loss", "arm"),
            paper=("v1:table6",),
        ),
        Layout(
            "losses-iterations",
            "DPO against IPO by iteration",
            ("length", "ae2_lc", "ae2_wr", "mt_bench"),
            stub=("loss", "arm", "iteration"),
            paper=("v1:table8",),
        ),
        Layout(
            "one-round",
            "Scores after one round",
            ("ae2_lc", "ae2_wr", "mt_bench"),
            others=True,
            rows="last",
            stub=("loss", "arm"),
            settings=("online", "one_round"),
            paper=("v2:table1", "v2:table4", "v2:table6"),
        ),
        Layout(
            "generator-losses",
            "Generators trained on one of the two losses",
            ("ae2_lc", "arena_hard"),
            rows="last",
            stub=("arm",),
            arms=("sso", "sso-plus", "sso-minus", "pbaa"),
            settings=("online", "one_round"),
            paper=("v2:table3",),
        ),
        Layout(
            "writers",
            "Principles of a weaker and a stronger writer",
            ("ae2_lc", "mt_bench"),
            rows="last",
            stub=("arm",),
            settings=("online", "one_round", *WRITER_SETTINGS),
            paper=("v2:table5",),
        ),
        Layout(
            "reward-models",
            "Reward models on RewardBench",
            ("average", "chat", "chat_hard", "safety", "reasoning"),
            rows="last",
            stub=("arm",),
            settings=("reward_model", "online", "offline"),
            paper=("v1:table4", "v2:table2"),
        ),
    )
}


def layout_named(name: str) -> Layout:
    """The layout called ``name``; the nearest name is given for an unknown one."""
    if name not in LAYOUTS:
        raise UserError(f"no table layout {name!r} ({did_you_mean(name, LAYOUTS)})")
    return LAYOUTS[name]
