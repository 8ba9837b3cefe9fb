"""Runs an arm from folder to folder as the harness does, with an engine that says who speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from groundwork.stage_result import StageResult
from sso.arms import Arm, StepContext
from sso.principles import load_principles
from sso.records import Query
from sso.settings import MethodSettings
from tests.sso.fake_engine import FakeEngine, digest

BOOK = load_principles()
QUERIES = [Query(id=f"q{i}", text=f"text {i}") for i in range(4)]
NAMES = (
    "sso",
    "sso-joint",
    "without-w",
    "without-g",
    "without-w-g",
    "pbaa",
    "pbaa-generator",
    "sso-plus",
    "sso-minus",
    "ultrafeedback",
)


def speaking(name: str) -> FakeEngine:
    """An engine whose replies tell checkpoint, side and query apart."""

    def reply(prompt: Any, seed: int, temperature: float) -> str:
        last = prompt[-1]["content"]
        if last.startswith("Request:"):
            return "Safety, Accuracy"
        text = next(m["content"] for m in prompt if m["role"] == "user")
        code = digest(seed if temperature else "greedy")[:6]
        if prompt[0]["role"] != "system":
            return f"{name} original {text} {code}"
        side = "good" if BOOK.feature("Safety").good in prompt[0]["content"] else "bad"
        return f"{name} {side} {text} {code}"

    return FakeEngine(reply, name)


class Loop:
    """Runs the steps of an arm as the harness does, in folders of ``root``."""

    def __init__(self, root: Path, policy: Path, settings: MethodSettings | None = None) -> None:
        self.root, self.policy = root, policy
        self.settings = settings or MethodSettings()
        self.engines: dict[str, FakeEngine] = {}
        self.results: dict[str, StageResult] = {}
        self.queries = QUERIES
        self.progress: list[tuple[int, int]] = []

    def engine(self, folder: Path) -> FakeEngine:
        name = folder.parent.name if folder.name == "model" else "policy"
        return self.engines.setdefault(name, speaking(name))

    def run(self, arm: Arm, iteration: int = 1, seed: int = 0) -> Path:
        folders = {"policy": self.policy, "preferences": self.root / "preferences"}
        for step in arm.steps:
            folder = self.root / step.name
            folder.mkdir(parents=True, exist_ok=True)
            self.results[step.name] = step.run(
                StepContext(
                    folder=folder,
                    inputs={name: folders[name] for name in step.inputs},
                    queries=self.queries if step.kind == "sample" and arm.uses_queries else [],
                    settings=self.settings,
                    iteration=iteration,
                    seed=seed,
                    engine=self.engine,
                    progress=lambda done, total: self.progress.append((done, total)),
                )
            )
            folders[step.name] = folder / "model" if step.kind == "train" else folder
        return self.root

    def lines(self, file: str) -> list[dict[str, Any]]:
        text = (self.root / file).read_text("utf-8")
        return [json.loads(line) for line in text.split("\n") if line]


def kinds(group: Any) -> list[tuple[str, str, str]]:
    """Kind, chosen side and rejected side of every pair of a group."""
    return [(p.kind, p.chosen.split()[1], p.rejected.split()[1]) for p in group.pairs]
