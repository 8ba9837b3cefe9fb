"""Ablation of ``sso-joint`` with W = 1: the generator terms always have weight beta_g. L- prefers yo to y+."""

from __future__ import annotations

from sso.arms.families import joint_arm

ARM = joint_arm("without-w", "SSO w/o W", order=60, use_w=False)
