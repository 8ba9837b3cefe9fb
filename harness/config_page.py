"""Every key of the configuration as a page of the documentation, from the schema itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.config import TRAINED, RunConfig

HEAD = """# Configuration

Every key of a preset, of `--set KEY=VALUE` and of a YAML file for `--preset FILE`. A wrong key or value is one line that names
the nearest right one. `sso-bench presets NAME` prints a preset with all its values. This page is made from the schema
(`python -m harness.config_page`); a test holds it to it.

Keys below `training.generator`, `training.policy` and `training.reward` are those of `training`, for one step alone; keys below
`writer` are those of `engine`, for the model that writes principles.
"""


def page() -> str:
    """The page as Markdown."""
    sections: dict[str, list[str]] = {}
    for key, field in keys(RunConfig):
        section = key.rpartition(".")[0] or "The experiment"
        sections.setdefault(section, []).append(_row(key, field))
    parts = [HEAD]
    for section, rows in sections.items():
        title = section if section == "The experiment" else f"`{section}`"
        parts += [f"## {title}\n", "| key | default | values | what |", "| --- | --- | --- | --- |"]
        parts += [*rows, ""]
    return "\n".join(parts)


def keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf key with its field; repeated sections are left out."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if prefix == "training." and name in TRAINED:
                continue
            if name == "writer":
                yield "writer.model", inner.model_fields["model"]
                continue
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _row(key: str, field: FieldInfo) -> str:
    default = "-" if field.is_required() else _shown(field.get_default(call_default_factory=True))
    cells = (f"`{key}`", default, _values(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(value: Any) -> str:
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _values(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(map(str, inner))
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "mapping"
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    if inner:
        return " or ".join(_type(one) for one in inner if one is not type(None))
    names = {"str": "text", "bool": "true / false", "int": "whole number", "float": "number"}
    return names.get(annotation.__name__, annotation.__name__)


if __name__ == "__main__":
    print(page(), end="")
