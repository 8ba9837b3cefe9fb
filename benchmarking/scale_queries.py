"""A data stage and a sampling stage of many long queries, with an engine that costs nothing: seconds and memory.

``python benchmarking/scale_queries.py COUNT TOKENS`` draws COUNT queries of TOKENS words (without those that a
benchmark contains), has the fake engine answer each under a good and a bad principle in as many words, filters,
measures and writes the pairs, then reads and encodes them as a training does. One JSON line: CPU seconds (those of
the processes that share the encoding among them), and peak memory of this process.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness.config import load_config
from harness.data import open_source
from harness.engines import ResumableEngine
from harness.engines.fake import FakeEngine
from harness.models import ResolvedModel
from harness.stage import CheckpointKey, PlanInputs, Source, StageContext
from harness.stages.arm_step import arm_step_stage
from harness.stages.draw_queries import queries_stage
from sso.arms import get_arm
from sso.arms.pair_files import PAIRS
from sso.encoded_file import load_encoded, save_encoded
from sso.encoding import encode_each
from sso.objectives import as_objective, group_pairs
from sso.records import PreferencePair
from sso.settings import TrainingSettings


def write_queries(file: Path, count: int, tokens: int) -> None:
    """Queries of random words, each another one."""
    words = [f"word{n}" for n in range(5000)]
    with file.open("w") as stream:
        for n in range(count):
            text = " ".join(random.Random(n).choices(words, k=tokens))
            stream.write(json.dumps({"id": f"q{n}", "query": text}) + "\n")


def tokenizer() -> Any:
    """One token per word of the texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<|im_start|>", "<|im_end|>", "user", "assistant"]
    words += [f"{name}{n}" for name in ("word", "reply") for n in range(5000)]
    model = models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    inner = Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<|im_end|>"
    )
    found.chat_template = (
        "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
        "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
    )
    return found


class Writer:
    """Stands in for the run's resources: a fake engine with long answers."""

    def __init__(self, tokens: int) -> None:
        words = [f"reply{n}" for n in range(5000)]

        def reply(text: str, seed: int) -> str:
            return " ".join(random.Random(f"{seed}").choices(words, k=tokens))

        self._engine = FakeEngine("m", max_length=1 << 20, reply=reply)

    def engine(self, folder: Path) -> FakeEngine:
        return self._engine

    def release(self) -> None:
        pass


def measure(count: int, tokens: int) -> dict[str, float]:
    """CPU seconds by part, and the peak of this process in GB."""
    from groundwork.stored import stored_records

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file = root / "queries.jsonl"
        write_queries(file, count, tokens)
        settings = [
            f"queries.file={file}", f"queries.per_iteration={count}", "engine.kind=fake",
            f"sampling.max_new_tokens={2 * tokens}", "principles.select=random",
            "sampling.measure_original=false", "sampling.on_policyness=false",
        ]  # fmt: skip
        config = load_config("quickstart", settings, {"iterations": 1, "methods": ["pbaa"]})
        inputs = PlanInputs(
            config, open_source("sample"), ResolvedModel(root, "folder", "m", "f" * 64)
        )
        resources: Any = Writer(tokens)
        parts: dict[str, float] = {}
        clock = sum(os.times()[:4])

        def took(name: str) -> None:
            nonlocal clock
            parts[name] = sum(os.times()[:4]) - clock
            parts[f"{name}_peak_gb"] = (
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
            )
            clock = sum(os.times()[:4])

        drawn = queries_stage(inputs, 0, "queries")
        (root / "queries").mkdir()
        drawn.work(StageContext(drawn, root / "queries", {}, resources, lambda done, total: None))
        del drawn
        took("queries")
        arm = get_arm("pbaa")
        sources = {"policy": inputs.base, "queries": Source(stage="queries", output="iter-1")}
        key = CheckpointKey("pbaa", 1, 0)
        sample = arm_step_stage(inputs, arm, arm.steps[0], key, sources)
        (root / "sample").mkdir()
        paths = {"policy": root, "queries": root / "queries" / "iter-1"}
        sample.work(
            StageContext(sample, root / "sample", paths, resources, lambda done, total: None)
        )
        took("sample")
        groups = group_pairs(stored_records(root / "sample" / PAIRS, PreferencePair))
        took("pairs")
        counts: Counter[str] = Counter()
        options = TrainingSettings(max_length=8 * tokens)
        encoded = encode_each(groups, as_objective("pair"), tokenizer(), options, counts)
        save_encoded(encoded, counts, root / "encoded.bin")
        took("encode")
        longest = max(group.longest for group in load_encoded(root / "encoded.bin").groups)
        took("read")
        ResumableEngine(resources.engine(root), root / "sample" / "generations.jsonl")
        took("journal")
        assert counts["groups"] > count / 2
        assert longest > 2 * tokens
    parts["seconds"] = sum(v for k, v in parts.items() if not k.endswith("_gb"))
    parts["peak_gb"] = max(v for k, v in parts.items() if k.endswith("_gb"))
    return parts


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
