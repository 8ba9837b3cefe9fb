"""Speed and memory of the training core against its peers and against the machine's limit.

    python docs/benchmarks/training.py --model DIR [--json FILE] [--quick] [--section NAME ...]

Every measured run is a process of its own, so that peak memory (VmHWM) is that run's; peers and
ours alternate within one invocation, each repeat in turn, and medians of the repeats are reported. All
trainers see the same token ids in the same order and take the same optimizer steps with references
precomputed and not timed; the losses after the first update must agree, or the benchmark fails.

Sections: ``trl`` (pairs against TRL's DPOTrainer at its fastest batch size), ``generator`` (the
generator objective against three plain forward passes), ``limit`` (share of the GEMM peak),
``scaling`` (8 to 64 pairs, 64 to 1024 prompt tokens), ``gpu`` (a random 1B Llama in bf16, where CUDA is).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = [
    "river",
    "stone",
    "answer",
    "light",
    "careful",
    "method",
    "garden",
    "silver",
    "teacher",
    "winter",
    "number",
    "music",
    "bridge",
    "paper",
    "summer",
    "window",
    "orange",
    "reason",
    "market",
    "letter",
    "forest",
    "engine",
    "simple",
    "travel",
    "kitchen",
    "doctor",
    "history",
    "picture",
    "morning",
    "village",
    "science",
    "mountain",
    "language",
    "question",
    "system",
    "water",
    "island",
]
LOSS_TOLERANCE = 2e-3
SECTIONS = ("trl", "generator", "limit", "scaling", "gpu")


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


def arguments(folder: str, steps: int, batch: int, accumulate: int, bf16: bool) -> dict[str, Any]:
    """What both trainers are told."""
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
        "gradient_checkpointing": False,
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

    from sso.checkpoints import load_policy, load_tokenizer
    from sso.encoding import encode_groups
    from sso.forms import drive, find_form, set_shared_attention
    from sso.kernels import kept_memory, speed_up
    from sso.objectives import Objective
    from sso.settings import LossSettings, TrainingSettings
    from sso.trainer import PreferenceTrainer

    settings = TrainingSettings(precision="bf16" if o["bf16"] else "fp32")
    tokenizer = load_tokenizer(Path(o["model"]))
    rows = make_pairs(tokenizer, o["pairs"], o["principle"], o["completion"])
    objective = Objective(o["objective"])
    encoded = encode_groups(groups_of(rows, o["objective"]), objective, tokenizer, settings).groups
    steps = [encoded[i : i + o["step"]] for i in range(0, len(encoded), o["step"])]
    policy = load_policy(Path(o["model"]), settings)
    set_shared_attention(policy)
    form = find_form(policy, encoded)
    assert not form.reason, form.reason
    speed_up(policy)
    drive(policy, form)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PreferenceTrainer(
            model=policy,
            args=TrainingArguments(**arguments(folder, len(steps), 1, 1, o["bf16"])),
            steps=steps,
            objective=objective,
            loss=LossSettings(kind="dpo", gamma=0.0),
            micro_tokens=o["micro_tokens"],
            form=form,
            work=Path(folder),
        )
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
    """The generator loss as the public code computes it: three whole forward passes a step.

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
    """Best rate of a 2048-cube float32 product (bf16 on a GPU), by every kernel torch has here."""
    import torch

    from sso import kernels

    cuda = torch.cuda.is_available()
    n = 8192 if cuda else 2048
    a = torch.randn(n, n, device="cuda" if cuda else "cpu")
    a = a.bfloat16() if cuda else a
    calls = {"torch.mm": lambda: a @ a}
    if not cuda and kernels.available():
        calls["onednn"] = lambda: kernels.product(a, a)
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


# -- the driver -----------------------------------------------------------------------------------


def measure(worker: str, **options: Any) -> dict[str, Any]:
    """One measured run in a process of its own."""
    command = [sys.executable, __file__, "--worker", worker, "--options", json.dumps(options)]
    environment = {**os.environ, "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{worker} {options} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if "seconds" in result:
        result["pairs_per_second"] = result["pairs"] / result["seconds"]
        print(
            f"  {worker:6} {result['pairs_per_second']:.3f} pairs/s, "
            f"{result['peak_gb']:.2f} GB, loss {result['loss']:.5f}",
            flush=True,
        )
    return result


def median(results: list[dict[str, Any]], key: str) -> float:
    return statistics.median(result[key] for result in results)


def same_loss(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The trainers did the same thing, or the comparison means nothing."""
    if abs(a["loss"] - b["loss"]) > LOSS_TOLERANCE * max(1.0, abs(b["loss"])):
        raise SystemExit(f"losses differ: {a['loss']:.6f} and {b['loss']:.6f}")


def against(peer: str, name: str, base: dict[str, Any], repeats: int, sizes: list[int]) -> Any:
    """Ours and a peer in turn, the peer at the batch size at which it is fastest."""
    trial = {**base, "pairs": 2 * base["step"]}
    if len(sizes) > 1:
        print(f"{name}: the peer's batch size")
        trials = {size: measure(peer, **trial, batch=size) for size in sizes}
        best = max(trials, key=lambda size: trials[size]["pairs_per_second"])
    else:
        trials, best = {}, sizes[0]
    print(f"{name}: {repeats} repeats, peer at batch {best}")
    ours, peers = [], []
    for _ in range(repeats):
        ours.append(measure("ours", **base))
        peers.append(measure(peer, **base, batch=best))
        same_loss(ours[-1], peers[-1])
    return {
        "peer_batch": best,
        "peer_trials": trials,
        "ours": ours,
        "peer": peers,
        "speed": median(ours, "pairs_per_second") / median(peers, "pairs_per_second"),
        "memory": median(ours, "peak_gb") / median(peers, "peak_gb"),
    }


def scaling(base: dict[str, Any], quick: bool) -> dict[str, Any]:
    """Seconds a pair and memory as pairs and prompts grow."""
    print("scaling")
    pairs = {
        n: measure("ours", **{**base, "pairs": n}) for n in ((8, 16) if quick else (8, 16, 32, 64))
    }
    lengths = (64, 256) if quick else (64, 128, 256, 512, 1024)
    prompts = {
        n: measure("ours", **{**base, "pairs": 2 * base["step"], "principle": n}) for n in lengths
    }
    return {"pairs": pairs, "prompt_tokens": prompts}


def random_llama(folder: Path, tokenizer_of: Path) -> Path:
    """A randomly initialised Llama of 1B shape with another model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        max_position_embeddings=8192,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="checkpoint folder (SmolLM2-135M-Instruct for the record)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="16 pairs, one repeat, small scaling")
    parser.add_argument("--section", action="append", choices=SECTIONS)
    parser.add_argument("--pairs", type=int, help="pairs of a repeat (32; --quick 16)")
    parser.add_argument("--step", type=int, default=8, help="pairs of an optimizer step")
    parser.add_argument("--repeats", type=int, help="repeats (3; --quick 1)")
    parser.add_argument("--peer-batch", type=int, help="do not look for the peer's best batch size")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: one thread and its processor time, for a machine shared with other work",
    )
    parser.add_argument("--micro-tokens", type=int, default=1280)
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--options", default="{}", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        options = json.loads(args.options)
        if options.get("clock") == "cpu":
            use_cpu_clock()
        print(json.dumps(WORKERS[args.worker](options)))
        return
    if not args.model:
        parser.error("--model is needed")
    report(args, args.section or list(SECTIONS))


def report(args: argparse.Namespace, sections: list[str]) -> None:
    """Run the sections, print them and write the JSON."""
    import torch

    repeats = args.repeats or (1 if args.quick else 3)
    base = {
        "model": args.model,
        "pairs": args.pairs or (16 if args.quick else 32),
        "step": args.step,
        "clock": args.clock,
        "principle": 300,
        "completion": 120,
        "objective": "pair",
        "micro_tokens": args.micro_tokens,
        "bf16": False,
    }
    figures: dict[str, Any] = {"device": "cuda" if torch.cuda.is_available() else "cpu"}
    detail: dict[str, Any] = {"settings": base}
    if torch.cuda.is_available() and "gpu" in sections:
        with tempfile.TemporaryDirectory() as folder:
            model = random_llama(Path(folder), Path(args.model))
            big = {**base, "model": str(model), "bf16": True, "micro_tokens": 16384, "pairs": 64}
            found = against("trl", "GPU, 1B Llama, bf16", big, repeats, [2, 4, 8])
            detail["gpu"] = found
            figures |= {"gpu_speed_vs_trl": found["speed"], "gpu_memory_vs_trl": found["memory"]}
    if "trl" in sections:
        sizes = [args.peer_batch] if args.peer_batch else [1, 2] if args.quick else [1, 2, 4, 8]
        detail["trl"] = found = against("trl", "pairs against TRL", base, repeats, sizes)
        figures |= {
            "pairs_per_second_vs_trl": found["speed"],
            "peak_memory_vs_trl": found["memory"],
        }
    if "generator" in sections:
        generator = {**base, "objective": "generator"}
        sizes = [args.peer_batch] if args.peer_batch else [1, 2] if args.quick else [1, 2, 4]
        found = against("plain", "generator against plain passes", generator, repeats, sizes)
        detail["generator"] = found
        figures |= {
            "generator_speed_vs_plain_passes": found["speed"],
            "generator_memory_vs_plain_passes": found["memory"],
        }
    if "limit" in sections:
        detail["gemm"] = peak = measure("gemm", clock=args.clock)
        runs = detail.get("trl", {}).get("ours") or [
            measure("ours", **base) for _ in range(repeats)
        ]
        rate = statistics.median(run["flops"] / run["seconds"] for run in runs)
        figures |= {
            "fraction_of_flop_limit": rate / peak["peak"],
            "fraction_of_torch_mm": rate / peak["rates"]["torch.mm"],
            "gflops": rate / 1e9,
            "gemm_peak_gflops": {k: v / 1e9 for k, v in peak["rates"].items()},
        }
    if "scaling" in sections:
        detail["scaling"] = scaling(base, args.quick)
    print(json.dumps(figures, indent=2))
    if args.json:
        args.json.write_text(json.dumps({**figures, "detail": detail}, indent=2) + "\n")


if __name__ == "__main__":
    main()
