"""SSO, first version: policy and generator terms in one loss, on one model.

L = L_base(x; y+ > y-) + W beta_g (L_base(x+; y+ > y-) + L_base(x-; yo > y+)) per sample, with
W = sigmoid(-(alpha avg logp(y+ | x) + (1 - alpha) avg logp(y- | x))) under the current weights.

L- (the last term) prefers yo to y+.

Source: arXiv 2410.17131v1 and the authors' first code base.
"""

from __future__ import annotations

from sso.arms.families import joint_arm

ARM = joint_arm("sso-joint", "SSO (joint)", order=40)
