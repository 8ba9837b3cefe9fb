"""An evaluation in shards: machines answer every n-th item each, and one run scores them all.

A shard leaves journals of finished answers and ``shard.json``; it scores nothing. The merging run reads the
journals of a whole set of shards, finds every answer there, and grades, judges and bootstraps as in one piece.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import digest, read_json, write_json
from harness.benchmarks import get_benchmark
from harness.config import RunConfig
from harness.engines import ResumableEngine, engine_identity
from harness.judge_settings import JudgeSettings
from harness.prepare import prepare
from harness.progress import Reporter
from harness.stage import PlanInputs
from harness.stage_runner import package_versions
from harness.stages.evaluate import eval_request, journal_of

FILE = "shard.json"


@dataclass(frozen=True)
class Shard:
    """The ``number``-th of ``of`` shards, from 1: every ``of``-th item."""

    number: int
    of: int

    def holds(self, index: int) -> bool:
        """Whether the item at this place belongs to the shard."""
        return index % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """``3/8``. Raises ``UserError`` for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard {text!r}: expected NUMBER/OF, as 3/8")
    return Shard(int(found[1]), int(found[2]))


def answer_shard(config: RunConfig, out: Path, shard: Shard, reporter: Reporter) -> None:
    """Answer the shard's items of every benchmark; the same call goes on where it stopped.

    Raises:
        UserError: the folder holds another shard, or as ``harness.prepare.prepare``.
    """
    # nothing is judged here, so that no judge need be alive
    prepared = prepare(config.model_copy(update={"judge": JudgeSettings()}), None, reporter.say)
    record = _record(config, prepared.inputs, shard)
    if (out / FILE).is_file() and _without_state(read_json(out / FILE)) != record:
        raise UserError(f"{out} holds another shard or other settings: choose another --out")
    write_json(out / FILE, {**record, "done": False})
    try:
        for name in config.benchmarks:
            benchmark, request = get_benchmark(name), eval_request(prepared.inputs, name)
            if benchmark.info.measures == "reward":
                raise UserError(f"{name} scores a reward model in one pass: it has no shards")
            folder = out / name
            folder.mkdir(parents=True, exist_ok=True)
            engine = ResumableEngine(
                prepared.resources.engine(prepared.inputs.model.path),
                journal_of(folder),
                private=benchmark.info.gated and prepared.inputs.data.kind != "sample",
                holds=shard.holds,
            )
            with reporter.stage(f"{name}, shard {shard.number} of {shard.of}") as update, engine:
                benchmark.generate(request, engine, folder, update)
            for file in folder.iterdir():  # made with empty answers in the place of the others'
                if file.is_dir():
                    shutil.rmtree(file)
                elif file != journal_of(folder):
                    file.unlink()
    finally:
        prepared.resources.close()
    write_json(out / FILE, {**record, "done": True})


def whole_set(shards: Sequence[Path], config: RunConfig) -> dict[str, list[Path]]:
    """The journals of a whole set of shards by benchmark.

    Raises:
        UserError: a folder that is no finished shard, a shard that is missing or there twice, shards of other
            settings, data, models or package versions (named).
    """
    records = {path: _read(path) for path in shards}
    first, model = next(iter(records.items()))
    for path, record in records.items():
        for part in ("of", "model", "requests", "engine", "versions"):
            if record.get(part) != model.get(part):
                what = _difference(model.get(part), record.get(part))
                raise UserError(f"{path} has another {part} than {first}: {what}")
    seen: dict[int, Path] = {}
    for path, record in records.items():
        number = int(record["shard"])
        if number in seen:
            raise UserError(
                f"shard {number} of {model['of']} is there twice: {seen[number]} and {path}"
            )
        seen[number] = path
    if missing := [n for n in range(1, int(model["of"]) + 1) if n not in seen]:
        listed = ", ".join(map(str, missing))
        raise UserError(
            f"of {model['of']} shards, {listed} {'is' if len(missing) == 1 else 'are'} missing"
        )
    if absent := [name for name in config.benchmarks if name not in model["requests"]]:
        raise UserError(f"the shards have no answers of {', '.join(absent)}")
    return {name: [journal_of(seen[n] / name) for n in sorted(seen)] for name in config.benchmarks}


def check_same_run(shards: Sequence[Path], config: RunConfig, inputs: PlanInputs) -> None:
    """Raises ``UserError`` where the shards answered other questions than this run asks."""
    for path in shards:
        record, mine = _read(path), _record(config, inputs, Shard(1, 1))
        for part in ("model", "engine"):
            if record[part] != mine[part]:
                raise UserError(
                    f"{path} has another {part} than this run: {record[part]} and {mine[part]}"
                )
        for name in config.benchmarks:
            if record["requests"].get(name) != mine["requests"][name]:
                raise UserError(f"{path} was answered with other settings or data of {name}")


def _record(config: RunConfig, inputs: PlanInputs, shard: Shard) -> dict[str, Any]:
    requests = {}
    for name in config.benchmarks:
        request = eval_request(inputs, name)
        settings = {**request.protocol.settings, **request.overrides}
        parts = [
            request.protocol.name,
            request.protocol.version,
            settings,
            request.limit,
            request.seed,
        ]
        requests[name] = digest([parts, get_benchmark(name).fingerprint(request)])
    return {
        "shard": shard.number,
        "of": shard.of,
        "model": inputs.model.fingerprint,
        "engine": engine_identity(config.engine),
        **inputs.template_date,
        "requests": requests,
        "versions": package_versions(),
    }


def _read(path: Path) -> dict[str, Any]:
    if not (path / FILE).is_file():
        raise UserError(f"{path} is no shard of an evaluation: it has no {FILE}")
    record: dict[str, Any] = read_json(path / FILE)
    if not record.get("done"):
        raise UserError(f"{path} is not finished: its own line resumes it")
    return record


def _without_state(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "done"}


def _difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        return ", ".join(f"{n} {ours.get(n)} and {theirs.get(n)}" for n in names[:3])
    return f"{ours} and {theirs}"
