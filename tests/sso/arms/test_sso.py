"""SSO's claim, end to end on a fixed tiny model: what its generator writes under x- stays likelier under the
policy than with the choice that SSO corrects (``benchmarking/onpolicy.py`` measures it on a real model).

The policy has learned one kind of answer; y+ and y- are scripted and unlike it. L- of ``sso`` prefers yo, the
policy's own answer; that of ``pbaa-generator`` prefers y-. Everything after the script is real: the arms'
pairs, the training of both generators, what they write, and its score under the policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from groundwork.stage_result import StageResult
from harness.engines.base import Completion
from harness.engines.hf import HfEngine
from sso.arms import StepContext, get_arm
from sso.records import Query
from sso.settings import MethodSettings
from tests.sso.arm_loop import QUERIES as LOOP_QUERIES
from tests.sso.arm_loop import Loop, kinds

QUERIES = [
    Query(id=f"q{i}", text=f"Say {word}") for i, word in enumerate(("red", "sky", "sea", "oak"))
]
SETTINGS = MethodSettings.model_validate(
    {
        "principles": {"select": "random", "concision_probability": 0},
        "sampling": {"max_new_tokens": 20, "keep_truncated": True},
        "loss": {"kind": "dpo"},
        "training": {
            "learning_rate": 3e-3,
            "batch_size": 4,
            "epochs": 25,
            "schedule": "constant",
            "warmup_ratio": 0,
            "report_to": [],
        },
    }
)


def own_answer(query: str) -> str:
    return f"I say {query.rsplit(' ', maxsplit=1)[-1]}."


@pytest.fixture(scope="module")
def policy(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, taught to answer "Say red" by "I say red.", under any guidelines and under none."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("policy")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    rows = []
    for query in QUERIES:
        turn = {"role": "user", "content": query.text}
        for system in ([], [{"role": "system", "content": "Keep to it."}]):
            head = tokenizer.apply_chat_template(
                [*system, turn], tokenize=False, add_generation_prompt=True
            )
            rows.append((head, own_answer(query.text) + "<|im_end|>"))
    heads = [tokenizer(head, add_special_tokens=False)["input_ids"] for head, _ in rows]
    wholes = [
        h + tokenizer(a, add_special_tokens=False)["input_ids"]
        for h, (_, a) in zip(heads, rows, strict=True)
    ]
    width = max(map(len, wholes))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in wholes])
    labels = ids.clone()
    for number, (head, whole) in enumerate(zip(heads, wholes, strict=True)):
        labels[number, : len(head)] = -100
        labels[number, len(whole) :] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Scripted:
    """The policy's engine whose y+ and y- are written here; the rest is the real one."""

    def __init__(self, engine: HfEngine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def chat(
        self, prompts: Any, params: Any, *, seeds: Any = None, on_done: Any = None
    ) -> list[Any]:
        count = len(prompts) // 2
        if prompts[0][0]["role"] != "system":
            texts = [own_answer(p[-1]["content"]) for p in prompts]
        else:
            texts = ["Good: 1 2 3" if i < count else "zzzz zzz zz" for i in range(len(prompts))]
        return [Completion(text, 9, len(text) + 1, False) for text in texts]


def measured(name: str, policy: Path, root: Path) -> StageResult:
    """The result of an arm's fresh pairs, after its contrasts and the training of its generator."""
    real = Scripted(HfEngine(policy, max_length=1024))
    folders = {"policy": policy}
    for step in get_arm(name).steps[:3]:
        folder = root / name / step.name
        folder.mkdir(parents=True)

        def engine(model: Path) -> Any:
            return real if model == policy else HfEngine(model, max_length=1024)

        result = step.run(
            StepContext(
                folder=folder,
                inputs={key: folders[key] for key in step.inputs},
                queries=QUERIES,
                settings=SETTINGS,
                iteration=1,
                seed=0,
                engine=engine,
            )
        )
        folders[step.name] = folder / "model" if step.kind == "train" else folder
    return result


def test_the_generator_stays_where_the_policy_writes(policy: Path, tmp_path: Path) -> None:
    sso, corrected = (
        measured(name, policy, tmp_path).measures for name in ("sso", "pbaa-generator")
    )
    assert sso["original_logp"] > -0.2  # yo is the policy's own answer
    assert sso["rejected_logp"] - corrected["rejected_logp"] > 3
    assert sso["rejected_gap"] > -1.5


def test_the_generator_trains_on_its_pairs_and_the_policy_on_fresh_ones(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    """L- prefers yo to y+."""
    loop.run(get_arm("sso"))
    generator, policy = trainings
    assert (generator["objective"], policy["objective"]) == ("generator", "pair")
    assert generator["model"] == policy["model"] == loop.policy
    assert generator["out"] == loop.root / "generator" / "model"
    assert policy["out"] == loop.root / "policy" / "model"
    assert [g.id for g in generator["groups"]] == [q.id for q in LOOP_QUERIES]
    for group in generator["groups"]:
        assert kinds(group) == [
            ("generator-good", "good", "bad"),
            ("generator-bad", "original", "good"),
        ]
        assert all(p.chosen.startswith("policy ") for p in group.pairs)
    for group in policy["groups"]:
        assert kinds(group) == [("policy", "good", "bad")]
        assert group.pairs[0].chosen.startswith("generator ")
        assert [m["role"] for m in group.pairs[0].prompt] == ["user"]
    assert loop.lines("pairs/pairs.jsonl") == [
        g.pairs[0].model_dump(mode="json") for g in policy["groups"]
    ]
