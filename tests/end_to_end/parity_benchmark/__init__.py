"""A benchmark that the program does not ship: is the answer's number of characters even? Gated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from groundwork.sampling_params import SamplingParams
from harness.benchmarks.answers_file import read_outputs, write_outputs
from harness.benchmarks.base import EvalRequest, Outcome, Workload
from harness.data.sources import DataSource
from harness.engines.base import Engine
from judges import Judge
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn
from leaderboards.records import ItemScore, Score

QUESTIONS = [f"Quokka number {n}: how many letters has a word of {n} letters?" for n in range(6)]
IDS = [f"parity/{n}" for n in range(len(QUESTIONS))]


class Parity:
    name = "parity"
    info = BenchmarkInfo(
        "Parity",
        (InfoColumn("parity", "EVEN", order=45),),
        minimum_effect=7.5,
        spread=30.0,
        gated=True,
    )
    needs_judge = False

    def questions(self, data: DataSource) -> Iterator[tuple[str, str]]:
        yield from ((str(n), text) for n, text in enumerate(QUESTIONS))

    def fingerprint(self, request: EvalRequest) -> str:
        return "parity"

    def workload(self, request: EvalRequest) -> Workload:
        return Workload(len(QUESTIONS), 20 * len(QUESTIONS), 16 * len(QUESTIONS))

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        chats = [[{"role": "user", "content": text}] for text in QUESTIONS]
        answers = engine.chat(chats, SamplingParams(16, temperature=0.0))
        rows = [
            {"item_id": item, "question": text, "output": answer.text}
            for item, text, answer in zip(IDS, QUESTIONS, answers, strict=True)
        ]
        write_outputs(folder, rows)

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        right = [float(len(row["output"]) % 2 == 0) for row in read_outputs(folder, IDS)]
        items = [
            ItemScore(benchmark="parity", item_id=item, values={"even": value})
            for item, value in zip(IDS, right, strict=True)
        ]
        score = Score(
            benchmark="parity",
            metric="even",
            value=100 * sum(right) / len(right),
            stderr=10.0,
            n=len(right),
            n_expected=len(right),
            protocol=f"{request.protocol.name}@{request.protocol.version}",
            headline=True,
        )
        return Outcome(items, [score])


BENCHMARK = Parity()
