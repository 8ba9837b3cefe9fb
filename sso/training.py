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
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from groundwork.files import write_atomic
from groundwork.stage_result import StageResult
from sso.checkpoint_seal import CURVE, REFERENCES, newest_whole
from sso.encoded_file import load_encoded, save_encoded
from sso.objectives import Objective, PromptGroup, as_objective
from sso.settings import SPEED_ONLY, MethodSettings, TrainingSettings

if TYPE_CHECKING:
    from sso.encoding import Encoded, EncodedGroup
    from sso.fast_forward import ForwardPlan
    from sso.ranks import Ranks
    from sso.trainer import PreferenceTrainer

ENCODED = "encoded.bin"
"""What the first process of a training encodes for all."""


@dataclass(frozen=True)
class TrainingRun:
    """Where a training writes, and its seed. ``out`` becomes a complete checkpoint; ``work`` keeps what a
    killed run resumes from (mid-stage checkpoints, reference log-probabilities) and ``curve.jsonl``, one
    record per step. ``progress(done, total)`` counts groups, scored by the reference and trained.

    Several processes keep full copies of the model, or with ``sharded`` a part each (FSDP2), which
    ``cpu_offload`` puts into the memory of the CPU."""

    out: Path
    work: Path
    seed: int
    progress: Callable[[int, int], None] = lambda done, total: None
    sharded: bool = False
    cpu_offload: bool = False


def train(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: str | Objective,
    settings: MethodSettings,
    run: TrainingRun,
) -> StageResult:
    """Train the checkpoint ``model`` on ``examples`` and write a complete checkpoint to ``run.out``.

    Reads ``settings.loss`` and ``settings.training``. Where a launcher started several processes, all of them
    call this; only the first one's ``examples`` are read.

    Raises:
        UserError: nothing is left to train on, a number is not finite (with the pair ids), no weight
            changed, or a setting needs what this machine lacks.
    """
    import torch

    from groundwork.cpu_kernels import cache_products
    from groundwork.memory import PeakMemory, kept_memory
    from sso.checkpoints import fitted_length, load_tokenizer
    from sso.ranks import Ranks

    ranks = Ranks.join()
    objective, options = as_objective(objective), settings.training
    length = fitted_length(model, options)
    fitted = settings.model_copy(
        update={"training": options.model_copy(update={"max_length": length})}
    )
    resume = ranks.from_first(lambda: _prepare(model, examples, objective, fitted, settings, run))
    encoded = load_encoded(run.work / ENCODED)
    peak = PeakMemory(cuda=torch.cuda.is_available())
    cache_products(few=options.gradient_checkpointing)
    policy, plan = _driven_policy(model, encoded, options, run, ranks)
    trainer = _trainer(policy, encoded, objective, settings, plan, run)
    plan = _sharded_plan(trainer, plan)
    if length < options.max_length:
        note = f"sequences of up to {length} tokens: the model has learned no more positions"
        plan = replace(plan, notes=(*plan.notes, note))
    gc.collect()
    with kept_memory():
        trainer.train(resume_from_checkpoint=resume)
    _save(trainer, load_tokenizer(model), model, run.out, options)
    most = max(ranks.gathered(peak.gigabytes()))

    def finish() -> StageResult:
        result = make_result(encoded, run.work / "curve.jsonl", most, plan.notes)
        result = with_changes(result, model, run.out)
        shutil.rmtree(run.work / "checkpoints", ignore_errors=True)
        for name in (REFERENCES, ENCODED, "inputs.json"):
            (run.work / name).unlink(missing_ok=True)
        return result

    return ranks.from_first(finish)


def _prepare(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: Objective,
    fitted: MethodSettings,
    settings: MethodSettings,
    run: TrainingRun,
) -> str | None:
    """Encode for all processes and put the work folder in order; the checkpoint to resume from."""
    from sso.checkpoints import load_tokenizer, weights_fingerprint
    from sso.encoding import encode_each

    counts: Counter[str] = Counter()
    groups = encode_each(examples, objective, load_tokenizer(model), fitted.training, counts)
    run.work.mkdir(parents=True, exist_ok=True)
    save_encoded(groups, counts, run.work / ENCODED)
    encoded, state = load_encoded(run.work / ENCODED), weights_fingerprint(model)
    return prepare_work(run.work, inputs_fingerprint(encoded, objective, settings, run.seed, state))


def _driven_policy(
    model: Path, encoded: Encoded, options: TrainingSettings, run: TrainingRun, ranks: Ranks
) -> tuple[Any, ForwardPlan]:
    """The policy to train, made to follow the fastest plan that is right for it.

    The first process finds the plan; of a sharded policy it alone has read the weights.
    """
    import torch

    from groundwork.randomness import random_parts
    from sso.checkpoints import load_policy, repair_generation_config
    from sso.fast_forward import install_forward
    from sso.forward_probe import (
        check_finite,
        follow_plan,
        measure_untouched,
        probe_forward_plan,
    )
    from sso.kept_plan import KeptPlan
    from sso.logprobs import LEAN_CHUNK_BYTES
    from sso.lora import adapters_of, add_lora

    policy = load_policy(model, options, first_only=run.sharded)
    notes = list(repair_generation_config(policy))
    if (rates := random_parts(policy.config)) and not options.dropout:
        listed = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
        notes.append(f"the configuration's randomness is off ({listed}): training.dropout=true")
    lora = options.lora
    if not run.sharded and not lora.quantize_4bit:
        policy.to(ranks.device)  # as the trainer would: the probe belongs on the same device
    bf16, yardstick = options.precision == "bf16", None
    device = torch.device(ranks.device)
    kept = KeptPlan(policy, encoded.groups, options, sharded=run.sharded, device=device)
    known = ranks.from_first(kept.read)
    if ranks.first:
        try:
            if known:
                check_finite(policy, bf16=bf16)
            else:
                yardstick = measure_untouched(
                    policy, encoded.groups, bf16=bf16, gradients=not lora.rank
                )
        except RuntimeError as error:
            raise UserError(f"{model}: {error}") from error
    if lora.rank:
        policy = add_lora(policy, lora, run.seed)
        adapters_of(policy, model)  # what can't be merged is refused before it is trained

    def find() -> ForwardPlan:
        assert yardstick is not None
        found = probe_forward_plan(policy, yardstick, bf16=bf16, sharded=run.sharded, device=device)
        kept.write(found)
        return found

    plan = known or ranks.from_first(find)
    if known or not ranks.first:
        follow_plan(policy, plan)
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
    from sso.reference_logprobs import load_references
    from sso.step_math import training_order
    from sso.trainer import PreferenceTrainer, StepSettings

    options = settings.training
    order = training_order(len(encoded.groups), options.epochs, options.batch_size, run.seed)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.work / "tensorboard")
    try:
        trainer = PreferenceTrainer(
            model=policy,
            args=training_arguments(options, len(order), run),
            steps=[[encoded.groups[i] for i in batch] for batch in order],
            how=StepSettings(objective, settings.loss, options.micro_tokens, plan, options.dropout),
            work=run.work,
            references=load_references(run.work / REFERENCES, encoded.groups),
            progress=run.progress,
        )
    except (ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"training settings: {' '.join(str(error).split())}") from error
    return trainer


def _sharded_plan(trainer: PreferenceTrainer, plan: ForwardPlan) -> ForwardPlan:
    """Sharded weights are whole only inside the modules that own them: there the head must be called,
    unless its weights come with the last norm's or the embedding's, which are."""
    from sso.fast_forward import backbone_and_head, install_forward

    deepspeed = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    alone = deepspeed is not None and deepspeed.zero_stage == 3
    if trainer.is_fsdp_enabled and trainer.model is not None:
        backbone, head = backbone_and_head(trainer.model)
        tied = head.weight is trainer.model.get_input_embeddings().weight  # type: ignore[operator]
        alone = not tied and not any("Norm" in type(m).__name__ for m in backbone.children())
    if not alone or not plan.chunked_head:
        return plan
    reason = "the model's own output layer instead of the chunked one: its weights are sharded"
    plan = replace(plan, chunked_head=False, notes=(*plan.notes, reason))
    install_forward(trainer.model, plan)
    trainer.how = replace(trainer.how, plan=plan)
    return plan


def training_arguments(options: TrainingSettings, steps: int, run: TrainingRun) -> Any:
    """Our settings as ``TrainingArguments``."""
    import torch
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(run.work / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=math.ceil(options.warmup_ratio * steps),
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=options.precision == "bf16",
        # a sharded model's layers are wrapped instead: they gather their weights once for both passes
        gradient_checkpointing=options.gradient_checkpointing and not run.sharded,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if options.checkpoint_every else "no",
        save_steps=max(1, options.checkpoint_every),
        report_to=list(options.report_to) or "none",
        seed=run.seed,
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        fsdp=run.sharded or None,  # type: ignore[arg-type]  # True since transformers 5
        fsdp_config=_fsdp_config(options, run) if run.sharded else None,
    )
    if run.sharded and options.precision == "bf16":
        from torch.distributed.fsdp import MixedPrecisionPolicy

        # gradients meet in float32: bfloat16 would round what the ranks add up
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        arguments.fsdp_plugin_args["mixed_precision_policy"] = policy
    if arguments.n_gpu > 1:
        # one process drives one device; several are for ``sso.launch``
        arguments._n_gpu = 1
    return arguments


def _fsdp_config(options: TrainingSettings, run: TrainingRun) -> dict[str, Any]:
    return {
        "version": 2,
        "reshard_after_forward": True,
        "cpu_offload": run.cpu_offload,
        "activation_checkpointing": options.gradient_checkpointing,
        "cpu_ram_efficient_loading": not options.lora.quantize_4bit,
        "state_dict_type": "SHARDED_STATE_DICT",
    }


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
    options = settings.training.model_dump_json(exclude=set(SPEED_ONLY))
    digest.update(f"{objective} {settings.loss.model_dump_json()} {options} {seed}".encode())
    return digest.hexdigest()


def _save(
    trainer: PreferenceTrainer, tokenizer: Any, source: Path, out: Path, options: TrainingSettings
) -> None:
    import torch

    from sso.checkpoints import save_policy
    from sso.lora import adapter_state, has_lora

    policy = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    if has_lora(policy) and not trainer.is_deepspeed_enabled:
        state = adapter_state(policy)
    elif trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    else:
        state = policy.state_dict()
    if trainer.is_world_process_zero():
        rounded = options.precision == "bf16" and options.saved_precision == "same"
        dtype = torch.bfloat16 if rounded else torch.float32
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
    in a hundred is a note.

    Raises:
        UserError: none changed; ``out`` is removed.
    """
    from sso.checkpoints import changed_share

    share = changed_share(source, out)
    if not share:
        shutil.rmtree(out, ignore_errors=True)
        raise UserError(
            "the training changed no weight: raise training.learning_rate, or keep smaller changes "
            "with training.saved_precision=fp32"
        )
    notes = result.notes
    if share < 0.01:
        notes = (
            *notes,
            f"{share:.2%} of the weights changed: the learning rate is too small for the precision",
        )
    return replace(result, measures={**result.measures, "changed_weights": share}, notes=notes)
