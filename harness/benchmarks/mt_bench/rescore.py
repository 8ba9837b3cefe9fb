"""Figures from saved judgments, with no judge: FastChat's ``model_judgment`` files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.benchmarks.base import EvalRequest, Outcome
from harness.benchmarks.judged import JudgedBy
from harness.benchmarks.judged_twice import Duplicates
from harness.benchmarks.mt_bench.benchmark import header_of, prepare
from harness.benchmarks.mt_bench.files import Judgment, read_judgments
from harness.benchmarks.mt_bench.scoring import RatedTurn, outcome
from harness.errors import DataError


def rescore_judgments(
    path: Path,
    request: EvalRequest,
    *,
    model: str | None = None,
    duplicates: Duplicates = "refuse",
) -> Outcome:
    """Scores of one model from saved judgments (ours, or published ones), read again from the
    judge's raw text with the score patterns of today.

    Turns of the request's questions without a judgment count as missing. A judgment without text keeps its saved score.

    Raises:
        DataError: a malformed row, a question that the data source does not have, a turn that is
            judged twice, several models and none named, or several judges.
    """
    task = prepare(request)
    name, judgments = read_judgments(path, model, duplicates)
    by_id = {question.question_id: question for question in task.questions}
    for judgment in judgments:
        if judgment.question_id not in by_id:
            raise DataError(f"{path}: question {judgment.question_id} is not in the request")
    judges = sorted({judgment.judge for judgment in judgments})
    if len(judges) > 1:
        raise DataError(f"{path}: judgments of several judges ({', '.join(judges)})")
    rated = []
    for judgment in judgments:
        rating = read_score(judgment)
        rated.append(
            RatedTurn(
                question=by_id[judgment.question_id],
                turn=judgment.turn,
                rating=rating,
                state="unparsed" if rating is None else "ok",
            )
        )
    rated.sort(key=lambda r: (list(by_id).index(r.question.question_id), r.turn))
    settings = {**task.settings, "generation": "saved"}
    for key in ("max_new_tokens", "top_p", "temperatures", "other_temperature"):
        settings.pop(key, None)
    by = JudgedBy(
        judges[0], judges[0], "saved judgments", comparable=not judges[0].startswith("local")
    )
    header = header_of(request, replace(task, settings=settings), by)
    header = replace(header, settings={**header.settings, "generator": name})
    return outcome(rated, task.questions, header)


def read_score(judgment: Judgment) -> float | None:
    """First ``[[x]]``, else first ``[x]`` of the judge's text; ``None`` without one.

    A local judge writes no text to read again: its saved score stands.
    """
    from judges.protocols.rating import parse_score

    if not judgment.text or judgment.judge.startswith("local"):
        return judgment.score
    return parse_score(judgment.text)
