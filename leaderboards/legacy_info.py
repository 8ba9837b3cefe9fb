"""Facts of figures that carry none: the paper's, and runs made before scores and runs carried them.

Nothing new is added here: a benchmark states its facts itself (``harness.benchmarks``), and so does
an arm (``sso.arms``).
"""

from __future__ import annotations

from leaderboards.benchmark_info import ArmInfo, BenchmarkInfo, InfoColumn, ScoreInfo

BENCHMARKS: dict[str, BenchmarkInfo] = {
    "alpaca_eval": BenchmarkInfo(
        "AlpacaEval 2.0",
        (
            InfoColumn("length", "Len", 10, "length", better=0, item_metrics=("characters",)),
            InfoColumn("ae2_lc", "AE2", 20, "lc_win_rate", item_metrics=("win_rate", "preference")),
            InfoColumn("ae2_wr", "AE2 WR", 80, "win_rate", item_metrics=("preference",)),
        ),
        minimum_effect=5.0,
    ),
    "mt_bench": BenchmarkInfo(
        "MT-Bench",
        (InfoColumn("mt_bench", "MT", 30, "average", item_metrics=("rating", "score")),),
        minimum_effect=0.8,
    ),
    "gpqa": BenchmarkInfo("GPQA", (InfoColumn("gpqa", "GPQA", 40),), 10.0, gated=True),
    "mmlu_pro": BenchmarkInfo("MMLU-Pro", (InfoColumn("mmlu_pro", "MMLU-Pro", 50),), 1.5),
    "math": BenchmarkInfo("MATH", (InfoColumn("math", "MATH", 60),), 2.5),
    "gsm8k": BenchmarkInfo("GSM8K", (InfoColumn("gsm8k", "GSM8K", 70),), 4.0),
    "mmlu": BenchmarkInfo("MMLU", (InfoColumn("mmlu", "MMLU", 90),), 1.5),
    "ifeval": BenchmarkInfo("IFEval", (InfoColumn("ifeval", "IFEval", 100),), 6.0),
    "pair_accuracy": BenchmarkInfo(
        "Pair accuracy",
        (InfoColumn("pair_accuracy", "Pair acc.", 110, "accuracy", item_metrics=("correct",)),),
        8.0,
        kind="pairs",
    ),
    "arena_hard": BenchmarkInfo(
        "Arena-Hard",
        (InfoColumn("arena_hard", "AH", 120, item_metrics=("preference",)),),
        minimum_effect=4.0,
    ),
    "rewardbench": BenchmarkInfo(
        "RewardBench",
        (
            InfoColumn("average", "Average", 200, "average", item_metrics=("correct",)),
            InfoColumn("chat", "Chat", 201, "chat"),
            InfoColumn("chat_hard", "Chat Hard", 202, "chat_hard"),
            InfoColumn("safety", "Safety", 203, "safety"),
            InfoColumn("reasoning", "Reasoning", 204, "reasoning"),
        ),
        minimum_effect=2.0,
    ),
}

ARMS: dict[str, ArmInfo] = {
    "base": ArmInfo("base", -1),
    "ultrafeedback": ArmInfo("UltraFeedback", 10),
    "pbaa": ArmInfo("PBAA", 20),
    "pbaa-generator": ArmInfo("PBAA generator", 30, ablation=True),
    "sso-joint": ArmInfo("SSO (joint)", 40),
    "sso": ArmInfo("SSO", 50),
    "without-w": ArmInfo("SSO w/o W", 60, ablation=True),
    "without-g": ArmInfo("SSO w/o G", 70, ablation=True),
    "without-w-g": ArmInfo("SSO w/o W, G", 80, ablation=True),
    "sso-plus": ArmInfo("SSO, L+ only", 90, ablation=True),
    "sso-minus": ArmInfo("SSO, L- only", 91, ablation=True),
    "skywork-80k-v0.2": ArmInfo("Skywork 80K v0.2", 210),
    "skywork-80k-v0.2+ultrafeedback": ArmInfo("Skywork 80K v0.2 + UltraFeedback", 211),
    "skywork-80k-v0.2+pbaa": ArmInfo("Skywork 80K v0.2 + PBAA", 212),
    "skywork-80k-v0.2+sso": ArmInfo("Skywork 80K v0.2 + SSO", 213),
    "skywork": ArmInfo("Skywork", 200),
    "skywork+synthetic": ArmInfo("Skywork + synthetic", 201),
    "skywork+ultrafeedback": ArmInfo("Skywork + UltraFeedback", 202),
}
"""Arms of runs whose ``run.json`` does not describe them, and of the paper."""


def score_info(benchmark: str, metric: str, headline: bool) -> ScoreInfo:
    """The facts of a score that carries none; an unknown benchmark is shown under its own name."""
    info = BENCHMARKS.get(benchmark) or BenchmarkInfo(
        benchmark, (InfoColumn(benchmark, benchmark),)
    )
    return info.of_score(metric, headline)


def arm_info(arm: str) -> ArmInfo:
    """How an arm of an older run is shown; an unknown one under its own name, last."""
    return ARMS.get(arm) or ArmInfo(arm)
