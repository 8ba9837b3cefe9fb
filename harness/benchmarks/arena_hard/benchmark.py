"""Arena-Hard as a benchmark: one answer per question, judged in both orders against the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.files import write_json_lines
from groundwork.sampling_params import SamplingParams
from harness.benchmarks import judge_ahead
from harness.benchmarks.aggregate import reasoning_counts
from harness.benchmarks.answers_file import (
    final_answer,
    read_outputs,
    reasoning_state,
    text_hash,
    write_outputs,
)
from harness.benchmarks.arena_hard.bradley_terry import games_of, interval, win_rate
from harness.benchmarks.arena_hard.files import (
    Question,
    answer_files,
    question_file,
    questions,
    read_questions,
)
from harness.benchmarks.base import EvalRequest, Outcome, Workload
from harness.benchmarks.item_subset import draw
from harness.benchmarks.judged import (
    Header,
    answer,
    answer_text,
    counted,
    error_text,
    judged_by,
    make_header,
)
from harness.errors import ProtocolError
from judges import Comparison, Judge, Verdict
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn
from leaderboards.records import ItemScore, Score

if TYPE_CHECKING:
    from harness.engines.base import Engine

NAME = "arena_hard"
PUBLISHED_JUDGES = {"v0.1": ("gpt-4-1106-preview",), "v2.0": ("gpt-4.1",)}
SEED = 42
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Task:
    """A request with its data read: the drawn questions and the settings in force."""

    questions: Sequence[Question]
    available: int
    settings: Mapping[str, Any]


def prepare(request: EvalRequest) -> Task:
    """Read the questions and the baselines' answers and settle the settings."""
    settings = {**request.protocol.settings, **request.overrides}
    if request.data.kind == "sample":
        settings["folder"] = NAME
    everything = read_questions(settings, request.data)
    drawn = draw(everything, lambda q: q.category, request.limit, request.seed)
    return Task(drawn, len(everything), settings)


class ArenaHard:
    """See the package; the folder's README has protocol, reference points and changelog."""

    name = NAME
    info = BenchmarkInfo(
        "Arena-Hard",
        (InfoColumn("arena_hard", "AH", 120, item_metrics=("preference",)),),
        minimum_effect=4.0,
        spread=40.0,
    )
    needs_judge = True
    questions = staticmethod(questions)

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that this request reads, the judge's prompt included."""
        settings = prepare(request).settings
        names = [question_file(settings), *answer_files(settings, request.data).values()]
        names += [n for n in ("arena_hard/judge_config.yaml",) if request.data.find(n)]
        return text_hash(" ".join(request.data.fingerprint(name) for name in names))

    def workload(self, request: EvalRequest) -> Workload:
        """One answer and two judge calls per question; prompt tokens are an estimate."""
        task = prepare(request)
        n = len(task.questions)
        characters = sum(len(q.text) for q in task.questions)
        new = n * int(task.settings["max_new_tokens"])
        return Workload(n, characters // _CHARACTERS_A_TOKEN, new, judge_calls=2 * n)

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``outputs.jsonl``."""
        task = prepare(request)
        rows = answer(
            engine,
            [q.item_id for q in task.questions],
            [[{"role": "user", "content": q.text}] for q in task.questions],
            SamplingParams(
                max_new_tokens=int(task.settings["max_new_tokens"]),
                temperature=float(task.settings["temperature"]),
            ),
            request.seed,
            counted(progress, len(task.questions)),
        )
        write_outputs(folder, rows)

    def judged(self, request: EvalRequest) -> judge_ahead.Judged:
        """Each answer is compared with the baseline's, in both orders."""
        items = judge_ahead.by_text(prepare(request).questions, lambda q: q.text)
        return judge_ahead.Judged("graded", items, lambda q, chat, row: comparison(q, row))

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Judge the saved answers in both orders, write ``battles.jsonl``, score.

        Raises:
            UserError: no judge, or no saved answers for these questions.
        """
        if judge is None:
            raise ProtocolError("Arena-Hard needs a judge")
        task = prepare(request)
        rows = read_outputs(folder, [q.item_id for q in task.questions])
        verdicts = _verdicts(judge, task.questions, rows)
        by = judged_by(judge, [v for both in verdicts for v in both], NAME)
        counts = len(task.questions), task.available
        published = PUBLISHED_JUDGES[str(task.settings["edition"])]
        header = make_header(request, task.settings, by, by.mark(published), *counts)
        write_json_lines(folder / "battles.jsonl", map(_battle, task.questions, verdicts))
        items = [_item(*found) for found in zip(task.questions, rows, verdicts, strict=True)]
        return Outcome(items, [_score(task, rows, verdicts, items, header)])


def comparison(question: Question, row: Mapping[str, Any]) -> Comparison:
    """What the judge is asked; the model's answer is ``output_2``."""
    return Comparison(
        item_id=question.item_id,
        instruction=question.text,
        output_1=question.baseline_output,
        output_2=answer_text(row),
    )


def _verdicts(
    judge: Judge, asked_about: Sequence[Question], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Verdict, Verdict]]:
    """Both verdicts of every question; an answer that could not be written is not judged."""
    asked = [(q, row) for q, row in zip(asked_about, rows, strict=True) if not row.get("error")]
    comparisons = [comparison(q, row) for q, row in asked]
    found = judge.graded(comparisons) if comparisons else []
    given = {both[0].item_id: both for both in found}
    failed = Verdict(item_id="", kind="pairwise", judge=judge.name, protocol="", state="error")
    return [
        given.get(q.item_id) or (failed.model_copy(update={"item_id": q.item_id}),) * 2  # type: ignore[misc]
        for q in asked_about
    ]


def _usable(both: tuple[Verdict, Verdict]) -> tuple[float, float] | None:
    first, second = both[0].value, both[1].value
    return None if first is None or second is None else (first, second)


def _battle(question: Question, both: tuple[Verdict, Verdict]) -> dict[str, Any]:
    """A line of ``battles.jsonl``: the verdicts in both orders, 1 (baseline) to 2 (model)."""
    return {
        "item_id": question.item_id,
        "baseline": question.baseline,
        "values": [verdict.value for verdict in both],
        "states": [verdict.state for verdict in both],
        "judgments": [verdict.raw for verdict in both],
    }


def _item(question: Question, row: Mapping[str, Any], both: tuple[Verdict, Verdict]) -> ItemScore:
    usable = _usable(both)
    worst = next((v.state for v in both if v.state != "ok"), "ok")
    return ItemScore(
        benchmark=NAME,
        item_id=question.item_id,
        values={} if usable is None else {"preference": sum(usable) / 2 - 1},
        category=question.category,
        truncated=bool(row.get("truncated")),
        unparsed=worst == "unparsed",
        error=error_text(worst, row),
        reasoning=reasoning_state(final_answer(row)),
        prompt_hash=str(row.get("prompt_hash", "")),
    )


def _score(
    task: Task,
    rows: Sequence[Mapping[str, Any]],
    verdicts: Sequence[tuple[Verdict, Verdict]],
    items: Sequence[ItemScore],
    header: Header,
) -> Score:
    values, texts = [], []
    for question, row, both in zip(task.questions, rows, verdicts, strict=True):
        if (usable := _usable(both)) is not None:
            values.append(usable)
            texts.append((answer_text(row), question.baseline_output))
    strong, control = float(task.settings["strong"]), bool(task.settings["style_control"])
    rate = bounds = None
    if values:
        games = games_of(values, texts)
        rate = win_rate(games, strong, style_control=control)
        rounds = int(task.settings["bootstrap"])
        bounds = interval(games, strong, rounds, SEED, style_control=control)
    return Score(
        benchmark=NAME,
        metric="win_rate",
        value=None if rate is None else 100 * rate,
        stderr=None if bounds is None else 100 * bounds.stderr,
        ci_low=None if bounds is None else 100 * bounds.low,
        ci_high=None if bounds is None else 100 * bounds.high,
        n=len(values),
        n_expected=len(items),
        n_truncated=sum(item.truncated for item in items),
        n_unparsed=sum(item.unparsed for item in items),
        n_error=sum(bool(item.error) for item in items),
        **reasoning_counts(item.reasoning for item in items),
        protocol=header.protocol,
        settings=dict(header.settings),
        judge=header.judge,
        data=header.data,
        marks=header.marks,
        headline=True,
    )
