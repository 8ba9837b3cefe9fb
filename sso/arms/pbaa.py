"""Modified PBAA (principle-based automated alignment): the policy's own contrasts, one training.

1. Sample y+, y- from pi_t. 2. Train pi_t to pi_{t+1} on L_base(x; y+ > y-). No generator, no L-.
"""

from __future__ import annotations

from sso.arms.families import contrastive_arm

ARM = contrastive_arm("pbaa", "PBAA", order=20)
