"""The trainer: ``transformers.Trainer`` with prompt groups as samples and our loss.

What is different from its base, and only that: one item of the data loader is a whole optimizer
batch, which ``training_step`` packs into micro-batches by a token budget, so that the loss is exactly the
mean over the batch's groups whatever the packing; references are computed from the starting weights when
training begins; a number that is not finite stops it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback

from groundwork.cpu_kernels import gradients_in_place
from groundwork.memory import return_memory
from groundwork.randomness import train_without_randomness
from sso.batches import MicroBatch
from sso.checkpoint_seal import seal_checkpoint
from sso.encoding import EncodedGroup
from sso.fast_forward import ForwardPlan
from sso.guards import check_losses, gradient_error
from sso.objectives import Objective
from sso.rank_shares import rounds, smallest
from sso.reference_logprobs import References, compute_references, save_references
from sso.settings import LossSettings
from sso.step_math import MicroResult, measures_of, micro_result
from sso.training_state import load_state, save_state

Progress = Callable[[int, int], None]

KEPT_CHECKPOINTS = 2
"""Mid-stage checkpoints on disk: the newest may be torn."""

LAYERS_BETWEEN = 10
"""Layers after which free memory is handed back, where memory is short."""


@dataclass(frozen=True)
class StepSettings:
    """How an optimizer step is computed: objective, loss, tokens of one pass, the forward plan, and whether
    the dropout and router jitter of the model's configuration are on."""

    objective: Objective
    loss: LossSettings
    micro_tokens: int
    plan: ForwardPlan
    dropout: bool = False


class PreferenceTrainer(Trainer):
    """Trains a model that ``sso.fast_forward.install_forward`` drives, on optimizer batches of prompt groups.

    ``steps`` holds the groups of every optimizer step. ``references`` may be None: they are then computed
    when training begins and written to ``work / "references.safetensors"``.
    """

    def __init__(
        self,
        *,
        steps: Sequence[Sequence[EncodedGroup]],
        how: StepSettings,
        work: Path,
        references: References | None = None,
        progress: Progress = lambda done, total: None,
        **kwargs: Any,
    ) -> None:
        self.steps, self.how = steps, how
        self.work, self.references, self.progress = work, references, progress
        self._sums: Counter[str] = Counter()
        self._started = 0.0
        super().__init__(train_dataset=_Steps(steps), **kwargs)
        self.remove_callback(PrinterCallback)
        self.add_callback(_Hooks(self))
        # with gradient checkpointing a layer is passed through twice, the second time in backward
        for layer in _layers(kwargs["model"])[::LAYERS_BETWEEN]:
            layer.register_forward_pre_hook(lambda module, inputs: self._give_back())

    def create_accelerator_and_postprocess(self) -> None:
        """As the base's; where processes on CPUs are to share the model, accelerate is told that they may: it
        knows shards of GPUs alone, and trains copies without a word else.

        Raises:
            RuntimeError: shards were asked for, and the processes got copies.
        """
        from accelerate import DistributedType, PartialState

        if self.args.fsdp and PartialState().distributed_type == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        super().create_accelerator_and_postprocess()
        if self.args.fsdp and self.accelerator.num_processes > 1 and not self.is_fsdp_enabled:
            raise RuntimeError("the model is not sharded, though it should be")

    # -- data ---------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Every rank reads whole optimizer batches and takes its share in ``training_step``."""
        return DataLoader(_Steps(self.steps), batch_size=1, collate_fn=lambda items: items[0])

    def floating_point_ops(self, inputs: Any) -> int:
        """6 operations a parameter and token; what our batches need, not a padded estimate."""
        tokens: int = sum(group.packed_tokens for group in inputs["groups"])
        assert self.model is not None
        return 6 * tokens * sum(p.numel() for p in self.model.parameters())

    # -- a step -------------------------------------------------------------------------------

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Forward and backward over one optimizer batch; returns its mean loss (this rank's part)."""
        self._started = time.perf_counter()
        self._training_mode(model)
        groups: list[EncodedGroup] = inputs["groups"]
        world = self.accelerator.num_processes
        share = self._share(groups)
        # other processes wait for gradients by hooks, which these go past
        in_place = gradients_in_place if world == 1 else contextlib.nullcontext
        sums: Counter[str] = Counter()
        loss_sum = torch.zeros((), device=self.args.device)
        for i, members in enumerate(share):
            # sharded: whole gradients kept over the passes would take four bytes per weight
            last = i == len(share) - 1 or self.is_fsdp_enabled
            self.accelerator.gradient_state._set_sync_gradients(last)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model), in_place():
                self._give_back(begins=i == 0)
                if not members:
                    self._backward(self._idle_pass(model, groups).sum() * 0)
                    continue
                losses, micro_sums = self._forward(model, members)
                self._give_back()
                # ranks average their gradients: times world makes that a sum
                self._backward(losses.sum() * (world / len(groups)))
            sums.update(micro_sums)
            loss_sum += losses.detach().sum()
        self._sums = self._over_ranks(sums)
        return loss_sum * world / len(groups)

    def _share(self, groups: Sequence[EncodedGroup]) -> list[list[EncodedGroup]]:
        """This process's bins, one per round."""
        settled = rounds(
            groups, self.how.plan, self.how.micro_tokens, self.accelerator.num_processes
        )
        return [bins[self.accelerator.process_index] for bins in settled]

    def _idle_pass(self, model: Any, groups: Sequence[EncodedGroup]) -> Tensor:
        """The forward pass of a few tokens, for a process without a bin: the others meet it there."""
        output: Tensor = model(self.how.plan.batch([smallest(groups)]))
        return output

    def _training_mode(self, model: Any) -> None:
        """Without the randomness of the configuration, unless the settings ask for it."""
        if self.how.dropout:
            model.train()
        else:
            train_without_randomness(model)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule with a warm-up that moves from its first step on: transformers' begins at 0."""
        made_before = self.lr_scheduler is not None
        schedule: Any = super().create_scheduler(num_training_steps, optimizer)
        warmup = self.args.get_warmup_steps(num_training_steps)
        rates = getattr(schedule, "lr_lambdas", None)
        if made_before or not warmup or not rates:
            return schedule
        schedule.lr_lambdas = [partial(_warmed, rate, warmup) for rate in rates]
        first = [
            base * rate(0)
            for base, rate in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(schedule.optimizer.param_groups, first, strict=True):
            group["lr"] = rate
        schedule._last_lr = first
        return schedule

    def _give_back(self, *, begins: bool = False) -> None:
        """On a CPU, as a step begins and, where memory is short, around every pass."""
        if self.args.device.type == "cpu" and (begins or self.args.gradient_checkpointing):
            return_memory()

    def _forward(
        self, model: Any, members: Sequence[EncodedGroup]
    ) -> tuple[Tensor, dict[str, float]]:
        batch = self.how.plan.batch(members)
        with self.compute_loss_context_manager():
            output = model(batch)
        result = self.result(output.float(), batch)
        check_losses(result.losses, members, self.state.global_step + 1)
        return result.losses, dict(result.sums)

    def result(self, output: Tensor, batch: MicroBatch) -> MicroResult:
        """Losses and sums of a micro-batch from what the model gave: token log-probabilities (N,)."""
        assert self.references is not None
        return micro_result(output, batch, self.references, self.how.objective, self.how.loss)

    def _backward(self, loss: Tensor) -> None:
        options = {"scale_wrt_gas": False} if self.is_deepspeed_enabled else {}
        self.accelerator.backward(loss, **options)

    def _over_ranks(self, sums: Counter[str]) -> Counter[str]:
        """Sums over all processes."""
        if self.accelerator.num_processes == 1:
            return sums
        gathered: list[Any] = [None] * self.accelerator.num_processes
        torch.distributed.all_gather_object(gathered, dict(sums))
        total: Counter[str] = Counter()
        for part in gathered:
            total.update(part)
        return total

    def _clip_grad_norm(self, model: Any) -> Any:
        """The norm before clipping; one that is not finite stops the training."""
        norm = super()._clip_grad_norm(model)
        if norm is not None and not torch.isfinite(torch.as_tensor(float(norm))):
            raise self._gradient_error(model)
        return norm

    def _gradient_error(self, model: Any) -> Exception:
        step = self.state.global_step
        groups = list(self.steps[step])
        if self.accelerator.num_processes > 1:
            return gradient_error(groups, step + 1, found=False)
        bad = []
        for group in groups:
            model.zero_grad()
            self._forward(model, [group])[0].sum().backward()
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            if not all(bool(torch.isfinite(g).all()) for g in grads):
                bad.append(group)
        return gradient_error(bad or groups, step + 1, found=bool(bad))

    # -- records ------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the step's own measures, for every tracker, and write the line of ``curve.jsonl``."""
        if "learning_rate" in logs and self._sums:
            logs = {**logs, **measures_of(self._sums)}
            seconds = time.perf_counter() - self._started
            logs["tokens_per_second"] = self._sums["tokens"] / seconds
            if self.is_world_process_zero():
                record = {
                    "v": 1,
                    "step": self.state.global_step,
                    "groups": int(self._sums["groups"]),
                    "tokens": int(self._sums["tokens"]),
                    "completion_tokens": int(self._sums["completion_tokens"]),
                    "seconds": seconds,
                    **logs,
                }
                with (self.work / "curve.jsonl").open("a") as stream:
                    stream.write(json.dumps(record) + "\n")
        super().log(logs, start_time)

    def make_references(self) -> None:
        """Score all groups with the weights as they are, shared among the ranks, and write them."""
        groups = {group.id: group for step in self.steps for group in step}
        world = self.accelerator.num_processes
        every = list(groups.values())
        model = self.model_wrapped
        model.eval()

        def score(batch: MicroBatch) -> Tensor:
            with self.compute_loss_context_manager():
                return model(batch)

        total = len(groups) + sum(map(len, self.steps))
        found: dict[str, Tensor] = {}
        for members in self._share(every):
            if members:
                found |= compute_references(score, [self.how.plan.batch(members)])
            else:
                with torch.no_grad():
                    self._idle_pass(model, every)
            self.progress(min(len(found) * world, len(groups)), total)
        if world > 1:
            parts: list[Any] = [None] * world
            torch.distributed.all_gather_object(parts, found)
            found = {k: v for part in parts for k, v in part.items()}
        if self.is_world_process_zero():
            save_references(found, self.work / "references.safetensors")
        self.references = found

    # -- mid-stage checkpoints ------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Sharded state first, the trainer's state last: a folder that has it is complete."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        save_state(folder, self.model_wrapped, self._plain_optimizer())
        self._save_rng_state(str(folder))
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            assert self.lr_scheduler is not None
            torch.save(self.lr_scheduler.state_dict(), folder / "scheduler.pt")
            self.state.save_to_json(str(folder / "trainer_state.json"))
            others = sorted(folder.parent.glob("checkpoint-*"), key=lambda p: int(p.name[11:]))
            for old in others[:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing yet: weights come with the optimizer, once the model is wrapped."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        load_state(Path(checkpoint), self.model_wrapped, self._plain_optimizer())
        assert self.lr_scheduler is not None
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / "scheduler.pt"))

    def _plain_optimizer(self) -> Any:
        return getattr(self.optimizer, "optimizer", self.optimizer)


def _warmed(rate: Callable[[int], float], warmup: int, step: int) -> float:
    """A schedule's factor at a step, with a linear warm-up whose step 0 has 1 / warmup."""
    return (step + 1) / warmup if step < warmup else rate(step)


def _layers(model: Any) -> list[torch.nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]


class _Steps(torch.utils.data.Dataset):
    """The optimizer batches in order, as the data loader's items."""

    def __init__(self, steps: Sequence[Sequence[EncodedGroup]]) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"groups": list(self.steps[index])}


class _Hooks(TrainerCallback):
    """Computes the references once the model is wrapped, and reports progress."""

    def __init__(self, trainer: PreferenceTrainer) -> None:
        self.trainer = trainer
        self.unique = len({group.id for step in trainer.steps for group in step})
        self.after = [0]
        for step in trainer.steps:
            self.after.append(self.after[-1] + len(step))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.trainer.references is None:
            self.trainer.make_references()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.accelerator.wait_for_everyone()  # every process has written its part
        if self.trainer.is_world_process_zero():
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            seal_checkpoint(folder, self.trainer.work)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        done = self.after[min(state.global_step, len(self.after) - 1)]
        self.trainer.progress(self.unique + done, self.unique + self.after[-1])
