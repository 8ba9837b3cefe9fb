"""The layouts of the paper's tables, each one declarative description.

A layout names its rows (which iterations, how they are grouped and labelled) and its columns (keys
of ``COLUMNS``). Adding a table is adding one ``Layout`` to ``LAYOUTS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groundwork.errors import UserError


@dataclass(frozen=True)
class Column:
    """A table column: which score it shows and how.

    ``metric`` None means the benchmark's headline metric. ``better`` 1: higher is better; 0: the
    figure is shown but never ranked (length).
    """

    key: str
    label: str
    benchmark: str
    metric: str | None = None
    decimals: int = 1
    better: int = 1


COLUMNS: dict[str, Column] = {
    column.key: column
    for column in (
        Column("length", "Len", "alpaca_eval", "length", decimals=0, better=0),
        Column("ae2_lc", "AE2", "alpaca_eval", "lc_win_rate"),
        Column("ae2_wr", "AE2 WR", "alpaca_eval", "win_rate"),
        Column("mt_bench", "MT", "mt_bench", "average", decimals=2),
        Column("gpqa", "GPQA", "gpqa"),
        Column("mmlu_pro", "MMLU-Pro", "mmlu_pro"),
        Column("math", "MATH", "math"),
        Column("gsm8k", "GSM8K", "gsm8k"),
        Column("mmlu", "MMLU", "mmlu"),
        Column("ifeval", "IFEval", "ifeval"),
        Column("pair_accuracy", "Pair acc.", "pair_accuracy", "accuracy"),
        Column("average", "Average", "rewardbench", "average"),
        Column("chat", "Chat", "rewardbench", "chat"),
        Column("chat_hard", "Chat Hard", "rewardbench", "chat_hard"),
        Column("safety", "Safety", "rewardbench", "safety"),
        Column("reasoning", "Reasoning", "rewardbench", "reasoning"),
    )
}

STUBS: dict[str, str] = {"arm": "Method", "loss": "Loss", "iteration": "Iter."}
SUITE = ("length", "ae2_lc", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k")


@dataclass(frozen=True)
class Layout:
    """One table: ``columns`` always shown, ``extra`` shown when a figure exists.

    ``rows`` "all" shows every iteration, "last" the starting model and each arm's last one.
    ``stub`` are the leading columns that label a row. ``arms`` and ``losses`` filter (empty: all).
    ``paper`` names the tables of the paper that this layout regenerates.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    extra: tuple[str, ...] = ()
    rows: Literal["all", "last"] = "all"
    stub: tuple[str, ...] = ("arm", "iteration")
    arms: tuple[str, ...] = ()
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
            SUITE,
            extra=("ae2_wr", "mmlu", "ifeval", "pair_accuracy"),
            settings=("online", "offline"),
            paper=("table1", "instruct_iterations", "llama3_iterations"),
        ),
        Layout(
            "summary",
            "Scores at the last iteration",
            ("ae2_lc", "mt_bench", "mmlu_pro", "math"),
            extra=("length", "gpqa", "gsm8k", "mmlu", "ifeval"),
            rows="last",
            stub=("arm",),
            settings=("online", "offline"),
            paper=("table2", "table7"),
        ),
        Layout(
            "ablation",
            "Ablation of the parts of the loss",
            ("length", "ae2_lc", "mt_bench"),
            rows="last",
            stub=("arm",),
            arms=ABLATIONS,
            paper=("table5",),
        ),
        Layout(
            "ablation-iterations",
            "Ablation of the parts of the loss by iteration",
            ("length", "ae2_lc", "mt_bench"),
            arms=ABLATIONS,
            paper=("table12",),
        ),
        Layout(
            "offline",
            "Offline training: all pairs collected once",
            SUITE,
            rows="last",
            stub=("arm",),
            settings=("offline",),
            paper=("table3",),
        ),
        Layout(
            "losses",
            "DPO against IPO at the last iteration",
            ("length", "ae2_lc", "mt_bench"),
            rows="last",
            stub=("loss", "arm"),
            paper=("table6",),
        ),
        Layout(
            "losses-iterations",
            "DPO against IPO by iteration",
            ("length", "ae2_lc", "ae2_wr", "mt_bench"),
            stub=("loss", "arm", "iteration"),
            paper=("table8",),
        ),
        Layout(
            "reward-models",
            "Reward models on RewardBench",
            ("average", "chat", "chat_hard", "safety", "reasoning"),
            rows="last",
            stub=("arm",),
            settings=("reward_model", "online", "offline"),
            paper=("table4",),
        ),
    )
}


def layout_named(name: str) -> Layout:
    """The layout called ``name``; an unknown name is an error that lists the known ones."""
    if name not in LAYOUTS:
        raise UserError(f"no table layout {name!r}; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def ordered_arms(arms: list[str], layout: Layout) -> list[str]:
    """Arms of a layout in the order of the paper: base, annotated data, PBAA, SSO, then others."""
    order = layout.arms or ("ultrafeedback", "pbaa", "pbaa-generator", "sso-joint", "sso")
    if layout.arms:
        arms = [arm for arm in arms if arm in (*layout.arms, "base")]
    rank = {"base": -1, **{arm: position for position, arm in enumerate(order)}}
    return sorted(arms, key=lambda arm: rank.get(arm, len(order)))
