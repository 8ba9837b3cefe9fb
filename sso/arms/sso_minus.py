"""Ablation of ``sso``: the generator is trained on its L- half alone.

The generator's loss is L- - gamma avg logp(yo | x-), with L- = L_base(x-; yo > y+). L- prefers yo to y+, as in ``sso``.
Everything else is as in ``sso``, the sampled texts and the filters included.
"""

from __future__ import annotations

from sso.arms.families import generator_arm

ARM = generator_arm(
    "sso-minus",
    "SSO, L- only",
    order=91,
    l_minus_prefers="original",
    trains_on="generator-minus",
    ablation=True,
)
