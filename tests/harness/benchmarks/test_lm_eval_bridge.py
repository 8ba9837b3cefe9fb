"""The bridge to lm-eval: the same prompts and verdicts as its own command, model and task files.

lm-eval runs here as its command does: its ``HFLM``, its task files found by name through an include
folder that only redirects the data to local files, its ``samples`` option.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import EvalRequest, get_benchmark, load_protocol
from harness.benchmarks.answer_key import ObjectiveBenchmark
from harness.benchmarks.answers_file import OUTPUTS, read_saved
from harness.data import open_source
from harness.engines.fake import FakeEngine

NEW_TOKENS = 12
TASKS = {
    "gsm8k": ("gsm8k/gsm8k.yaml", {"test": "gsm8k/test.jsonl", "train": "gsm8k/train.jsonl"}),
    "minerva_math500": ("minerva_math/minerva_math500.yaml", {"test": "math/math_500.jsonl"}),
    "mmlu_pro_math": (
        "mmlu_pro/mmlu_pro_math.yaml",
        {"test": "mmlu_pro/test.jsonl", "validation": "mmlu_pro/validation.jsonl"},
    ),
}


def include_folder(folder: Path, data: Path, name: str) -> Path:
    """lm-eval's own task file by that name, its data read from local JSON lines."""
    import lm_eval.tasks
    import yaml

    file, splits = TASKS[name]
    redirected = {
        "include": str(Path(lm_eval.tasks.__file__).parent / file),
        "task": name,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {k: str(data / v) for k, v in splits.items()}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(redirected))
    return folder


def lm_eval_samples(
    lm: Any, folder: Path, name: str, indices: list[int], generation: dict[str, Any]
) -> list[dict[str, Any]]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    found = simple_evaluate(
        model=lm,
        tasks=[name],
        samples={name: indices},
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        gen_kwargs=generation or None,
        bootstrap_iters=0,
    )
    assert found is not None
    samples: list[dict[str, Any]] = found["samples"][name]
    return samples


@pytest.fixture(scope="module")
def sample_folder() -> Path:
    return open_source("sample").root


def tied(lm: Any, prompt: str, text: str, other: str) -> bool:
    """Whether two greedy texts part at a token where float32 can't tell the two best apart.

    A processor that sums in another order may then take either: 5e-5 apart happens in real items.
    """
    import torch

    prompt_ids, *texts = (
        lm.tok_encode(part, add_special_tokens=False) for part in (prompt, text, other)
    )
    place = next(n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
    with torch.inference_mode():
        logits = lm.model(torch.tensor([prompt_ids + texts[0][:place]])).logits[0, -1]
    best = logits.topk(2)
    assert {texts[0][place], texts[1][place]} == set(best.indices.tolist())
    return bool(best.values[0] - best.values[1] < 1e-3)


def compare(
    name: str,
    task: str,
    model: Path,
    engine: Any,
    data: Path,
    folder: Path,
    limit: int,
    overrides: dict[str, Any],
) -> int:
    """Prompts, texts and verdicts of both; the number of verdicts compared."""
    from lm_eval.models.huggingface import HFLM

    benchmark = get_benchmark(name)
    assert isinstance(benchmark, ObjectiveBenchmark)
    asked = EvalRequest(open_source(data), load_protocol(name), limit=limit, overrides=overrides)
    folder.mkdir(parents=True, exist_ok=True)
    benchmark.generate(asked, engine, folder)
    items = {i.item_id: i for i in benchmark.score(asked, folder).items}
    rows = read_saved(folder / OUTPUTS)
    everything = [i for i in benchmark.items(asked)[1] if i.task == task]
    rows = [row for row in rows if row["task"] == task]
    places = {item.item_id: place for place, item in enumerate(everything)}
    indices = [places[row["item_id"]] for row in rows]
    lm = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=1)
    generation = {"max_gen_toks": overrides["max_new_tokens"], "until": []}
    include = include_folder(folder / "tasks", data, task)
    theirs = lm_eval_samples(lm, include, task, indices, generation)
    by_place = {place: row for place, row in zip(indices, rows, strict=True)}
    compared = 0
    for sample in theirs:
        row = by_place[sample["doc_id"]]
        assert sample["prompt_hash"] == row["prompt_hash"]
        text = sample["resps"][0][0]
        if text != row["output"]:
            assert tied(lm, sample["arguments"][0][0], text, row["output"])
            continue
        values = items[row["item_id"]].values
        if name == "math":
            assert values["minerva"] == sample["exact_match"]
            assert values["math_verify"] == sample["math_verify"]
        else:
            assert values[sample["filter"].replace("-", "_")] == sample["exact_match"]
        compared += 1
    return compared


@pytest.mark.parametrize(
    ("name", "task", "verdicts"),
    [("gsm8k", "gsm8k", 12), ("math", "minerva_math500", 6), ("mmlu_pro", "mmlu_pro_math", 1)],
)
def test_tiny_model_gets_lm_evals_prompts_texts_and_verdicts(
    name: str, task: str, verdicts: int, tiny_model_dir: Path, sample_folder: Path, tmp_path: Path
) -> None:
    """Also under a stratified limit: the examples are those of ``lm_eval --samples``."""
    from harness.engines import EngineSettings, open_engine

    engine = open_engine(EngineSettings(kind="hf", device="cpu", dtype="fp32"), tiny_model_dir)
    overrides = {"max_new_tokens": NEW_TOKENS}
    limit = 14 if name == "mmlu_pro" else 6
    compared = compare(
        name, task, tiny_model_dir, engine, sample_folder, tmp_path, limit, overrides
    )
    assert compared >= verdicts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    [("gsm8k", "gsm8k"), ("math", "minerva_math500")],
)
def test_quickstart_model_on_real_items_gets_lm_evals_verdicts(
    name: str, task: str, smollm2_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    from harness.engines import EngineSettings, open_engine

    folder = tmp_path / "data"
    for file in ("gsm8k/test.jsonl", "math/math_500.jsonl"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).symlink_to(data_dir / file)
    (folder / "gsm8k/train.jsonl").symlink_to(data_dir / "gsm8k/train_first300.jsonl")
    engine = open_engine(EngineSettings(kind="hf", device="cpu", dtype="fp32"), smollm2_dir)
    overrides = {"max_new_tokens": 96}
    assert compare(name, task, smollm2_dir, engine, folder, tmp_path / "o", 4, overrides) >= 3


def test_our_engine_serves_lm_evals_own_evaluator(sample_folder: Path, tmp_path: Path) -> None:
    from harness.benchmarks.lm_eval_bridge import EngineLM

    include = include_folder(tmp_path, sample_folder, "gsm8k")
    engine = FakeEngine(reply=lambda prompt, seed: "#### 12")
    found = lm_eval_samples(EngineLM(engine), include, "gsm8k", [0, 3, 7], {})
    assert len(found) == 6
    assert engine.calls == [("chat", 3)]
    strict = {s["doc_id"]: s["exact_match"] for s in found if s["filter"] == "strict-match"}
    keys = [
        row["answer"].rsplit("#### ", 1)[1]
        for row in open_source("sample").rows("gsm8k/test.jsonl")
    ]
    assert strict == {n: float(keys[n] == "12") for n in (0, 3, 7)}


def test_a_template_without_system_turns_still_gets_the_question() -> None:
    from harness.benchmarks.lm_eval_bridge import EngineLM
    from harness.engines.errors import EngineError

    class Strict(FakeEngine):
        def render(self, messages: Any, *, add_generation_prompt: bool = True) -> str:
            if any(turn["role"] == "system" for turn in messages):
                raise EngineError("no system turns")
            return super().render(messages, add_generation_prompt=add_generation_prompt)

    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    text = EngineLM(Strict()).apply_chat_template(chat)
    assert "Q" in text
    assert "S" not in text.replace("assistant", "")
    prefixed = [*chat[1:], {"role": "assistant", "content": "So"}]
    assert EngineLM(FakeEngine()).apply_chat_template(prefixed, False).endswith("assistant\nSo")


def test_scored_options_and_rolling_text_go_through_the_engine() -> None:
    from lm_eval.api.instance import Instance

    from harness.benchmarks.lm_eval_bridge import EngineLM

    engine = FakeEngine()
    lm = EngineLM(engine)
    pairs = [("Q", " A"), ("Q", " B b")]
    requests = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    found = lm.loglikelihood(requests)
    direct = engine.logprobs([p for p, _ in pairs], [c for _, c in pairs])
    assert found == [(d.total, d.greedy) for d in direct]
    (rolling,) = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, ("a b",), 0)])
    assert rolling == engine.logprobs([""], ["a b"])[0].total
