"""The named protocols: one YAML file per protocol, in the folder ``protocols`` of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from harness.benchmarks.base import ProtocolSpec
from harness.benchmarks.registry import benchmark_folder
from harness.errors import ProtocolError

KEYS = {"description", "version", "settings", "reference_points", "reduced", "reconstruction"}


def protocol_names(benchmark: str) -> list[str]:
    """The protocols shipped for a benchmark, ``community`` (the default) first."""
    folder = benchmark_folder(benchmark) / "protocols"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    return sorted(names, key=lambda name: name != "community")


def load_protocol(benchmark: str, protocol: str = "community") -> ProtocolSpec:
    """A shipped protocol by name, or a user's own file (``*.yaml``).

    Raises:
        ProtocolError: no such protocol (the nearest one is named), or a file that is not one.
    """
    own = protocol.endswith((".yaml", ".yml"))
    shipped = benchmark_folder(benchmark) / "protocols" / f"{protocol}.yaml"
    path = Path(protocol) if own else shipped
    if not path.is_file():
        names = protocol_names(benchmark)
        near = get_close_matches(protocol, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise ProtocolError(f"no protocol {protocol!r} for {benchmark} ({hint})")
    return _read(path, benchmark)


def load_protocols(benchmark: str) -> list[ProtocolSpec]:
    """All shipped protocols of one benchmark."""
    return [load_protocol(benchmark, name) for name in protocol_names(benchmark)]


def _read(path: Path, benchmark: str) -> ProtocolSpec:
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(raw, Mapping) or not isinstance(raw.get("settings"), Mapping):
        raise ProtocolError(f"{path}: a protocol is a mapping with version and settings")
    unknown = sorted(set(raw) - KEYS)
    if unknown:
        near = get_close_matches(unknown[0], sorted(KEYS), n=1, cutoff=0.0)
        raise ProtocolError(f"{path}: unknown key {unknown[0]!r} (did you mean {near[0]!r}?)")
    if not isinstance(raw.get("version"), int):
        raise ProtocolError(f"{path}: a protocol needs a whole number as its version")
    reconstruction = raw.get("reconstruction", path.stem == "paper")
    marks = {"reduced-protocol": raw.get("reduced", False), "reconstruction": reconstruction}
    return ProtocolSpec(
        name=f"{benchmark}/{path.stem}",
        benchmark=benchmark,
        version=raw["version"],
        description=" ".join(str(raw.get("description", "")).split()),
        settings=dict(raw["settings"]),
        reference_points={str(k): float(v) for k, v in (raw.get("reference_points") or {}).items()},
        marks=tuple(mark for mark, holds in marks.items() if holds),
    )
