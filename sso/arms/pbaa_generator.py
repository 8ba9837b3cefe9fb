"""PBAA with a generator: as ``sso``, but L- = L_base(x-; y- > y+).

L- prefers y- to y+: the choice that SSO corrects, since it pushes what the generator writes under x-
away from the policy.
"""

from __future__ import annotations

from sso.arms.families import generator_arm

ARM = generator_arm(
    "pbaa-generator", "PBAA generator", order=30, l_minus_prefers="bad", ablation=True
)
