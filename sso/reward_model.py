"""Reward models: one number per conversation, trained on preference pairs (another use of the data).

A checkpoint's layers with a fresh scalar head, trained so that the chosen completion of a pair scores
higher (Bradley-Terry). Pairs go through the same encoding, shared-prefix batches, trainer, guards and resume
as the policies; the score is read at a completion's end-of-turn token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from groundwork.attention import switch_attention
from groundwork.cpu_kernels import speed_up
from groundwork.memory import PeakMemory, kept_memory
from groundwork.rope import length_limit
from groundwork.stage_result import StageResult
from sso.batches import MicroBatch, packed_batch, plain_batch, single_rows
from sso.encoding import EncodedGroup, encode_answers, encode_groups
from sso.fast_forward import ForwardPlan, model_inputs
from sso.forward_probe import probe_groups, recurrent_part
from sso.objectives import Objective, PromptGroup, as_objective
from sso.ranks import Ranks
from sso.records import Message, PreferencePair
from sso.reward_checkpoint import require_reward_model
from sso.settings import MethodSettings, TrainingSettings
from sso.step_math import MicroResult, training_order
from sso.trainer import PreferenceTrainer, StepSettings
from sso.training import (
    TrainingRun,
    inputs_fingerprint,
    make_result,
    prepare_work,
    train,
    training_arguments,
)

_PAIR = Objective("reward")


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-log sigmoid(score(chosen) - score(rejected)), (n,) each.

    Source: Ouyang et al. 2022 (arXiv 2203.02155), equation 1, with one comparison per prompt.
    """
    return -F.logsigmoid(chosen - rejected)


class RewardTrainer(PreferenceTrainer):
    """The preference trainer with scores in the place of log-probabilities; no reference."""

    def result(self, output: Tensor, batch: MicroBatch) -> MicroResult:
        """Losses from the scores (completions,)."""
        chosen, rejected = (output[i.to(output.device)] for i in batch.pairs["policy"])
        losses = reward_loss(chosen, rejected)
        margin = (chosen - rejected).detach()
        sums = {
            "loss": float(losses.detach().sum()),
            "groups": float(len(batch.groups)),
            "completion_tokens": float(len(batch.targets)),
            "tokens": float(batch.tokens),
            "margin/policy": float(margin.sum()),
            "accuracy/policy": float((margin > 0).sum()),
        }
        return MicroResult(losses, sums)


def train_reward(
    model: Path, pairs: Sequence[PreferencePair], settings: MethodSettings, run: TrainingRun
) -> StageResult:
    """Train a reward model from the checkpoint ``model`` on ``pairs``; written to ``run.out``.

    The result loads with ``AutoModelForSequenceClassification`` (one label, the score). Reads
    ``settings.training``. Every pair is a sample of its own.

    Where a launcher started several processes, all of them call this with the same pairs.

    With LoRA the head is trained in full and the adapters are merged into what is written.

    Raises:
        UserError: as ``sso.training.train``.
    """
    from sso.checkpoints import fitted_length, load_tokenizer, save_policy, weights_fingerprint
    from sso.lora import adapter_state, add_lora

    ranks = Ranks.join()
    length = fitted_length(model, settings.training)
    options = settings.training.model_copy(update={"max_length": length})
    tokenizer = load_tokenizer(model)
    examples = [PromptGroup(p.id, (p.model_copy(update={"kind": "policy"}),)) for p in pairs]
    encoded = encode_groups(examples, _PAIR, tokenizer, options)
    run.work.mkdir(parents=True, exist_ok=True)
    state = "reward" + weights_fingerprint(model)
    mark = inputs_fingerprint(encoded, _PAIR, settings, run.seed, state)
    resume = ranks.from_first(lambda: prepare_work(run.work, mark))
    groups = [_with_score_row(group) for group in encoded.groups]
    peak = PeakMemory(cuda=torch.cuda.is_available())
    torch.manual_seed(run.seed)  # the fresh head
    scorer = _load(model, tokenizer)
    plan = _install_scores(scorer, groups)
    speed_up(scorer)
    if options.lora.rank:
        scorer = add_lora(scorer, options.lora, run.seed, whole="score")
    order = training_order(len(groups), options.epochs, options.batch_size, run.seed)
    trainer = RewardTrainer(
        model=scorer,
        args=training_arguments(options, len(order), run),
        steps=[[groups[i] for i in batch] for batch in order],
        how=StepSettings(_PAIR, settings.loss, options.micro_tokens, plan),
        work=run.work,
        references={},
        progress=run.progress,
    )
    with kept_memory():
        trainer.train(resume_from_checkpoint=resume)
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if options.lora.rank:
        state_dict = adapter_state(trainer.accelerator.unwrap_model(trainer.model_wrapped))
    if trainer.is_world_process_zero():
        scorer = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
        save_policy(scorer, state_dict, tokenizer, model, run.out, dtype)
    trainer.accelerator.wait_for_everyone()
    most = max(ranks.gathered(peak.gigabytes()))
    return ranks.from_first(
        lambda: make_result(encoded, run.work / "curve.jsonl", most, plan.notes)
    )


def train_groups(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: str | Objective,
    settings: MethodSettings,
    run: TrainingRun,
) -> StageResult:
    """``sso.training.train``, or ``train_reward`` on the groups' pairs with the objective ``reward``."""
    if as_objective(objective).name != "reward":
        return train(model, examples, objective, settings, run)
    return train_reward(model, [pair for group in examples for pair in group.pairs], settings, run)


class Scorer:
    """A loaded reward model that scores answers; as many at a time as ``micro_tokens`` allows.

    Raises:
        UserError: the checkpoint is no reward model.
    """

    def __init__(self, model: Path, settings: TrainingSettings | None = None) -> None:
        from sso.checkpoints import fitted_length, load_tokenizer

        require_reward_model(model)
        given = settings or TrainingSettings()
        self.settings = given.model_copy(update={"max_length": fitted_length(model, given)})
        self.tokenizer = load_tokenizer(model)
        self._scorer = _load(model, self.tokenizer).eval()
        if torch.cuda.is_available():
            self._scorer.to("cuda")
        self._plan: ForwardPlan | None = None

    def scores(
        self,
        items: Sequence[tuple[Sequence[Message], Sequence[str]]],
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[tuple[float, ...]]:
        """The score of each answer to each prompt, in order. A conversation that is too long is cut at
        ``settings.max_length``, as training with ``truncation: cut`` does.

        Raises:
            UserError: an empty answer, or a prompt that leaves no room for one.
        """
        groups = [
            _with_score_row(encode_answers(str(i), prompt, answers, self.tokenizer, self.settings))
            for i, (prompt, answers) in enumerate(items)
        ]
        if not groups:
            return []
        if self._plan is None:
            self._plan = _install_scores(self._scorer, groups)
        found: dict[str, tuple[float, ...]] = {}
        with torch.no_grad():
            for members in self._plan.bins(groups, self.settings.micro_tokens):
                batch = self._plan.batch(members)
                scores = iter(self._scorer(batch).float().tolist())
                for group in batch.groups:
                    count = len(group.branches[0].completions)
                    found[group.id] = tuple(next(scores) for _ in range(count))
                progress(len(found))
        return [found[str(i)] for i in range(len(items))]


def _load(model: Path, tokenizer: Any) -> Any:
    from transformers import AutoModelForSequenceClassification

    from sso.checkpoints import repair_generation_config

    scorer = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=1, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    repair_generation_config(scorer)
    if scorer.config.pad_token_id is None:
        scorer.config.pad_token_id = tokenizer.pad_token_id or tokenizer.eos_token_id
    scorer.config.use_cache = False
    return scorer


def _with_score_row(group: EncodedGroup) -> EncodedGroup:
    """The group with each completion's last token doubled.

    Batches leave out a completion's last token because it predicts nothing; with one more, the position
    that "predicts" it is the end of turn, where the score is read.
    """
    branches = tuple(
        replace(b, completions=tuple((*c, c[-1]) for c in b.completions)) for b in group.branches
    )
    return replace(group, branches=branches)


def _scores(scorer: Any, batch: MicroBatch) -> Tensor:
    """Scores (completions,) at each completion's end of turn."""
    device = next(scorer.parameters()).device
    backbone = getattr(scorer, scorer.base_model_prefix)
    inputs = model_inputs(backbone, batch, device)
    hidden = backbone(**inputs).last_hidden_state.flatten(0, 1)
    ends = torch.tensor(batch.lengths).cumsum(0) - 1
    return scorer.score(hidden[batch.rows[ends].to(device)]).squeeze(1)


def _install_scores(scorer: Any, groups: Sequence[EncodedGroup]) -> ForwardPlan:
    """Make ``scorer(batch)`` give scores; shared prefixes where a probe finds them right.

    The yardstick is the untouched model's, as in ``sso.forward_probe``.
    """
    probe = tuple(probe_groups(scorer.config.get_text_config().vocab_size))
    longest = max(groups, key=lambda group: group.longest)
    limit = length_limit(scorer.config)
    with torch.no_grad():
        rows = plain_batch((*probe, longest))
        expected = torch.cat([_scores(scorer, row) for row in single_rows(rows)])
        reason = f"it has {state}" if (state := recurrent_part(scorer)) else ""
        if limit is not None and max(group.longest for group in groups) > limit:
            reason = f"rotary angles depend on the length beyond {limit} tokens"
        before = ""
        try:
            before = before if reason else switch_attention(scorer)
            if not reason:
                found = _scores(scorer, packed_batch((*probe, longest)))
                if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
                    reason = "a probe scores differently"
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
        if reason and before:
            switch_attention(scorer, before)
    scorer.forward = lambda batch: _scores(scorer, batch)
    notes = (f"plain batches instead of shared prefixes: {reason}",) if reason else ()
    return ForwardPlan(not reason, True, notes=notes)
