"""The measured runs of ``training.py``, each in a process of its own: trainers, peers, products.

    python benchmarking/training_workers.py NAME OPTIONS_AS_JSON

prints one line of JSON: seconds, pairs, the last loss and peak memory of the timed steps.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

TEXT = """
river stone answer light careful method garden silver teacher winter number music bridge paper
summer window orange reason market letter forest engine simple travel kitchen doctor history
picture morning village science mountain language question system water island
"""
WORDS = TEXT.split()


def text_of(tokenizer: Any, tokens: int, rng: random.Random) -> str:
    """Words that come to about this many tokens."""
    words: list[str] = []
    while len(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) < tokens:
        words += [rng.choice(WORDS) for _ in range(4)]
    return " ".join(words)


def make_pairs(tokenizer: Any, n: int, principle: int, completion: int) -> list[Any]:
    """n contrasts as (query id, good principle, bad principle, question, y+, y-, yo)."""
    rng = random.Random(7)
    rows = []
    for i in range(n):
        ys = [text_of(tokenizer, completion + rng.randrange(-30, 31), rng) for _ in range(3)]
        good, bad = (text_of(tokenizer, principle, rng) for _ in range(2))
        rows.append((f"q{i}", good, bad, text_of(tokenizer, 24, rng), *ys))
    return rows


def groups_of(rows: list[Any], kind: str) -> list[Any]:
    """Prompt groups: ``pair`` (y+ > y- under x+) or ``generator`` (x+ and x- pairs)."""
    from sso.objectives import PromptGroup
    from sso.records import PreferencePair

    groups = []
    for query, good, bad, question, yp, ym, yo in rows:
        user = {"role": "user", "content": question}
        x_good, x_bad = ({"role": "system", "content": p} for p in (good, bad))

        def pair(name: str, system: Any, chosen: str, rejected: str, role: str) -> Any:
            return PreferencePair(
                id=f"{query}-{name}",  # noqa: B023
                query_id=query,  # noqa: B023
                prompt=(system, user),  # noqa: B023
                chosen=chosen,
                rejected=rejected,
                kind=role,
            )

        if kind == "pair":
            pairs = (pair("x", x_good, yp, ym, "policy"),)
        else:
            pairs = (
                pair("good", x_good, yp, ym, "generator-good"),
                pair("bad", x_bad, yo, yp, "generator-bad"),
            )
        groups.append(PromptGroup(query, pairs))
    return groups


# -- measured processes ---------------------------------------------------------------------------


def peak_gb() -> float:
    """High-water mark of this process's memory, or of the GPU's where one is used."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e9
    raise RuntimeError("no VmHWM on this system")


def arguments(
    folder: str, steps: int, batch: int, accumulate: int, bf16: bool, recompute: bool = False
) -> dict[str, Any]:
    """The arguments of both trainers."""
    import torch

    return {
        "output_dir": folder,
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "bf16": bf16,
        "gradient_checkpointing": recompute,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
    }


def run_ours(o: dict[str, Any]) -> dict[str, Any]:
    """Our trainer over all groups, ``step`` groups an optimizer step; the first step warms up."""
    import torch
    from transformers import TrainingArguments

    from groundwork import cpu_kernels
    from groundwork.cpu_kernels import cache_products
    from groundwork.memory import kept_memory
    from sso.checkpoints import load_policy, load_tokenizer
    from sso.encoding import encode_groups
    from sso.fast_forward import install_forward
    from sso.forward_probe import measure_untouched, probe_forward_plan
    from sso.logprobs import LEAN_CHUNK_BYTES
    from sso.objectives import Objective
    from sso.settings import LossSettings, TrainingSettings
    from sso.trainer import PreferenceTrainer, StepSettings

    settings = TrainingSettings(precision="bf16" if o["bf16"] else "fp32")
    tokenizer = load_tokenizer(Path(o["model"]))
    rows = make_pairs(tokenizer, o["pairs"], o["principle"], o["completion"])
    objective = Objective(o["objective"])
    encoded = encode_groups(groups_of(rows, o["objective"]), objective, tokenizer, settings).groups
    del tokenizer  # as sso.training does
    steps = [encoded[i : i + o["step"]] for i in range(0, len(encoded), o["step"])]
    cache_products(few=o["recompute"])
    policy = load_policy(Path(o["model"]), settings)
    if not o.get("kernels", True):
        cpu_kernels.usable = lambda *tensors: False
    plan = probe_forward_plan(policy, measure_untouched(policy, encoded))
    assert (plan.shared_prefix, plan.chunked_head, plan.rows_together) == (True,) * 3, plan.notes
    if o.get("parts", False):
        plan = replace(plan, block_mask=False)
    if o["recompute"]:
        plan = replace(plan, chunk_bytes=LEAN_CHUNK_BYTES)
    install_forward(policy, plan)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PreferenceTrainer(
            model=policy,
            args=TrainingArguments(
                **arguments(folder, len(steps), 1, 1, o["bf16"], o["recompute"])
            ),
            steps=steps,
            how=StepSettings(
                objective, LossSettings(kind="dpo", gamma=0.0), o["micro_tokens"], plan
            ),
            work=Path(folder),
        )
        gc.collect()
        with kept_memory():
            trainer.train()
        lines = [json.loads(x) for x in (Path(folder) / "curve.jsonl").read_text().splitlines()]
    body, head = parameter_split(policy)
    timed = lines[1:] or lines
    packed = sum(line["tokens"] for line in timed)
    predicted = sum(line["completion_tokens"] for line in timed)
    return {
        "seconds": sum(line["seconds"] for line in timed),
        "pairs": sum(line["groups"] for line in timed),
        "loss": lines[-1]["loss"],
        "peak_gb": peak_gb(),
        "flops": 6.0 * (body * packed + head * predicted),
        "tokens": packed,
        "threads": torch.get_num_threads(),
        "notes": plan.notes,
    }


def parameter_split(model: Any) -> tuple[int, int]:
    """Parameters of the layers' products, and of the output layer (embedding look-ups are free)."""
    head = model.get_output_embeddings().weight
    inputs = model.get_input_embeddings().weight
    total = sum(p.numel() for p in model.parameters())
    return total - inputs.numel() - (0 if head is inputs else head.numel()), head.numel()


def run_trl(o: dict[str, Any]) -> dict[str, Any]:
    """TRL's DPOTrainer on the same pairs, order, optimizer and steps; references precomputed."""
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(o["model"])
    rows = make_pairs(tokenizer, o["pairs"], o["principle"], o["completion"])
    data = []
    for group in groups_of(rows, "pair"):
        (pair,) = group.pairs
        prompt = tokenizer.apply_chat_template(
            list(pair.prompt), tokenize=False, add_generation_prompt=True
        )
        data.append({"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected})

    class InOrder(DPOTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(dataset if dataset is not None else self.train_dataset)

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.losses: list[float] = []

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.seconds.append(time.perf_counter() - self.start)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **k: Any) -> None:
            if "loss" in logs:
                self.losses.append(logs["loss"])

    clock = Clock()
    batch = o["batch"]
    steps = -(-len(data) // o["step"])
    with tempfile.TemporaryDirectory() as folder:
        model = AutoModelForCausalLM.from_pretrained(o["model"], dtype=torch.float32)
        trainer = InOrder(
            model=model,
            args=DPOConfig(
                **arguments(folder, steps, batch, o["step"] // batch, o["bf16"]),
                beta=0.1,
                max_length=2048,
                precompute_ref_log_probs=True,
                precompute_ref_batch_size=batch,
            ),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
    timed = clock.seconds[1:] or clock.seconds
    return {
        "seconds": sum(timed),
        "pairs": len(timed) * o["step"],
        "loss": clock.losses[-1],
        "peak_gb": peak_gb(),
    }


def run_plain(o: dict[str, Any]) -> dict[str, Any]:
    """The generator loss as the public code computes it: three whole forward passes per step.

    One pass each for the pairs of x, x+ and x-, padded, logits everywhere; that of x is not used.
    """
    import torch
    from torch.nn.functional import logsigmoid
    from transformers import AutoModelForCausalLM

    from sso.batches import plain_batch
    from sso.checkpoints import load_tokenizer
    from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair, encode_groups
    from sso.objectives import Objective
    from sso.settings import TrainingSettings

    tokenizer = load_tokenizer(Path(o["model"]))
    rows = make_pairs(tokenizer, o["pairs"], o["principle"], o["completion"])
    encoded = encode_groups(
        groups_of(rows, "generator"), Objective("generator"), tokenizer, TrainingSettings()
    ).groups
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(o["model"], dtype=torch.float32).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True, weight_decay=0.0)

    def one_branch(group: Any, role: str) -> Any:
        pair = group.pairs[role]
        branch = group.branches[pair.branch]
        return EncodedGroup(
            group.id, (branch,), {role: EncodedPair(pair.id, 0, pair.chosen, pair.rejected)}
        )

    def plain_x(group: Any) -> Any:
        branch = group.branches[0]
        tail = branch.prompt[-40:]
        return EncodedGroup(
            group.id,
            (EncodedBranch(tail, branch.completions),),
            {"policy": EncodedPair(group.id, 0, 0, 1)},
        )

    def sums(groups: list[Any]) -> tuple[Any, Any]:
        batch = plain_batch(groups)
        logits = model(batch.input_ids.to(device), attention_mask=batch.attention_mask.to(device))
        labels = torch.zeros(batch.input_ids.numel(), dtype=torch.long)
        mask = torch.zeros(batch.input_ids.numel())
        labels[batch.rows], mask[batch.rows] = batch.targets, 1.0
        shape = batch.input_ids.shape
        logps = logits.logits.float().log_softmax(-1)
        picked = logps.gather(2, labels.view(*shape, 1).to(device)).squeeze(2)
        total = (picked * mask.view(shape).to(device)).sum(1)
        (chosen, rejected) = next(iter(batch.pairs.values()))
        return total[chosen], total[rejected]

    def micro_loss(groups: list[Any], reference: Any = None) -> Any:
        sums([plain_x(g) for g in groups])
        diffs = []
        for role in ("generator-good", "generator-bad"):
            chosen, rejected = sums([one_branch(g, role) for g in groups])
            diffs.append(chosen - rejected)
        return diffs

    size = o["batch"]
    micros = [encoded[i : i + size] for i in range(0, len(encoded), size)]
    with torch.no_grad():
        references = [[d.clone() for d in micro_loss(list(m))] for m in micros]
    per_step = o["step"] // size
    seconds, losses = [], []
    for at in range(0, len(micros), per_step):
        start, total = time.perf_counter(), 0.0
        for micro, reference in list(zip(micros, references, strict=True))[at : at + per_step]:
            diffs = micro_loss(list(micro))
            loss = sum(
                -logsigmoid(0.1 * (d - r)).sum() for d, r in zip(diffs, reference, strict=True)
            )
            (loss / o["step"]).backward()
            total += float(loss) / o["step"]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
        losses.append(total)
    timed = seconds[1:] or seconds
    return {
        "seconds": sum(timed),
        "pairs": len(timed) * o["step"],
        "loss": losses[-1],
        "peak_gb": peak_gb(),
    }


def run_gemm(o: dict[str, Any]) -> dict[str, Any]:
    """Rate of a 2048-cube float32 product (bf16 on a GPU)."""
    import torch

    cuda = torch.cuda.is_available()
    n = 8192 if cuda else 2048
    a = torch.randn(n, n, device="cuda" if cuda else "cpu")
    a = a.bfloat16() if cuda else a
    calls = {"torch.mm": lambda: a @ a}
    rates = {}
    for name, call in calls.items():
        call()
        times = []
        for _ in range(7):
            if cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        rates[name] = 2 * n**3 / statistics.median(times)
    return {"rates": rates, "peak": max(rates.values())}


def use_cpu_clock() -> None:
    """One thread, timed by its processor time: what a machine shared with others still measures."""
    import torch

    torch.set_num_threads(1)
    time.perf_counter = time.process_time


WORKERS = {"ours": run_ours, "trl": run_trl, "plain": run_plain, "gemm": run_gemm}


def main() -> None:
    """Run one worker and print its result."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    if options.get("clock") == "cpu":
        use_cpu_clock()
    print(json.dumps(WORKERS[name](options)))


if __name__ == "__main__":
    main()
