"""Training a checkpoint on prompt groups: the one entry that the arms call.

``work`` holds what a killed training resumes from, and its curve; all of it is bound to the inputs by a
fingerprint, so that a changed input starts afresh.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from groundwork.files import write_atomic
from groundwork.stage_result import StageResult
from sso.checkpoint_seal import CURVE, REFERENCES, newest_whole
from sso.objectives import Objective, PromptGroup, as_objective
from sso.settings import MethodSettings, TrainingSettings

if TYPE_CHECKING:
    from sso.encoding import Encoded, EncodedGroup
    from sso.fast_forward import ForwardPlan
    from sso.trainer import PreferenceTrainer


@dataclass(frozen=True)
class TrainingRun:
    """Where a training writes, and its seed. ``out`` becomes a complete checkpoint; ``work`` keeps what a
    killed run resumes from (mid-stage checkpoints, reference log-probabilities) and ``curve.jsonl``, one
    record per step. ``progress(done, total)`` counts groups, scored by the reference and trained."""

    out: Path
    work: Path
    seed: int
    progress: Callable[[int, int], None] = lambda done, total: None


def train(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: str | Objective,
    settings: MethodSettings,
    run: TrainingRun,
) -> StageResult:
    """Train the checkpoint ``model`` on ``examples`` and write a complete checkpoint to ``run.out``.

    Reads ``settings.loss`` and ``settings.training``.

    Raises:
        UserError: nothing is left to train on, a number is not finite (with the pair ids), or a
            setting needs what this machine lacks.
    """
    import torch

    from groundwork.cpu_kernels import cache_products
    from groundwork.memory import PeakMemory, kept_memory
    from sso.checkpoints import fitted_length, load_tokenizer, weights_fingerprint
    from sso.encoding import encode_groups

    objective, options = as_objective(objective), settings.training
    length = fitted_length(model, options)
    fitted = options.model_copy(update={"max_length": length})
    tokenizer = load_tokenizer(model)
    encoded = encode_groups(examples, objective, tokenizer, fitted)
    del tokenizer  # 50 MB that training does not need
    state = weights_fingerprint(model)
    run.work.mkdir(parents=True, exist_ok=True)
    mark = inputs_fingerprint(encoded, objective, settings, run.seed, state)
    resume = prepare_work(run.work, mark)
    peak = PeakMemory(cuda=torch.cuda.is_available())
    cache_products(few=options.gradient_checkpointing)
    policy, plan = _driven_policy(model, encoded, options)
    trainer = _trainer(policy, encoded, objective, settings, plan, run)
    plan = _sharded_plan(trainer, plan)
    if length < options.max_length:
        note = f"sequences of up to {length} tokens: the model has learned no more positions"
        plan = replace(plan, notes=(*plan.notes, note))
    gc.collect()
    with kept_memory():
        trainer.train(resume_from_checkpoint=resume)
    _save(trainer, load_tokenizer(model), model, run.out, options)
    result = make_result(encoded, run.work / "curve.jsonl", peak.gigabytes(), plan.notes)
    result = with_changes(result, model, run.out)
    if trainer.is_world_process_zero():
        shutil.rmtree(run.work / "checkpoints", ignore_errors=True)
        for name in (REFERENCES, "inputs.json"):
            (run.work / name).unlink(missing_ok=True)
    return result


def _driven_policy(
    model: Path, encoded: Encoded, options: TrainingSettings
) -> tuple[Any, ForwardPlan]:
    """The policy to train, made to follow the fastest plan that is right for it."""
    import torch

    from groundwork.randomness import random_parts
    from sso.checkpoints import add_lora, load_policy, repair_generation_config
    from sso.fast_forward import install_forward
    from sso.forward_probe import measure_untouched, probe_forward_plan
    from sso.logprobs import LEAN_CHUNK_BYTES

    policy = load_policy(model, options)
    notes = list(repair_generation_config(policy))
    if (rates := random_parts(policy.config)) and not options.dropout:
        listed = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
        notes.append(f"the configuration's randomness is off ({listed}): training.dropout=true")
    bf16, full = options.precision == "bf16", not options.lora.rank
    if torch.cuda.is_available() and int(os.environ.get("WORLD_SIZE", "1")) == 1 and full:
        policy.to("cuda")  # where the trainer would put it: the probe belongs on the same device
    try:
        yardstick = measure_untouched(policy, encoded.groups, bf16=bf16, gradients=full)
    except RuntimeError as error:
        raise UserError(f"{model}: {error}") from error
    if options.lora.rank:
        policy = add_lora(policy, options.lora)
    plan = probe_forward_plan(policy, yardstick, bf16=bf16)
    plan = replace(plan, notes=(*notes, *plan.notes))
    if options.gradient_checkpointing:
        plan = replace(plan, chunk_bytes=LEAN_CHUNK_BYTES)
    install_forward(policy, plan)
    return policy, plan


def _trainer(
    policy: Any,
    encoded: Encoded,
    objective: Objective,
    settings: MethodSettings,
    plan: ForwardPlan,
    run: TrainingRun,
) -> PreferenceTrainer:
    from transformers.trainer_callback import PrinterCallback

    from sso.reference_logprobs import load_references
    from sso.step_math import training_order
    from sso.trainer import PreferenceTrainer, StepSettings

    options = settings.training
    order = training_order(len(encoded.groups), options.epochs, options.batch_size, run.seed)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.work / "tensorboard")
    try:
        trainer = PreferenceTrainer(
            model=policy,
            args=training_arguments(options, len(order), run.seed, run.work),
            steps=[[encoded.groups[i] for i in batch] for batch in order],
            how=StepSettings(objective, settings.loss, options.micro_tokens, plan, options.dropout),
            work=run.work,
            references=load_references(run.work / REFERENCES, encoded.groups),
            progress=run.progress,
        )
    except (ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"training settings: {' '.join(str(error).split())}") from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def _sharded_plan(trainer: PreferenceTrainer, plan: ForwardPlan) -> ForwardPlan:
    """ZeRO-3 gathers weights only inside the modules that own them: the head must be called."""
    from sso.fast_forward import install_forward

    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    if plugin is None or plugin.zero_stage != 3 or not plan.chunked_head:
        return plan
    reason = "the model's own output layer instead of the chunked one: its weights are sharded"
    plan = replace(plan, chunked_head=False, notes=(*plan.notes, reason))
    install_forward(trainer.model, plan)
    return plan


def training_arguments(options: TrainingSettings, steps: int, seed: int, work: Path) -> Any:
    """Our settings as ``TrainingArguments``."""
    import torch
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(work / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=math.ceil(options.warmup_ratio * steps),
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=options.precision == "bf16",
        gradient_checkpointing=options.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if options.checkpoint_every else "no",
        save_steps=max(1, options.checkpoint_every),
        save_total_limit=2,
        report_to=list(options.report_to) or "none",
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:
        # one process drives one device; several are for ``accelerate launch``
        arguments._n_gpu = 1
    return arguments


def prepare_work(work: Path, fingerprint: str) -> str | None:
    """The checkpoint to resume from; leftovers of other inputs, and what is not whole, are removed."""
    mark = work / "inputs.json"
    same = mark.is_file() and mark.read_bytes().strip() == _mark(fingerprint).encode()
    found = newest_whole(work) if same else None
    if found is None:
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
        (work / CURVE).unlink(missing_ok=True)
        if not same:
            (work / REFERENCES).unlink(missing_ok=True)
    write_atomic(mark, _mark(fingerprint))
    return None if found is None else str(found)


def _mark(fingerprint: str) -> str:
    return json.dumps({"inputs": fingerprint})


def inputs_fingerprint(
    encoded: Encoded, objective: Objective, settings: MethodSettings, seed: int, weights: str
) -> str:
    """Identity of everything that the trained weights depend on."""
    digest = hashlib.sha256(weights.encode())
    for group in encoded.groups:
        digest.update(repr((group.id, group.branches, sorted(group.pairs.items()))).encode())
    ignored = {"checkpoint_every", "report_to"}
    options = settings.training.model_dump_json(exclude=ignored)
    digest.update(f"{objective} {settings.loss.model_dump_json()} {options} {seed}".encode())
    return digest.hexdigest()


def _save(
    trainer: PreferenceTrainer, tokenizer: Any, source: Path, out: Path, options: TrainingSettings
) -> None:
    import torch

    from sso.checkpoints import save_policy

    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if sharded else None
    if trainer.is_world_process_zero():
        policy = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
        save_policy(policy, state, tokenizer, source, out, dtype)
    trainer.accelerator.wait_for_everyone()


def make_result(encoded: Encoded, curve: Path, peak: float, notes: tuple[str, ...]) -> StageResult:
    """What a training did, from its curve.

    ``counts``: groups, pairs, steps, dropped by reason, truncated; ``measures``: loss, margins and
    accuracies by pair role, KL to ref, grad norm (means over the steps; ``final_`` ones are of the
    last step), tokens_per_second, peak_memory_gb; ``tokens``: tokens that went through the model in
    training (shared prompts once per epoch); ``notes``: fall-backs to a slower plan.
    """
    lines = [json.loads(line) for line in curve.read_text().splitlines()]
    kept: Sequence[EncodedGroup] = encoded.groups
    counts = {**encoded.counts, "steps": len(lines), "pairs": sum(len(g.pairs) for g in kept)}
    tokens = sum(line["tokens"] for line in lines)
    names = [n for n in lines[-1] if n in ("loss", "kl_to_ref") or "/" in n]
    groups = sum(line["groups"] for line in lines)
    measures = {n: sum(line[n] * line["groups"] for line in lines) / groups for n in names}
    measures |= {f"final_{n}": lines[-1][n] for n in names}
    norms = [line["grad_norm"] for line in lines if "grad_norm" in line]
    if norms:
        measures["grad_norm"] = sum(norms) / len(norms)
    measures["tokens_per_second"] = tokens / sum(line["seconds"] for line in lines)
    measures["peak_memory_gb"] = peak
    return StageResult(counts, measures, tokens, notes=notes)


def with_changes(result: StageResult, source: Path, out: Path) -> StageResult:
    """The result with ``changed_weights``, the share of weights that the training changed; fewer than one
    in a hundred is a note."""
    from sso.checkpoints import changed_share

    share = changed_share(source, out)
    notes = result.notes
    if share < 0.01:
        what = f"{share:.2%} of the weights" if share else "no weight"
        notes = (*notes, f"{what} changed: the learning rate is too small for the precision")
    return replace(result, measures={**result.measures, "changed_weights": share}, notes=notes)
