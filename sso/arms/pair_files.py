"""The files of policy pairs, ``pairs.jsonl`` and ``quality.jsonl``, and their measures.

Pairs are made and written one by one; from then on they are read from the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from groundwork.records import write_records
from groundwork.stored import Lazy, chosen, joined, stored_records
from sso.arms.base import StepContext, TextEngine
from sso.pair_metrics import PairQuality, average_logprobs, measure_pairs, summarize
from sso.records import Contrast, PreferencePair, Response
from sso.sampling import policy_pair

PAIRS = "pairs.jsonl"
QUALITY = "quality.jsonl"


def write_contrast_pairs(
    ctx: StepContext,
    contrasts: Sequence[Contrast],
    originals: Mapping[str, Response],
    policy: TextEngine,
) -> dict[str, float]:
    """Write the policy pairs of the contrasts and their quality; returns the measures."""
    tokens: dict[str, list[int]] = {"chosen": [], "rejected": []}
    cut = Counter[str]()
    for contrast in contrasts:
        for side, response in (("chosen", contrast.good), ("rejected", contrast.bad)):
            tokens[side].append(response.tokens)
            cut[side] += response.truncated
    pairs = Lazy(len(contrasts), lambda n: policy_pair(contrasts[n]))
    measures = write_pairs(ctx, pairs, originals, policy, tokens)
    return measures | {f"{side}_truncated_rate": cut[side] / len(pairs) for side in tokens}


def write_pairs(
    ctx: StepContext,
    pairs: Sequence[PreferencePair],
    originals: Mapping[str, Response],
    policy: TextEngine,
    tokens: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Write ``pairs.jsonl`` and ``quality.jsonl``; returns the measures of the pairs."""
    write_records(ctx.folder / PAIRS, pairs)
    pairs = stored_records(ctx.folder / PAIRS, PreferencePair)
    quality: Sequence[PairQuality] = measure_pairs(pairs)
    if ctx.settings.sampling.on_policyness:
        quality = _with_logprobs(policy, pairs, quality, originals)
    write_records(ctx.folder / QUALITY, quality)
    return summarize(pairs, stored_records(ctx.folder / QUALITY, PairQuality), tokens)


def _with_logprobs(
    policy: TextEngine,
    pairs: Sequence[PreferencePair],
    quality: Sequence[PairQuality],
    originals: Mapping[str, Response],
) -> Sequence[PairQuality]:
    """Quality with the average log-probabilities of both sides and yo under the policy."""
    n = len(pairs)
    queries = [pair.query_id for pair in pairs]
    known = [i for i, query in enumerate(queries) if query in originals]
    yo = Lazy(len(known), lambda k: originals[queries[known[k]]])
    prompts = Lazy(n, lambda i: pairs[i].prompt)
    cut = [pair.truncated for pair in pairs]
    scored = average_logprobs(
        policy,
        joined(prompts, prompts, chosen(prompts, known)),
        joined(
            Lazy(n, lambda i: pairs[i].chosen),
            Lazy(n, lambda i: pairs[i].rejected),
            Lazy(len(yo), lambda k: yo[k].text),
        ),
        [
            *("chosen" in sides for sides in cut),
            *("rejected" in sides for sides in cut),
            *(response.truncated for response in yo),
        ],
    )
    original = dict(zip(known, scored[2 * n :], strict=True))
    return Lazy(
        n,
        lambda i: quality[i].model_copy(
            update={
                "chosen_logp": scored[i],
                "rejected_logp": scored[n + i],
                "original_logp": original.get(i),
            }
        ),
    )
