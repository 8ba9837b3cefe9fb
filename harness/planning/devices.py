"""Machines: a table of accelerators, and ``2x8xA100-80GB`` as nodes of devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from groundwork.errors import UserError, did_you_mean

FILE = Path(__file__).parent / "devices.yaml"


@dataclass(frozen=True)
class Device:
    """One accelerator: bytes of memory, bf16 matrix products per second (dense), list price per hour."""

    name: str
    memory: float
    flops: float
    dollars: float


@dataclass(frozen=True)
class Machines:
    """``nodes`` machines of ``per_node`` devices each."""

    nodes: int
    per_node: int
    device: Device

    @property
    def count(self) -> int:
        return self.nodes * self.per_node


def parse_machines(text: str) -> Machines:
    """``8xH100`` or ``2x8xA100-80GB``.

    Raises:
        UserError: not of this form, or a device that the table lacks.
    """
    found = re.fullmatch(r"(?:(\d+)x)?(?:(\d+)x)?([A-Za-z].*)", text.strip())
    numbers = [int(n) for n in found.groups()[:2] if n is not None] if found else []
    if found is None or 0 in numbers:
        raise UserError(f"--gpus {text!r}: expected COUNTxDEVICE or NODESxCOUNTxDEVICE, as 8xH100")
    nodes, per_node = (numbers if len(numbers) == 2 else [1, *(numbers or [1])])[:2]
    return Machines(nodes, per_node, device_named(found.group(3)))


def device_named(name: str) -> Device:
    """A device of the table, in any case.

    Raises:
        UserError: none of that name; the nearest is named.
    """
    table = _table()
    key = next((k for k in table if k.lower() == name.lower()), None)
    if key is None:
        raise UserError(f"no device {name!r} in the table ({did_you_mean(name, table)})")
    memory, teraflops, dollars = table[key]
    return Device(key, memory * 2**30, teraflops * 1e12, dollars)


@lru_cache(maxsize=1)
def _table() -> dict[str, list[float]]:
    raw: dict[str, list[float]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return raw
