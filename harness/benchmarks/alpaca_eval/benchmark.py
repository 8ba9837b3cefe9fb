"""AlpacaEval 2.0 as a benchmark: one answer an instruction, judged against the baseline's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.sampling_params import SamplingParams
from harness.benchmarks import judge_ahead
from harness.benchmarks.alpaca_eval.files import (
    BASELINE_FILES,
    GAMED_FILES,
    Instruction,
    LengthControl,
    read_instructions,
    read_length_control,
    write_rows,
)
from harness.benchmarks.alpaca_eval.length_control import GLMS, neutral_rows
from harness.benchmarks.alpaca_eval.scoring import NAME, Judged, outcome
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
    judged_by,
    make_header,
)
from harness.data.sources import DataSource
from harness.errors import DataError, ProtocolError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from judges import Comparison, Judge, Verdict

MODEL_OUTPUTS = "model_outputs.json"
ANNOTATIONS = "annotations.json"
SAMPLE_GLM = "length_controlled_neutral"
"""The sample data have no judged gamed baselines and no difficulties: a reduced model of length."""
PUBLISHED_JUDGES = ("gpt-4-1106-preview",)
PUBLISHED_ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Task:
    """A request with its data read: the drawn instructions and the settings in force."""

    instructions: Sequence[Instruction]
    available: int
    control: LengthControl
    settings: Mapping[str, Any]


def prepare(request: EvalRequest) -> Task:
    """Read the data and settle the settings.

    Raises:
        DataError: no instructions, or no gamed rows for a model of length that needs them.
        ProtocolError: an unknown model of length.
    """
    everything = read_instructions(request.data.path(*BASELINE_FILES))
    settings = {**request.protocol.settings, **request.overrides}
    if request.data.kind == "sample" and "glm" not in request.overrides:
        settings["glm"] = SAMPLE_GLM
    settings["baseline"] = everything[0].baseline
    control = load_control(request.data, settings["glm"], len(everything))
    settings["gamed_rows"] = control.origin
    drawn = draw(everything, lambda i: i.dataset, request.limit, request.seed)
    return Task(drawn, len(everything), control, settings)


def load_control(data: DataSource, glm_name: str, instructions: int) -> LengthControl:
    """The gamed rows and difficulties of the model of length.

    Raises:
        ProtocolError: no such model of length.
        DataError: the file is missing.
    """
    if glm_name not in GLMS:
        raise ProtocolError(f"no length-control model {glm_name!r} (there are: {', '.join(GLMS)})")
    if GLMS[glm_name].neutral:
        zeros = dict.fromkeys(range(instructions), 0.0)
        return LengthControl(neutral_rows(instructions), zeros, f"neutral@{instructions}")
    found = data.find(*GAMED_FILES)
    if found is None:
        raise DataError(
            f"{glm_name} needs {GAMED_FILES[0]} (on the hub: dataset tatsu-lab/alpaca_eval) and "
            f"{data.root} has none; a reduced model needs nothing: override glm={SAMPLE_GLM}"
        )
    return read_length_control(found)


class AlpacaEval:
    """See the module; the folder's README has protocol, reference points and changelog."""

    name = NAME
    info = BenchmarkInfo(
        "AlpacaEval 2.0",
        (
            InfoColumn("length", "Len", 10, "length", better=0, item_metrics=("characters",)),
            InfoColumn("ae2_lc", "AE2", 20, "lc_win_rate", item_metrics=("win_rate", "preference")),
            InfoColumn("ae2_wr", "AE2 WR", 80, "win_rate", item_metrics=("preference",)),
        ),
        minimum_effect=5.0,
        spread=35.5,
    )
    needs_judge = True
    questions = staticmethod(questions_in(*BASELINE_FILES, text="instruction"))

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that this request reads."""
        task = prepare(request)
        return text_hash(
            request.data.fingerprint(*BASELINE_FILES) + str(task.settings["gamed_rows"])
        )

    def workload(self, request: EvalRequest) -> Workload:
        """One answer and one judge call an instruction; prompt tokens are an estimate."""
        task = prepare(request)
        characters = sum(len(i.instruction) for i in task.instructions)
        return Workload(
            items=len(task.instructions),
            prompt_tokens=characters // _CHARACTERS_A_TOKEN,
            new_tokens=len(task.instructions) * int(task.settings["max_new_tokens"]),
            judge_calls=len(task.instructions),
        )

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``outputs.jsonl`` and ``model_outputs.json``."""
        task = prepare(request)
        rows = answer(
            engine,
            [i.item_id for i in task.instructions],
            [[{"role": "user", "content": i.instruction}] for i in task.instructions],
            SamplingParams(
                max_new_tokens=int(task.settings["max_new_tokens"]),
                temperature=float(task.settings["temperature"]),
                top_p=float(task.settings["top_p"]),
            ),
            request.seed,
            counted(progress, len(task.instructions)),
        )
        write_outputs(folder, rows)
        write_rows(folder / MODEL_OUTPUTS, model_outputs(task.instructions, rows))

    def judged(self, request: EvalRequest) -> judge_ahead.Judged:
        """Each answer is compared with the baseline's."""
        items = judge_ahead.by_text(prepare(request).instructions, lambda i: i.instruction)
        return judge_ahead.Judged("preferences", items, lambda i, chat, row: comparison(i, row))

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Judge the saved answers, write ``annotations.json``, score.

        Raises:
            UserError: no judge, or no saved answers for these items.
        """
        if judge is None:
            raise ProtocolError("AlpacaEval needs a judge")
        task = prepare(request)
        rows = read_outputs(folder, [i.item_id for i in task.instructions])
        comparisons = [comparison(*both) for both in zip(task.instructions, rows, strict=True)]
        verdicts = ask(judge, "preference", comparisons, rows)
        by = judged_by(judge, verdicts, NAME)
        annotations = [
            annotation(*both, by) for both in zip(task.instructions, rows, verdicts, strict=True)
        ]
        write_rows(folder / ANNOTATIONS, annotations)
        judged = [
            Judged(
                instruction=instruction,
                output=answer_text(row),
                preference=verdict.value if verdict.state == "ok" else None,
                state=verdict.state,
                error=error_text(verdict.state, row),
                truncated=bool(row.get("truncated")),
                reasoning=reasoning_state(final_answer(row)),
                prompt_hash=str(row.get("prompt_hash", "")),
            )
            for instruction, row, verdict in zip(task.instructions, rows, verdicts, strict=True)
        ]
        header = header_of(request, task, by)
        return outcome(judged, len(judged), task.control, task.settings["glm"], header)


def header_of(request: EvalRequest, task: Task, by: JudgedBy) -> Header:
    """What the scores of this evaluation share."""
    counts = len(task.instructions), task.available
    return make_header(request, task.settings, by, judge_marks(by), *counts)


def model_outputs(
    instructions: Sequence[Instruction], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The answers as ``alpaca_eval`` reads them."""
    return [
        {
            "dataset": instruction.dataset,
            "instruction": instruction.instruction,
            "output": answer_text(row),
            "generator": row["generator"],
        }
        for instruction, row in zip(instructions, rows, strict=True)
    ]


def comparison(instruction: Instruction, row: Mapping[str, Any]) -> Comparison:
    """What the judge is asked; the model's answer is ``output_2``."""
    from judges import Comparison

    return Comparison(
        item_id=instruction.item_id,
        instruction=instruction.instruction,
        output_1=instruction.baseline_output,
        output_2=answer_text(row),
    )


def annotation(
    instruction: Instruction, row: Mapping[str, Any], verdict: Verdict, by: JudgedBy
) -> dict[str, Any]:
    """One judged row in alpaca_eval's format; ``index`` and what follows are additions.

    ``index`` (the position in the full set) makes the package itself pair a row with the right
    difficulty when other rows are missing.
    """
    return {
        "instruction": instruction.instruction,
        "output_1": instruction.baseline_output,
        "generator_1": instruction.baseline,
        "dataset": instruction.dataset,
        "output_2": answer_text(row),
        "generator_2": row["generator"],
        "annotator": annotator(by),
        "preference": verdict.value if verdict.state == "ok" else None,
        "price_per_example": verdict.cost_usd,
        "raw_completion": verdict.raw,
        "index": instruction.index,
        "judge": by.snapshot,
        "judge_protocol": verdict.protocol,
        "state": verdict.state,
        "truncated": bool(row.get("truncated")),
    }


def annotator(by: JudgedBy) -> str:
    """The package's name for this way of judging, else the judge's own name."""
    return by.name if judge_marks(by) else PUBLISHED_ANNOTATOR


def judge_marks(by: JudgedBy) -> tuple[str, ...]:
    """Why the judging can't be compared: another judge, or the published one asked without
    log-probabilities (a letter drawn instead of a weighted preference)."""
    weighted = by.asked.endswith("/top5") or by.asked == PUBLISHED_ANNOTATOR
    return by.mark(PUBLISHED_JUDGES) or (() if weighted else ("other-judge",))
