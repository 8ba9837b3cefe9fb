"""PBAA with a generator: as ``sso``, but L- = L_base(x-; y- > y+).

The choice that SSO corrects: it pushes what the generator writes under x- away from the policy.
"""

from __future__ import annotations

from sso.arms.families import generator_arm

ARM = generator_arm("pbaa-generator", "PBAA generator", bad_chosen="bad")
