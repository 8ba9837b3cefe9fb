"""Objective benchmarks end to end with a fake engine: files, counts, limits, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.benchmarks import (
    EvalRequest,
    ProtocolSpec,
    all_protocols,
    get_benchmark,
    load_protocol,
)
from harness.benchmarks.answer_key import ObjectiveBenchmark
from harness.benchmarks.answers_file import OUTPUTS, read_saved, text_hash
from harness.benchmarks.rescore import rescore
from harness.data import DataSource, open_source
from harness.engines.fake import FakeEngine
from harness.errors import DataError, ProtocolError

NAMES = ("gsm8k", "math", "mmlu_pro", "gpqa", "mmlu", "ifeval")


def request(
    name: str, protocol: str = "quick", data: Any = "sample", **options: Any
) -> EvalRequest:
    source = data if isinstance(data, DataSource) else open_source(data)
    return EvalRequest(source, load_protocol(name, protocol), **options)


def benchmark(name: str) -> ObjectiveBenchmark:
    found = get_benchmark(name)
    assert isinstance(found, ObjectiveBenchmark)
    return found


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def gsm8k_data(folder: Path, test: int = 6, train: int = 8) -> Path:
    row = {"question": "What is {n} plus 1?", "answer": "It is {m}.\n#### {m}"}
    made = [
        {k: v.format(n=n, m=n + 1) for k, v in row.items()} for n in range(100, 100 + test + train)
    ]
    write(folder, "gsm8k/test.jsonl", made[:test])
    return write(folder, "gsm8k/train.jsonl", made[test:])


@pytest.mark.parametrize("name", ["gsm8k", "mmlu_pro", "gpqa", "mmlu"])
@pytest.mark.parametrize("protocol", ["community", "quick", "paper"])
def test_every_benchmark_runs_on_the_sample(name: str, protocol: str, tmp_path: Path) -> None:
    asked = request(name, protocol, limit=8)
    seen: list[tuple[int, int]] = []
    benchmark(name).generate(asked, FakeEngine(), tmp_path, lambda d, t: seen.append((d, t)))
    assert seen[-1] == (8, 8)
    made = benchmark(name).score(asked, tmp_path)
    (headline,) = [s for s in made.scores if s.headline]
    assert (headline.n, headline.n_expected, len(made.items)) == (8, 8, 8)
    assert headline.value is not None
    assert headline.metric == load_protocol(name, protocol).settings["metric"]
    assert {"sample-data", "item-limit"} <= set(headline.marks)
    assert {"prompt_hash", "data_revision", "decoding", "extraction", "metric"} <= set(
        headline.settings
    )
    load = benchmark(name).workload(asked)
    assert load.items == 8
    assert load.prompt_tokens > 0


@pytest.mark.parametrize("spec", all_protocols(), ids=lambda spec: spec.name)
def test_every_protocol_builds_its_prompts_on_the_sample(spec: ProtocolSpec) -> None:
    from harness.benchmarks.lm_eval_bridge import EngineLM

    found = get_benchmark(spec.benchmark)
    if not isinstance(found, ObjectiveBenchmark):
        pytest.skip("asked by the benchmark itself, not through lm-eval")
    asked = EvalRequest(open_source("sample"), spec, limit=3)
    items, _ = found.items(asked)
    prompts = found.prompts(asked, items, EngineLM(FakeEngine()))
    shots = int(spec.settings.get("shots") or 0)
    assert [p.shots for p in prompts] == [
        min(shots, 5) if not spec.settings.get("own_examples") else shots
    ] * len(prompts)
    chat = "<|im_start|>assistant" in prompts[0].text
    assert chat == bool(spec.settings["chat"])
    if chat and spec.settings["multiturn"]:
        assert prompts[0].text.count("<|im_start|>assistant") == shots + 1


def test_right_answers_score_one_and_wrong_ones_zero(tmp_path: Path) -> None:
    data = gsm8k_data(tmp_path / "data")

    def reply(prompt: str, seed: int) -> str:
        last = prompt.rsplit("What is ", 1)[1]
        number = int(last.split(" plus")[0])
        return f"The answer is {number + 1}.00" if number % 2 else "It is 7"

    asked = request("gsm8k", "community", data)
    benchmark("gsm8k").generate(asked, FakeEngine(reply=reply), tmp_path)
    made = benchmark("gsm8k").score(asked, tmp_path)
    assert [i.values["numeric"] for i in made.items] == [0, 1, 0, 1, 0, 1]
    assert [i.values["strict_match"] for i in made.items] == [0] * 6
    assert next(s for s in made.scores if s.metric == "numeric").value == pytest.approx(50.0)


def test_the_same_items_for_every_engine_and_others_for_another_seed() -> None:
    first, _ = benchmark("math").items(request("math", limit=10))
    again, _ = benchmark("math").items(request("math", "community", limit=10))
    other, _ = benchmark("math").items(request("math", limit=10, seed=5))
    assert [i.item_id for i in first] == [i.item_id for i in again]
    assert [i.item_id for i in first] != [i.item_id for i in other]
    assert len({i.category for i in first}) >= 6


def test_protocol_id_depends_on_settings_and_data_but_not_on_the_limit(tmp_path: Path) -> None:
    def name_of(asked: EvalRequest) -> str:
        folder = tmp_path / text_hash(str(asked))[:8]
        folder.mkdir(exist_ok=True)
        benchmark(asked.protocol.benchmark).generate(asked, FakeEngine(), folder)
        return benchmark(asked.protocol.benchmark).score(asked, folder).scores[0].protocol

    whole, part = request("mmlu_pro"), request("mmlu_pro", limit=5, seed=3)
    assert name_of(whole) == name_of(part)
    longer = request("mmlu_pro", limit=5, overrides={"max_new_tokens": 25})
    assert name_of(longer) != name_of(part)
    data = gsm8k_data(tmp_path / "data")
    assert name_of(request("gsm8k", data=data)) != name_of(request("gsm8k"))


def test_gated_answers_and_questions_never_lie_in_the_clear(tmp_path: Path) -> None:
    source = open_source("sample")
    folder = tmp_path / "data" / "gpqa"
    folder.mkdir(parents=True)
    (folder / "gpqa_main.csv").write_bytes(source.path("gpqa/gpqa_main.csv").read_bytes())
    asked = request("gpqa", "paper", data=tmp_path / "data", limit=4)
    engine = FakeEngine(reply=lambda prompt, seed: "SECRETWORD the answer is (B)")
    benchmark("gpqa").generate(asked, engine, tmp_path)
    text = (tmp_path / OUTPUTS).read_text()
    assert "SECRETWORD" not in text
    for row in source.rows("gpqa/gpqa_main.csv"):
        assert row["Question"][:40] not in text
        assert row["Correct Answer"] not in text or len(row["Correct Answer"]) < 8
    made = benchmark("gpqa").score(asked, tmp_path)
    assert {item.extracted for item in made.items} == {"B"}
    assert "SECRETWORD" not in json.dumps([i.model_dump() for i in made.items])
    again = rescore(tmp_path, "gpqa/paper")
    assert [i.values for i in again.items] == [i.values for i in made.items]


def test_gpqa_permutations_share_a_cluster_and_store_their_order(tmp_path: Path) -> None:
    asked = request("gpqa", "paper", limit=3, overrides={"permutations": 4})
    engine = FakeEngine(reply=lambda prompt, seed: "The answer is (A)")
    benchmark("gpqa").generate(asked, engine, tmp_path)
    rows = read_saved(tmp_path / OUTPUTS)
    assert len(rows) == 12
    assert {tuple(sorted(row["target"]["order"])) for row in rows} == {(0, 1, 2, 3)}
    made = benchmark("gpqa").score(asked, tmp_path)
    assert len({item.cluster for item in made.items}) == 3
    # The correct answer stands at A in one of four permutations of each question: exactly 25 %.
    assert made.scores[0].value == pytest.approx(25.0)
    assert made.scores[0].stderr == pytest.approx(0.0)


def test_a_short_context_gets_fewer_examples_counted_and_none_that_do_not_fit(
    tmp_path: Path,
) -> None:
    data = gsm8k_data(tmp_path / "data")
    folders = {}
    for length in (8192, 60, 34, 5):
        folders[length] = tmp_path / str(length)
        folders[length].mkdir()
        asked = request("gsm8k", "community", data, overrides={"max_new_tokens": 20})
        engine = FakeEngine(max_length=length)
        benchmark("gsm8k").generate(asked, engine, folders[length])
    rows = {length: read_saved(folder / OUTPUTS) for length, folder in folders.items()}
    assert {row["shots"] for row in rows[8192]} == {5}
    few = {row["shots"] for row in rows[60]}
    assert few
    assert max(few) < 5
    assert {row["shots_wanted"] for row in rows[60]} == {5}
    scored = {
        length: benchmark("gsm8k").score(request("gsm8k", "community", data), folder).scores[0]
        for length, folder in folders.items()
    }
    assert scored[8192].marks == ()
    assert scored[60].marks[0].startswith("6 of 6 prompts with fewer examples")
    assert all("does not fit" in row["error"] for row in rows[5])
    made = benchmark("gsm8k").score(request("gsm8k", "community", data), folders[5])
    assert made.scores[0].value is None
    assert (made.scores[0].n, made.scores[0].n_error) == (0, 6)


def test_empty_and_truncated_answers_are_counted_apart(tmp_path: Path) -> None:
    data = gsm8k_data(tmp_path / "data", test=3)
    asked = request("gsm8k", data=data, overrides={"max_new_tokens": 3})
    texts = iter(["", "a b c d e f", "The answer is"])
    benchmark("gsm8k").generate(asked, FakeEngine(reply=lambda p, s: next(texts)), tmp_path)
    score = benchmark("gsm8k").score(asked, tmp_path).scores[0]
    assert (score.n, score.n_truncated, score.n_unparsed, score.n_error) == (3, 1, 3, 0)


@pytest.mark.parametrize(
    ("name", "file", "row", "message"),
    [
        ("gsm8k", "gsm8k/test.jsonl", {"question": "x"}, r"test.jsonl:1: .*'answer'"),
        ("gsm8k", "gsm8k/test.jsonl", {"question": "x", "answer": "3"}, r"test.jsonl:1: .*####"),
        (
            "mmlu_pro",
            "mmlu_pro/test.jsonl",
            {
                "question_id": 1,
                "question": "x",
                "options": ["a", "b"],
                "answer": "C",
                "category": "law",
            },
            r"test.jsonl:1: answer 'C' is outside its 2 options",
        ),
        (
            "mmlu_pro",
            "mmlu_pro/test.jsonl",
            {
                "question_id": 1,
                "question": "x",
                "options": ["a", "b"],
                "answer": "A",
                "category": "l",
            },
            "no subject 'l'",
        ),
        (
            "mmlu",
            "mmlu/test.jsonl",
            {"question": "x", "choices": list("abcd"), "answer": 4, "subject": "anatomy"},
            "answer 4 is outside",
        ),
        (
            "math",
            "math/math_500.jsonl",
            {
                "problem": "x",
                "solution": "5",
                "answer": "5",
                "unique_id": "u",
                "level": 1,
                "subject": "s",
            },
            "no boxed answer",
        ),
        (
            "ifeval",
            "ifeval/input_data.jsonl",
            {"key": 1, "prompt": "x", "instruction_id_list": ["a:b"], "kwargs": []},
            "one set of kwargs",
        ),
    ],
)
def test_bad_rows_are_named_by_file_and_line(
    name: str, file: str, row: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path, file, [row])
    asked = request(name, data=tmp_path)
    with pytest.raises(DataError, match=message):
        benchmark(name).workload(asked)


def test_an_item_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    row = {
        "question_id": 1,
        "question": "x",
        "options": ["a", "b"],
        "answer": "A",
        "category": "law",
    }
    write(tmp_path, "mmlu_pro/test.jsonl", [row, row])
    with pytest.raises(DataError, match="mmlu_pro/1 comes twice"):
        benchmark("mmlu_pro").workload(request("mmlu_pro", data=tmp_path))


def test_unknown_overrides_name_the_nearest_setting() -> None:
    asked = request("gsm8k", overrides={"max_new_token": 3})
    with pytest.raises(ProtocolError, match="mean 'max_new_tokens'"):
        benchmark("gsm8k").workload(asked)


def test_scoring_needs_every_answer(tmp_path: Path) -> None:
    asked = request("gsm8k", limit=4)
    with pytest.raises(UserError, match="generate the answers first"):
        benchmark("gsm8k").score(asked, tmp_path)
    benchmark("gsm8k").generate(asked, FakeEngine(), tmp_path)
    lines = (tmp_path / OUTPUTS).read_text().splitlines()
    (tmp_path / OUTPUTS).write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(UserError, match="no answer for gsm8k/"):
        benchmark("gsm8k").score(asked, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_fingerprint_changes_with_the_items_and_not_with_the_protocols_length(name: str) -> None:
    whole = benchmark(name).fingerprint(request(name))
    assert whole == benchmark(name).fingerprint(request(name))
    assert whole != benchmark(name).fingerprint(request(name, limit=3))
