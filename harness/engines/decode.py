"""The decode loop of the in-process engine: prefill, then one token for every row at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode_state import Row, advance, choose, make_rows, pieces, read_targets
from harness.engines.kv_cache import OwnPass, OwnStore, PrefixPass, RowGroup, StepPass

COMPACT_SHARE = 8
"""Finished rows are dropped once they are more than one in this many."""


class Decoder:
    """Runs batches of a schedule on a transformers model with ``groundwork.attention`` switched on.

    ``piece_tokens`` bounds the padded tokens of one prefill pass (memory of activations).
    """

    def __init__(self, model: Any, codec: Codec, *, max_length: int, piece_tokens: int) -> None:
        self.model, self.codec = model, codec
        self.max_length, self.piece_tokens = max_length, piece_tokens
        self.device, self.choose = model.device, choose

    # --- generation ---------------------------------------------------------------------------

    @torch.inference_mode()
    def generate(
        self,
        batch: Batch,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        params: SamplingParams,
        on_done: Callable[[int, Completion], None],
    ) -> None:
        """Answer the prompts (token ids) of one batch; ``on_done(item, completion)`` as rows end."""
        rows = make_rows(batch, prompts, seeds, params, self.max_length)
        groups = _row_groups(batch)
        longest = max(len(row.own) for row in rows)
        store = OwnStore(len(rows), longest + max(row.room for row in rows), cleared=longest)
        for group, planned in zip(groups, batch.groups, strict=True):
            self._prefill(group, planned, prompts, rows, store)
        lengths = torch.tensor([len(row.own) - 1 for row in rows], device=self.device)
        offsets = torch.tensor([r.prompt_tokens - len(r.own) for r in rows], device=self.device)
        tokens = torch.tensor([row.own[-1] for row in rows], device=self.device)
        step = 0
        while rows:
            pass_ = StepPass(store, groups, lengths, longest - 1 + step)
            logits = self._step(tokens, offsets + lengths, pass_)
            tokens = self.choose(rows, logits, params, step)
            lengths = lengths + 1
            step += 1
            for row, token in zip(rows, tokens.tolist(), strict=True):
                if not row.done:
                    advance(row, token, params, self.codec, on_done)
            alive = [number for number, row in enumerate(rows) if not row.done]
            if alive and (len(rows) - len(alive)) * COMPACT_SHARE <= len(rows):
                continue
            keep = torch.tensor(alive, dtype=torch.long, device=self.device)
            store.keep(keep, longest - 1 + step)
            groups = _compact(groups, alive)
            rows = [rows[n] for n in alive]
            tokens, lengths, offsets = tokens[keep], lengths[keep], offsets[keep]

    def _step(self, tokens: torch.Tensor, positions: torch.Tensor, pass_: StepPass) -> torch.Tensor:
        out = self.model(
            input_ids=tokens[:, None],
            position_ids=positions[:, None],
            use_cache=False,
            logits_to_keep=1,
            attention_layout=pass_,
        )
        return out.logits[:, -1]

    # --- prefill ------------------------------------------------------------------------------

    def _prefill(
        self,
        group: RowGroup,
        planned: Group,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[Row],
        store: OwnStore,
    ) -> None:
        """Keys and values of the group's prefix and of all own tokens but each row's last."""
        self._run_prefix(group, prompts[planned.items[0]][: group.prefix])
        members = rows[group.first : group.first + group.count]
        for first, last in pieces(
            [len(row.own) - 1 for row in members], self.piece_tokens, group.prefix
        ):
            part = [row.own[:-1] for row in members[first:last]]
            if part and part[0]:
                ids = self._padded(part)
                positions = group.prefix + torch.arange(ids.shape[1], device=self.device)
                self.model.base_model(
                    input_ids=ids,
                    position_ids=positions.expand(ids.shape),
                    use_cache=False,
                    attention_layout=OwnPass(group, store, group.first + first),
                )

    def _run_prefix(self, group: RowGroup, prefix: Sequence[int]) -> None:
        if group.prefix:
            ids = torch.tensor([list(prefix)], device=self.device)
            positions = torch.arange(len(prefix), device=self.device)[None]
            self.model.base_model(
                input_ids=ids,
                position_ids=positions,
                use_cache=False,
                attention_layout=PrefixPass(group),
            )

    def _padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=self.device)

    # --- log-probabilities --------------------------------------------------------------------

    @torch.inference_mode()
    def score(
        self,
        batch: Batch,
        inputs: Sequence[Sequence[int]],
        targets: Sequence[Sequence[Sequence[int]]],
        items: Sequence[Sequence[int]],
        on_done: Callable[[int, ContinuationLogprob], None],
    ) -> None:
        """Log-probabilities of continuations, several of one length behind the same input row.

        ``inputs[r]`` are context and continuation without its last token; the last positions of the row
        predict each of ``targets[r]``. ``on_done(items[r][k], result)`` for target k of row r.
        """
        groups = _row_groups(batch)
        for group, planned in zip(groups, batch.groups, strict=True):
            self._run_prefix(group, inputs[planned.items[0]][: group.prefix])
            own = [list(inputs[item][group.prefix :]) for item in planned.items]
            for first, last in pieces([len(row) for row in own], self.piece_tokens, group.prefix):
                rows = planned.items[first:last]
                found = self._score_piece(group, own[first:last], [targets[row] for row in rows])
                for row, results in zip(rows, found, strict=True):
                    for item, result in zip(items[row], results, strict=True):
                        on_done(item, result)
            group.keys.clear()
            group.values.clear()

    def _score_piece(
        self,
        group: RowGroup,
        own: Sequence[list[int]],
        targets: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[ContinuationLogprob]]:
        """One forward pass; the head runs on the positions that predict a target of some row."""
        ids = self._padded(own)
        positions = group.prefix + torch.arange(ids.shape[1], device=self.device)
        spans = [range(len(row) - len(t[0]), len(row)) for row, t in zip(own, targets, strict=True)]
        columns = sorted({column for span in spans for column in span})
        place = {column: number for number, column in enumerate(columns)}
        logits = self.model(
            input_ids=ids,
            position_ids=positions.expand(ids.shape),
            use_cache=False,
            logits_to_keep=torch.tensor(columns, device=self.device),
            attention_layout=OwnPass(group),
        ).logits
        results = []
        for number, (span, wanted) in enumerate(zip(spans, targets, strict=True)):
            chosen = logits[number, [place[column] for column in span]].float()
            results.append(read_targets(chosen, wanted))
        return results


def _row_groups(batch: Batch) -> list[RowGroup]:
    groups, first = [], 0
    for group in batch.groups:
        groups.append(RowGroup(group.prefix, first, len(group.items)))
        first += len(group.items)
    return groups


def _compact(groups: Sequence[RowGroup], alive: Sequence[int]) -> list[RowGroup]:
    """The groups over the rows that stay, renumbered; a group without rows frees its prefix."""
    kept, first = [], 0
    for group in groups:
        count = sum(group.first <= number < group.first + group.count for number in alive)
        if count:
            kept.append(RowGroup(group.prefix, first, count, group.keys, group.values))
            first += count
    return kept
