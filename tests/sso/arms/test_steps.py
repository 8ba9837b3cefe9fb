"""The steps that arms are built of: what they keep, drop, measure and refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from sso.arms import StepContext, get_arm
from sso.records import Query
from sso.settings import MethodSettings
from tests.sso.arm_loop import QUERIES, Loop, speaking
from tests.sso.fake_engine import FakeEngine, digest


@pytest.mark.parametrize("name", ["sso", "pbaa", "ultrafeedback"])
def test_steps_are_a_function_of_inputs_settings_and_seed(
    name: str, tmp_path: Path, trainings: list[dict[str, Any]], loop: Loop
) -> None:
    def pairs(folder: str, seed: int = 0, iteration: int = 1, back: bool = False) -> dict[str, Any]:
        other = Loop(tmp_path / folder, loop.policy)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "preferences").symlink_to(loop.root / "preferences")
        other.queries = QUERIES[::-1] if back else QUERIES
        other.run(get_arm(name), iteration, seed)
        return {p["id"]: p for p in other.lines(f"{get_arm(name).judged}/pairs.jsonl")}

    first = pairs("one")
    assert pairs("two") == first
    assert pairs("three", back=True) == first
    same = name == "ultrafeedback"  # nothing is drawn there
    assert (pairs("four", seed=1) == first) == same
    assert (pairs("five", iteration=2) == first) == same


def test_dropped_contrasts_are_kept_on_file_but_not_trained_on(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    talking = speaking("policy")
    plain = talking.reply

    def reply(prompt: Any, seed: int, temperature: float) -> str:
        text = plain(prompt, seed, temperature)
        return "The guidelines forbid it." if " good text 2" in text else text

    loop.engines["policy"] = replace(talking, reply=reply)
    loop.run(get_arm("sso"))
    assert len(loop.lines("sample/contrasts.jsonl")) == 4
    (dropped,) = loop.lines("sample/dropped.jsonl")
    assert (dropped["query_id"], dropped["reason"]) == ("q2", "leaks_guidelines")
    assert [g.id for g in trainings[0]["groups"]] == ["q0", "q1", "q3"]
    # The generator gets another try at every query.
    assert [g.id for g in trainings[1]["groups"]] == ["q0", "q1", "q2", "q3"]
    result = loop.results["sample"]
    assert (result.counts["pairs"], result.counts["dropped_leaks_guidelines"]) == (3, 1)
    assert result.measures["dropped_rate"] == 0.25


def test_queries_that_fill_the_context_are_left_out(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    class Small(FakeEngine):
        max_length = 1200

        def render(self, messages: Any, *, add_generation_prompt: bool = True) -> str:
            return "\n".join(m["content"] for m in messages)

        def count_tokens(self, text: str) -> int:
            return len(text)

    loop.engines["policy"] = Small(speaking("policy").reply)
    loop.queries = [*QUERIES, Query(id="long", text="x" * 1200)]
    loop.run(get_arm("pbaa"))
    assert [d["reason"] for d in loop.lines("sample/dropped.jsonl")] == ["no_room"]
    assert loop.results["sample"].counts["dropped_no_room"] == 1
    assert [g.id for g in trainings[0]["groups"]] == [q.id for q in QUERIES]


def test_nothing_left_stops_the_step(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.engines["policy"] = FakeEngine(lambda p, s, t: "always the same")
    with pytest.raises(UserError, match=r"all 4 dropped \(4 identical\)"):
        loop.run(get_arm("pbaa"))
    assert len(loop.lines("sample/contrasts.jsonl")) == 4
    assert trainings == []


def test_queries_are_checked(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.queries = []
    with pytest.raises(UserError, match="no queries"):
        loop.run(get_arm("pbaa"))
    loop.queries = [QUERIES[0], Query(id="q0", text="another")]
    with pytest.raises(UserError, match="two different queries share the id 'q0'"):
        loop.run(get_arm("pbaa"))
    loop.queries = [*QUERIES, QUERIES[1]]
    loop.run(get_arm("pbaa"))
    counts = loop.results["sample"].counts
    assert (counts["queries"], counts["repeated_queries"]) == (4, 1)


def test_another_writer_selects_and_writes(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    writer = FakeEngine(lambda p, s, t: "Accuracy" if t == 0 else "no guidelines here")
    settings = MethodSettings.model_validate({"principles": {"source": "generated"}})
    step = get_arm("pbaa").steps[0]
    (loop.root / "sample").mkdir()
    context = StepContext(
        folder=loop.root / "sample",
        inputs={"policy": loop.policy},
        queries=QUERIES,
        settings=settings,
        iteration=1,
        seed=0,
        engine=loop.engine,
        writer=writer,
        progress=lambda done, total: loop.progress.append((done, total)),
    )
    result = step.run(context)
    assert [len(c["prompts"]) for c in writer.chats] == [4, 4]
    assert result.measures["principle_fallback_rate"] == 1.0
    assert result.measures["selection_fallback_rate"] == 1.0
    assert all(p["fallback"] for p in loop.lines("sample/principles.jsonl"))
    assert loop.progress[0] == (0, 20)
    assert [done for done, _ in loop.progress] == list(range(21))
    assert loop.progress[-1] == (20, 20)


def test_measuring_can_be_turned_off(tmp_path: Path, trainings: list[dict[str, Any]]) -> None:
    off = {"sampling": {"measure_original": False, "on_policyness": False}}
    run = Loop(tmp_path, tmp_path / "base", MethodSettings.model_validate(off))
    run.run(get_arm("pbaa"))
    assert not run.engines["policy"].scored
    assert not [name for name in run.results["sample"].measures if "logp" in name]
    originals = [c for c in run.engines["policy"].chats if c["prompts"][0][0]["role"] == "user"]
    assert len(originals) == 1  # the feature selection


def test_a_template_without_a_system_turn_gets_the_guidelines_in_the_users(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    class Gemma(FakeEngine):
        def render(self, messages: Any, *, add_generation_prompt: bool = True) -> str:
            if any(m["role"] == "system" for m in messages):
                raise UserError("system role not supported")
            return "\n".join(m["content"] for m in messages)

    def reply(prompt: Any, seed: int, temperature: float) -> str:
        if prompt[-1]["content"].startswith("Request:"):
            return "Safety, Accuracy"
        good = "Give advice" if len(prompt[-1]["content"]) < 40 else digest(prompt, seed)[:9]
        return f"{good} {seed}"

    for name in ("policy", "generator"):
        loop.engines[name] = Gemma(reply, name)
    loop.run(get_arm("sso"))
    for group in trainings[0]["groups"]:
        for pair in group.pairs:
            (turn,) = pair.prompt
            assert turn["role"] == "user"
            assert turn["content"].endswith(f"text {group.id[1:]}")
            assert len(turn["content"]) > 100  # the guidelines are in it
    assert any("no system turn" in note for note in loop.results["sample"].notes)
    loop.settings = MethodSettings.model_validate({"principles": {"system_role": "system"}})
    with pytest.raises(UserError, match="system role not supported"):
        loop.run(get_arm("sso"))
