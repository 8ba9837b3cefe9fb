"""Templates of everything that is HTML: Jinja2, every text escaped unless it is markup made here."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def environment() -> Environment:
    """The templates of this room."""
    found = Environment(
        loader=PackageLoader("leaderboards", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["breakable"] = breakable
    return found


def render_template(name: str, **context: Any) -> str:
    """A template of ``leaderboards/templates`` with its context."""
    return environment().get_template(name).render(**context)


def breakable(text: Any) -> Markup:
    """Text that may break after the marks inside long ids."""
    return Markup("<wbr>").join(re.split(r"(?<=[/@#:_])(?=.)", str(text)))
