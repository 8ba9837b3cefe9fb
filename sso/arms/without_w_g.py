"""Ablation of ``sso-joint`` without W and G: L_base(x; y+ > y-) alone, which is ``pbaa``. No L-."""

from __future__ import annotations

from sso.arms.families import contrastive_arm

ARM = contrastive_arm("without-w-g", "SSO w/o W, G", order=80, ablation=True)
