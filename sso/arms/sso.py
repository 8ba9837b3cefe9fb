"""SSO, second version (the default): a generator trained to write contrastive, on-policy pairs.

1. Sample y+, y-, yo from pi_t.
2. Train g_t from pi_t on L+ + L- - gamma (avg logp(y+ | x+) + avg logp(yo | x-)), with
   L+ = L_base(x+; y+ > y-) and L- = L_base(x-; yo > y+).
3. Sample fresh y+, y- from g_t.
4. Train pi_t to pi_{t+1} on L_base(x; y+ > y-).

L- prefers yo to y+: what g_t writes under x- stays where the policy itself is likely to write.

Source: arXiv 2410.17131 and the authors' second code base; docs/method.md has the notation.
"""

from __future__ import annotations

from sso.arms.families import generator_arm

ARM = generator_arm("sso", "SSO", order=50, l_minus_prefers="original")
