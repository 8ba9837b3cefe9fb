"""Every arm from folders to folders, with a fake engine and training recorded or real."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from groundwork.stage_result import StageResult
from sso.arms import ARMS, StepContext, get_arm
from sso.objectives import Objective
from sso.records import Query
from sso.settings import MethodSettings
from sso.training import TrainingRun
from tests.sso.arm_loop import NAMES, QUERIES, Loop, speaking
from tests.sso.fake_engine import FakeEngine, digest


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Training replaced by a record of what it was asked."""
    asked: list[dict[str, Any]] = []

    def train(
        model: Path, examples: Any, objective: Any, settings: Any, run: TrainingRun
    ) -> StageResult:
        asked.append(
            {"model": model, "groups": list(examples), "objective": objective, **vars(run)}
        )
        run.out.mkdir(parents=True)
        return StageResult({"groups": len(examples)}, {"loss": 1.0}, 7)

    monkeypatch.setattr("sso.arms.steps.train", train)
    return asked


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    folder = tmp_path / "preferences"
    folder.mkdir()
    rows = [
        {"id": f"r{i}", "prompt": f"text {i}", "chosen": f"yes {i}", "rejected": f"no {i}"}
        for i in range(3)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "preferences.jsonl").write_text(text, encoding="utf-8")
    return Loop(tmp_path, tmp_path / "base")


def kinds(group: Any) -> list[tuple[str, str, str]]:
    """Kind, chosen side and rejected side of every pair of a group."""
    return [(p.kind, p.chosen.split()[1], p.rejected.split()[1]) for p in group.pairs]


def test_the_registry_holds_every_method() -> None:
    assert tuple(ARMS) == NAMES
    assert all(get_arm(name).name == name for name in NAMES)
    assert get_arm("SSO_joint") is ARMS["sso-joint"]


def test_titles_and_places_in_a_table_are_the_arms_own() -> None:
    arms = sorted(ARMS.values(), key=lambda arm: arm.order)
    assert [arm.title for arm in arms] == [
        "UltraFeedback", "PBAA", "PBAA generator", "SSO (joint)", "SSO",
        "SSO w/o W", "SSO w/o G", "SSO w/o W, G",
    ]  # fmt: skip
    assert len({arm.order for arm in arms}) == len(arms)
    assert [arm.name for arm in arms if arm.ablation] == [
        "pbaa-generator", "without-w", "without-g", "without-w-g",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pbba", "did you mean 'pbaa'"),
        ("sso-jont", "did you mean 'sso-joint'"),
        ("xyz", "there are: sso,"),
    ],
)
def test_an_unknown_method_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        get_arm(name)


@pytest.mark.parametrize("name", NAMES)
def test_steps_read_only_what_came_before(name: str) -> None:
    arm = get_arm(name)
    known = {"policy", "preferences"} if arm.uses_preferences else {"policy"}
    for step in arm.steps:
        assert set(step.inputs) <= known
        known.add(step.name)
    assert arm.steps[-1].kind == "train"
    assert arm.judged in known
    assert set(arm.steps[0].settings) <= {"principles", "sampling"}
    assert arm.uses_queries != arm.uses_preferences


@pytest.mark.parametrize(
    ("name", "l_minus_prefers"), [("sso", "original"), ("pbaa-generator", "bad")]
)
def test_generator_arms(
    name: str, l_minus_prefers: str, loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    loop.run(get_arm(name))
    generator, policy = trainings
    assert (generator["objective"], policy["objective"]) == ("generator", "pair")
    assert generator["model"] == policy["model"] == loop.policy
    assert generator["out"] == loop.root / "generator" / "model"
    assert policy["out"] == loop.root / "policy" / "model"
    assert [g.id for g in generator["groups"]] == [q.id for q in QUERIES]
    for group in generator["groups"]:
        assert kinds(group) == [
            ("generator-good", "good", "bad"),
            ("generator-bad", l_minus_prefers, "good"),
        ]
        assert all(p.chosen.startswith("policy ") for p in group.pairs)
    for group in policy["groups"]:
        assert kinds(group) == [("policy", "good", "bad")]
        assert group.pairs[0].chosen.startswith("generator ")
        assert [m["role"] for m in group.pairs[0].prompt] == ["user"]
    assert loop.lines("pairs/pairs.jsonl") == [
        g.pairs[0].model_dump(mode="json") for g in policy["groups"]
    ]


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("sso-joint", Objective("joint")),
        ("without-w", Objective("joint", use_w=False)),
        ("without-g", Objective("joint", use_g=False)),
        ("without-w-g", "pair"),
        ("pbaa", "pair"),
    ],
)
def test_one_training_arms(
    name: str, objective: Any, loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    loop.run(get_arm(name))
    (policy,) = trainings
    assert policy["objective"] == objective
    assert policy["model"] == loop.policy
    expected = [("policy", "good", "bad")]
    if name in ("sso-joint", "without-w"):
        expected += [("generator-good", "good", "bad"), ("generator-bad", "original", "good")]
    assert [kinds(g) for g in policy["groups"]] == [expected] * len(QUERIES)
    judged = loop.lines("sample/pairs.jsonl")
    assert [(p["kind"], p["query_id"]) for p in judged] == [("policy", q.id) for q in QUERIES]


def test_without_w_and_g_trains_on_what_pbaa_trains_on(
    tmp_path: Path, trainings: list[dict[str, Any]]
) -> None:
    for name in ("pbaa", "without-w-g"):
        Loop(tmp_path / name, tmp_path / "base").run(get_arm(name))
    pbaa, ablation = trainings
    assert pbaa["groups"] == ablation["groups"]
    assert (pbaa["objective"], pbaa["seed"]) == (ablation["objective"], ablation["seed"])


def test_ultrafeedback(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.run(get_arm("ultrafeedback"))
    (policy,) = trainings
    assert policy["objective"] == "pair"
    assert [(g.id, g.pairs[0].kind, g.pairs[0].chosen) for g in policy["groups"]] == [
        (f"r{i}", "annotated", f"yes {i}") for i in range(3)
    ]
    result = loop.results["pairs"]
    assert result.counts["pairs"] == 3
    assert {"chosen_logp", "rejected_logp", "chosen_gap"} <= set(result.measures)


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_leaves_the_pairs_that_are_judged(
    name: str, loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    arm = get_arm(name)
    loop.run(arm)
    pairs = loop.lines(f"{arm.judged}/pairs.jsonl")
    quality = loop.lines(f"{arm.judged}/quality.jsonl")
    assert [q["pair_id"] for q in quality] == [p["id"] for p in pairs]
    assert {q["chosen_logp"] for q in quality} == {-1.0}  # the fake engine's nat a token
    measures = loop.results[arm.judged].measures
    assert measures["logp_margin"] == measures["rejected_gap"] == 0.0
    # Pairs are looked at from the policy's side, whoever wrote them.
    assert set(loop.engines) <= {"policy", "generator"}
    assert not [e for n, e in loop.engines.items() if n == "generator" and e.scored]
    assert all(p[0]["role"] == "user" for p, _ in loop.engines["policy"].scored)


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


def test_sso_and_pbaa_start_from_the_same_samples(
    tmp_path: Path, trainings: list[dict[str, Any]]
) -> None:
    found = []
    for name in ("sso", "sso-joint", "pbaa"):
        run = Loop(tmp_path / name, tmp_path / "base")
        run.run(get_arm(name))
        found.append([(c["good"], c["bad"]) for c in run.lines("sample/contrasts.jsonl")])
    assert found[0] == found[1] == found[2]


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


@pytest.mark.parametrize("loss", ["ipo", "dpo"])
@pytest.mark.parametrize("name", NAMES)
def test_every_arm_trains_a_tiny_model(
    name: str, loss: str, loop: Loop, tiny_model_dir: Path
) -> None:
    from safetensors.torch import load_file

    loop.policy = tiny_model_dir
    loop.settings = MethodSettings.model_validate(
        {
            "loss": {"kind": loss},
            "training": {"learning_rate": 1e-3, "batch_size": 2, "report_to": []},
        }
    )
    arm = get_arm(name)
    loop.run(arm)
    before = load_file(tiny_model_dir / "model.safetensors")
    for step in arm.steps:
        if step.kind != "train":
            continue
        after = load_file(loop.root / step.name / "model" / "model.safetensors")
        assert set(after) == set(before)
        moved = max(float((after[k] - before[k]).abs().max()) for k in before)
        assert 0 < moved < 0.1
        result = loop.results[step.name]
        assert math.isfinite(result.measures["loss"])
        assert result.counts["groups"] == (3 if name == "ultrafeedback" else len(QUERIES))
        assert result.tokens > 0


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
