"""The arms of a comparison: one file an arm, registered here by name.

``ARMS`` maps a name to its ``Arm``; ``get_arm`` looks one up. To add one, write its file and add
its module to the tuple below.
"""

from __future__ import annotations

import difflib

from groundwork.errors import UserError
from sso.arms import (
    pbaa,
    pbaa_generator,
    sso,
    sso_joint,
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
    close = difflib.get_close_matches(plain, list(ARMS), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ARMS)}"
    raise UserError(f"no method {name!r}; {hint}")


__all__ = ["ARMS", "Arm", "Step", "StepContext", "TextEngine", "get_arm"]
