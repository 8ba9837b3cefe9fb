"""The journal: a run that was killed goes on to the same answers, generating only what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from groundwork.sampling_params import SamplingParams
from harness.engines.errors import EngineError
from harness.engines.fake import FakeEngine
from harness.engines.hf import HfEngine
from harness.engines.resumable import Journal, ResumableEngine, seal, unseal

PROMPTS = [f"question number {n % 5} " + "word " * (n % 4) for n in range(12)]


def test_second_call_generates_nothing(tmp_path: Path) -> None:
    inner = FakeEngine()
    engine = ResumableEngine(inner, tmp_path / "j.jsonl")
    first = engine.chat(PROMPTS, SamplingParams(9, temperature=0.7), seeds=range(12))
    assert first == FakeEngine().chat(PROMPTS, SamplingParams(9, temperature=0.7), seeds=range(12))
    assert engine.tokens == sum(c.completion_tokens for c in first)
    later = FakeEngine()
    seen: list[int] = []
    again = ResumableEngine(later, tmp_path / "j.jsonl")
    assert first == again.chat(
        PROMPTS,
        SamplingParams(9, temperature=0.7),
        seeds=range(12),
        on_done=lambda index, _: seen.append(index),
    )
    assert (later.calls, again.tokens, sorted(seen)) == ([], 0, list(range(12)))


PARAMS = SamplingParams(9, temperature=0.7, top_p=0.9)


@pytest.mark.parametrize(
    ("params", "first_seed"),
    [
        (replace(PARAMS, max_new_tokens=8), 0),
        (replace(PARAMS, temperature=0.8), 0),
        (replace(PARAMS, top_p=0.5), 0),
        (replace(PARAMS, stop=("the",)), 0),
        (PARAMS, 1),
    ],
)
def test_any_setting_is_part_of_the_key(
    tmp_path: Path, params: SamplingParams, first_seed: int
) -> None:
    inner = FakeEngine()
    engine = ResumableEngine(inner, tmp_path / "j.jsonl")
    engine.chat(PROMPTS, PARAMS, seeds=range(12))
    engine.chat(PROMPTS, params, seeds=range(first_seed, first_seed + 12))
    assert inner.calls[0] == ("chat", 12)
    # Seeds 1 to 12 ask again for prompts (n mod 5, n mod 4 words) that only seed n had.
    assert inner.calls[1] == ("chat", 12)


def test_another_model_is_another_key(tmp_path: Path) -> None:
    ResumableEngine(FakeEngine("one"), tmp_path / "j.jsonl").chat(PROMPTS, SamplingParams(9))
    inner = FakeEngine("two")
    ResumableEngine(inner, tmp_path / "j.jsonl").chat(PROMPTS, SamplingParams(9))
    assert inner.calls == [("chat", 12)]


def test_equal_requests_of_one_call_each_have_an_entry(tmp_path: Path) -> None:
    engine = ResumableEngine(FakeEngine(), tmp_path / "j.jsonl")
    engine.chat(["same"] * 3, SamplingParams(5))
    assert len((tmp_path / "j.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("lost", [1, 20, 200])
def test_torn_end_is_dropped(tmp_path: Path, lost: int) -> None:
    journal = tmp_path / "j.jsonl"
    complete = ResumableEngine(FakeEngine(), journal).chat(PROMPTS, SamplingParams(9))
    data = journal.read_bytes()[:-lost]
    journal.write_bytes(data)
    kept = data.count(b"\n")
    inner = FakeEngine()
    assert ResumableEngine(inner, journal).chat(PROMPTS, SamplingParams(9)) == complete
    assert inner.calls == [("chat", 12 - kept)]
    assert len([json.loads(line) for line in journal.read_text().splitlines()]) == 12


def test_logprobs_are_journalled(tmp_path: Path) -> None:
    rests = [f" option {n}" for n in range(12)]
    first = ResumableEngine(FakeEngine(), tmp_path / "j.jsonl").logprobs(PROMPTS, rests)
    inner = FakeEngine()
    assert ResumableEngine(inner, tmp_path / "j.jsonl").logprobs(PROMPTS, rests) == first
    assert inner.calls == []


def test_private_journal_holds_no_text(tmp_path: Path) -> None:
    secret = "the treasure lies under the oak"
    inner = FakeEngine(reply=lambda prompt, seed: f"{secret} {prompt}")
    journal = tmp_path / "j.jsonl"
    prompts = ["first gated question", "second gated question"]
    with ResumableEngine(inner, journal, private=True) as engine:
        engine.chat(prompts, SamplingParams(20))
    stored = journal.read_text()
    for word in (*secret.split(), "gated", "question", "treas"):
        assert word not in stored.replace("the", "") or word == "the"
    again = ResumableEngine(FakeEngine(), journal, private=True).chat(prompts, SamplingParams(20))
    assert [c.text for c in again] == [f"{secret} {prompt}" for prompt in prompts]


def test_seal_and_unseal() -> None:
    for text in ("", "plain", "Ünïcode 日本 " * 50):
        assert unseal(seal(text, "key"), "key") == text
    assert seal("same", "a") != seal("same", "b")


def test_unreadable_line_is_generated_again(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text('not json\n{"key": "k", "text": "kept"}\n[1]\n')
    journal = Journal(tmp_path / "j.jsonl")
    assert journal.get("k") == {"text": "kept"}


@pytest.mark.parametrize("killed_after", [1, 4, 7, 11])
def test_killed_run_resumes_to_the_same_bits(
    tiny_model_dir: Path, tmp_path: Path, killed_after: int
) -> None:
    class Killed(BaseException):
        pass

    params = SamplingParams(12, temperature=0.8, top_p=0.9)
    complete = HfEngine(tiny_model_dir, batch_size=4).chat(PROMPTS, params, seeds=range(12))
    count = 0

    def die(index: int, _: object) -> None:
        nonlocal count
        count += 1
        if count == killed_after:
            raise Killed

    journal = tmp_path / "j.jsonl"
    with pytest.raises(Killed):
        ResumableEngine(HfEngine(tiny_model_dir, batch_size=4), journal).chat(
            PROMPTS, params, seeds=range(12), on_done=die
        )
    assert len(journal.read_text().splitlines()) == killed_after
    engine = ResumableEngine(HfEngine(tiny_model_dir, batch_size=4), journal)
    assert engine.chat(PROMPTS, params, seeds=range(12)) == complete


def test_a_changed_answer_in_the_journal_is_generated_again(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    first = list(ResumableEngine(FakeEngine(), file).chat(PROMPTS, PARAMS, seeds=range(12)))
    lines = file.read_text().splitlines(keepends=True)
    row = json.loads(lines[3])
    lines[3] = lines[3].replace(json.dumps(row["text"]), json.dumps(row["text"] + "?"))
    file.write_text("".join(lines))
    inner = FakeEngine()
    assert ResumableEngine(inner, file).chat(PROMPTS, PARAMS, seeds=range(12)) == first
    assert inner.calls == [("chat", 1)]


def test_lone_surrogates_and_carriage_returns_survive_the_journal(tmp_path: Path) -> None:
    for private in (False, True):
        path = tmp_path / f"{private}.jsonl"
        journal = Journal(path, private)
        journal.add("k", {"text": "a\ud800\r\nb\u2028c"})
        journal.close()
        assert Journal(path, private).get("k") == {"text": "a\ud800\r\nb\u2028c"}


def test_two_journals_of_one_file_find_what_each_wrote(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first, second = Journal(path), Journal(path)
    for n in range(3):
        first.add(f"a{n}", {"text": "x" * n})
        second.add(f"b{n}", {"text": "yy" * n})
    assert [first.get(f"a{n}") for n in range(3)] == [{"text": "x" * n} for n in range(3)]
    assert [second.get(f"b{n}") for n in range(3)] == [{"text": "yy" * n} for n in range(3)]
    third = Journal(path)
    assert third.get("a2") == {"text": "xx"}
    assert third.get("b2") == {"text": "yyyy"}
    assert third.get("c") is None


def test_a_journal_holds_no_texts_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    writer = Journal(tmp_path / "j.jsonl")
    for n in range(300):
        writer.add(str(n), {"text": f"{n} " + "word " * 4000})  # 20 kB each
    writer.close()
    tracemalloc.start()
    journal = Journal(tmp_path / "j.jsonl")
    assert journal.get("299") == {"text": "299 " + "word " * 4000}
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 300 * 4000  # a fifth of the texts would be more


def test_answers_of_a_call_lie_in_the_journal_not_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    engine = ResumableEngine(FakeEngine(reply=lambda text, seed: "w" * 20_000), tmp_path / "j")
    tracemalloc.start()
    answers = engine.chat([str(n) for n in range(100)], SamplingParams(9))
    total = sum(len(answer.text) for answer in answers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 2_000_000
    assert peak < 500_000


def test_an_answer_that_is_gone_from_the_journal_is_named(tmp_path: Path) -> None:
    answers = ResumableEngine(FakeEngine(), tmp_path / "j").chat(["a", "b"], SamplingParams(9))
    (tmp_path / "j").write_text("")
    with pytest.raises(EngineError, match="the answer to item 1 is gone"):
        answers[1]


def test_an_engine_that_leaves_an_item_out_is_an_error(tmp_path: Path) -> None:
    class Lazy(FakeEngine):
        def chat(self, prompts, params, **how):  # type: ignore[no-untyped-def]
            return super().chat(prompts[:1], params, **{**how, "seeds": [0]})

    with pytest.raises(EngineError, match="no answer to item 1"):
        ResumableEngine(Lazy(), tmp_path / "j").chat(["a", "b"], SamplingParams(9))
