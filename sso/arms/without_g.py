"""Ablation of ``sso-joint`` with beta_g = 0: W multiplies L_base(x; y+ > y-). No L-."""

from __future__ import annotations

from sso.arms.families import joint_arm

ARM = joint_arm("without-g", "SSO w/o G", order=70, use_g=False)
