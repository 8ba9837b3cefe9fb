"""The arms of a comparison: one file per arm, registered here by name.

``ARMS`` maps a name to its ``Arm``; ``get_arm`` looks one up. To add one, write its file and add
its module to the tuple below.
"""

from __future__ import annotations

from groundwork.errors import UserError, did_you_mean
from sso.arms import (
    pbaa,
    pbaa_generator,
    sso,
    sso_joint,
    sso_minus,
    sso_plus,
    ultrafeedback,
    without_g,
    without_w,
    without_w_g,
)
from sso.arms.base import Arm, Step, StepContext, TextEngine

_MODULES = (
    sso,
    sso_joint,
    without_w,
    without_g,
    without_w_g,
    pbaa,
    pbaa_generator,
    sso_plus,
    sso_minus,
    ultrafeedback,
)

ARMS: dict[str, Arm] = {module.ARM.name: module.ARM for module in _MODULES}


def get_arm(name: str) -> Arm:
    """The arm of that name; ``_`` and ``-`` and case don't matter.

    Raises:
        UserError: no such arm; the nearest name is given.
    """
    plain = name.strip().lower().replace("_", "-")
    if plain in ARMS:
        return ARMS[plain]
    raise UserError(f"no method {name!r}; {did_you_mean(plain, ARMS)}")


__all__ = ["ARMS", "Arm", "Step", "StepContext", "TextEngine", "get_arm"]
