"""Machines as the command line names them."""

from __future__ import annotations

import pytest

from groundwork.errors import UserError
from harness.planning.devices import parse_machines


@pytest.mark.parametrize(
    ("text", "nodes", "per_node", "name"),
    [
        ("8xH100", 1, 8, "H100"),
        ("2x8xA100-80GB", 2, 8, "A100-80GB"),
        ("h200", 1, 1, "H200"),
        ("4xa10", 1, 4, "A10"),
    ],
)
def test_nodes_devices_and_name(text: str, nodes: int, per_node: int, name: str) -> None:
    machines = parse_machines(text)
    assert (machines.nodes, machines.per_node, machines.device.name) == (nodes, per_node, name)
    assert machines.count == nodes * per_node


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8xH1000", "no device 'H1000' .*did you mean 'H100'"),
        ("0xH100", "expected COUNTxDEVICE"),
        ("8", "expected COUNTxDEVICE"),
        ("2x4x8xH100", "expected COUNTxDEVICE"),
        ("", "expected COUNTxDEVICE"),
    ],
)
def test_anything_else_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_machines(text)
