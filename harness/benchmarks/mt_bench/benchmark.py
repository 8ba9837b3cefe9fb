"""MT-Bench as a benchmark: two turns a question, each rated by a judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.sampling_params import SamplingParams
from harness.benchmarks import judge_ahead
from harness.benchmarks.answers_file import (
    final_answer,
    read_outputs,
    reasoning_state,
    text_hash,
    write_outputs,
)
from harness.benchmarks.base import EvalRequest, Outcome, Workload, questions_in
from harness.benchmarks.item_subset import draw
from harness.benchmarks.judged import (
    Header,
    JudgedBy,
    answer,
    answer_text,
    ask,
    counted,
    error_text,
    generator_name,
    judged_by,
    make_header,
)
from harness.benchmarks.mt_bench.files import (
    TURNS,
    Judgment,
    Question,
    answer_row,
    file_stem,
    judgment_row,
    read_questions,
    write_jsonl,
)
from harness.benchmarks.mt_bench.scoring import NAME, RatedTurn, item_id, outcome
from harness.errors import ProtocolError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

if TYPE_CHECKING:
    from harness.engines.base import Engine, Message
    from judges import Judge, Rating, Verdict

QUESTIONS = "mt_bench/question.jsonl"
JUDGE_PROMPTS = "mt_bench/judge_prompts.jsonl"
ANSWERS_FOLDER = "model_answer"
JUDGMENTS_FOLDER = "model_judgment"
PUBLISHED_JUDGES = ("gpt-4", "gpt-4-0613")
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Task:
    """A request with its data read: the drawn questions and the settings in force."""

    questions: Sequence[Question]
    available: int
    settings: Mapping[str, Any]

    def temperature(self, question: Question) -> float:
        """The sampling temperature of the question's category."""
        by_category = self.settings["temperatures"]
        return float(by_category.get(question.category, self.settings["other_temperature"]))


def prepare(request: EvalRequest) -> Task:
    """Read the questions and references and settle the settings; ``limit`` counts questions.

    Raises:
        DataError: no questions, or no reference answer where the category needs one.
    """
    settings = {**request.protocol.settings, **request.overrides}
    if request.data.kind == "sample" and "references" not in request.overrides:
        settings["references"] = "sample"
    everything = read_questions(
        request.data.path(QUESTIONS),
        request.data.find(reference_file(settings)),
        settings["reference_categories"],
    )
    drawn = draw(everything, lambda q: q.category, request.limit, request.seed)
    return Task(drawn, len(everything), settings)


def reference_file(settings: Mapping[str, Any]) -> str:
    """Where the reference answers of this protocol lie in the data."""
    return f"mt_bench/reference_answer/{settings['references']}.jsonl"


class MtBench:
    """See the module; the folder's README has protocol, reference points and changelog."""

    name = NAME
    info = BenchmarkInfo(
        "MT-Bench",
        (InfoColumn("mt_bench", "MT", 30, "average", item_metrics=("rating", "score")),),
        minimum_effect=0.8,
        spread=2.3,
        design_effect=1.4,
    )
    needs_judge = True
    questions = staticmethod(questions_in(QUESTIONS, text="turns", item_id="question_id"))

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that this request reads, the judge's prompts included."""
        task = prepare(request)
        files = (QUESTIONS, reference_file(task.settings), JUDGE_PROMPTS)
        found = [name for name in files if request.data.find(name)]
        return text_hash(" ".join(request.data.fingerprint(name) for name in found))

    def workload(self, request: EvalRequest) -> Workload:
        """Two answers and two judge calls per question; the prompt of turn 2 holds answer 1."""
        task = prepare(request)
        longest = int(task.settings["max_new_tokens"])
        characters = sum(2 * len(q.turns[0]) + len(q.turns[1]) for q in task.questions)
        n = len(task.questions)
        return Workload(
            items=TURNS * n,
            prompt_tokens=characters // _CHARACTERS_A_TOKEN + n * longest // 2,
            new_tokens=TURNS * n * longest,
            judge_calls=TURNS * n,
        )

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``outputs.jsonl`` and ``model_answer/MODEL.jsonl``."""
        task = prepare(request)
        done = counted(progress, TURNS * len(task.questions))
        chats: list[list[Message]] = [[] for _ in task.questions]
        rows: list[list[dict[str, Any]]] = [[] for _ in task.questions]
        for turn in range(TURNS):
            for question, chat in zip(task.questions, chats, strict=True):
                chat.append({"role": "user", "content": question.turns[turn]})
            for k, row in enumerate(_one_turn(task, engine, chats, turn, request.seed, done)):
                rows[k].append(row)
                chats[k].append({"role": "assistant", "content": answer_text(row)})
        write_outputs(folder, [row for both in rows for row in both])
        model = generator_name(engine)
        model_answers = [
            answer_row(q.question_id, [answer_text(row) for row in both], model, time.time())
            for q, both in zip(task.questions, rows, strict=True)
        ]
        write_jsonl(folder / ANSWERS_FOLDER / f"{file_stem(model)}.jsonl", model_answers)

    def judged(self, request: EvalRequest) -> judge_ahead.Judged:
        """Each turn is rated, the second one with the whole conversation."""
        items = judge_ahead.by_text(prepare(request).questions, lambda q: q.turns[0])

        def about(question: Question, chat: Sequence[Message], row: Mapping[str, Any]) -> Rating:
            earlier = [message["content"] for message in chat[1::2]]
            return rating(question, [*earlier, answer_text(row)])

        return judge_ahead.Judged("ratings", items, about)

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Rate the saved answers, write ``model_judgment/JUDGE_single.jsonl``, score.

        Raises:
            UserError: no judge, or no saved answers for these questions.
        """
        if judge is None:
            raise ProtocolError("MT-Bench needs a judge")
        task = prepare(request)
        places = [(q, turn) for q in task.questions for turn in (1, 2)]
        rows = read_outputs(folder, [item_id(q, turn) for q, turn in places])
        verdicts = ask(judge, "rating", ratings_of(places, rows), rows)
        by = judged_by(judge, verdicts, NAME)
        judgments = [
            _judgment(question, turn, verdict, by)
            for (question, turn), verdict in zip(places, verdicts, strict=True)
        ]
        model = str(rows[0]["generator"])
        write_jsonl(
            folder / JUDGMENTS_FOLDER / f"{file_stem(by.name)}_single.jsonl",
            [judgment_row(judgment, model, time.time()) for judgment in judgments],
        )
        rated = [
            RatedTurn(
                question=question,
                turn=turn,
                rating=verdict.value if verdict.state == "ok" else None,
                state=verdict.state,
                error=error_text(verdict.state, row),
                truncated=bool(row.get("truncated")),
                reasoning=reasoning_state(final_answer(row)),
                prompt_hash=str(row.get("prompt_hash", "")),
            )
            for (question, turn), row, verdict in zip(places, rows, verdicts, strict=True)
        ]
        return outcome(rated, task.questions, header_of(request, task, by))


def _one_turn(
    task: Task,
    engine: Engine,
    chats: Sequence[Sequence[Message]],
    turn: int,
    seed: int,
    done: Callable[[int, object], None],
) -> list[dict[str, Any]]:
    """One turn of every question: one call of the engine for each temperature."""
    rows: dict[int, dict[str, Any]] = {}
    by_temperature: dict[float, list[int]] = {}
    for k, question in enumerate(task.questions):
        by_temperature.setdefault(task.temperature(question), []).append(k)
    for temperature, members in by_temperature.items():
        params = SamplingParams(
            max_new_tokens=int(task.settings["max_new_tokens"]),
            temperature=temperature,
            top_p=float(task.settings["top_p"]),
        )
        ids = [item_id(task.questions[k], turn + 1) for k in members]
        answers = answer(engine, ids, [chats[k] for k in members], params, seed, done)
        rows.update(zip(members, answers, strict=True))
    return [rows[k] for k in range(len(task.questions))]


def ratings_of(
    places: Sequence[tuple[Question, int]], rows: Sequence[Mapping[str, Any]]
) -> list[Rating]:
    """What the judge is asked; a second turn is shown with the whole conversation."""
    answers = {
        (q.question_id, turn): answer_text(row) for (q, turn), row in zip(places, rows, strict=True)
    }
    return [
        rating(question, [answers[question.question_id, t] for t in range(1, turn + 1)])
        for question, turn in places
    ]


def rating(question: Question, answers: Sequence[str]) -> Rating:
    """What the judge is asked about the last of the answers to a question's turns so far."""
    from judges import Rating

    turn = len(answers)
    return Rating(
        item_id=item_id(question, turn),
        category=question.category,
        turns=tuple(text for both in zip(question.turns, answers, strict=False) for text in both),
        references=question.references[:turn],
    )


def _judgment(question: Question, turn: int, verdict: Verdict, by: JudgedBy) -> Judgment:
    """The verdict as FastChat saves it; the template is the last part of the protocol id."""
    template = verdict.protocol.rsplit("/", 1)[-1]
    score = verdict.value if verdict.state == "ok" else None
    return Judgment(question.question_id, turn, by.name, template, verdict.raw, score)


def header_of(request: EvalRequest, task: Task, by: JudgedBy) -> Header:
    """What the scores of this evaluation share."""
    counts = len(task.questions), task.available
    return make_header(request, task.settings, by, by.mark(PUBLISHED_JUDGES), *counts)
