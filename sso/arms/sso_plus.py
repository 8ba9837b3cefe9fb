"""Ablation of ``sso``: the generator is trained on its L+ half alone.

The generator's loss is L+ - gamma avg logp(y+ | x+), with L+ = L_base(x+; y+ > y-). No L-.
Everything else is as in ``sso``, the sampled texts and the filters included.
"""

from __future__ import annotations

from sso.arms.families import generator_arm

ARM = generator_arm(
    "sso-plus",
    "SSO, L+ only",
    order=90,
    l_minus_prefers="original",
    trains_on="generator-plus",
    ablation=True,
)
