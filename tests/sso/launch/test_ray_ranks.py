"""Ranks over nodes: each process's place, and the end of all when one fails."""

from __future__ import annotations

import sys
from pathlib import Path

from sso.launch.ray_ranks import NodeRanks, environments

FAILING = """
import os, sys, time
from pathlib import Path
if os.environ["RANK"] == "1":
    sys.exit(3)
time.sleep(600)
"""


def test_every_process_has_its_place() -> None:
    parts = environments(2, 2, ("10.0.0.1", 29500), {"OMP_NUM_THREADS": "1"})
    places = [[(env["RANK"], env["LOCAL_RANK"]) for env in part] for part in parts]
    assert places == [[("0", "0"), ("1", "1")], [("2", "0"), ("3", "1")]]
    env = parts[1][0]
    assert (env["WORLD_SIZE"], env["LOCAL_WORLD_SIZE"]) == ("4", "2")
    assert (env["MASTER_ADDR"], env["MASTER_PORT"]) == ("10.0.0.1", "29500")
    assert env["OMP_NUM_THREADS"] == "1"


def test_one_that_fails_ends_the_others() -> None:
    ((*both,),) = environments(1, 2, ("127.0.0.1", 1), {})
    assert NodeRanks().run([sys.executable, "-c", FAILING], both) == 3


def test_all_that_end_well_give_0(tmp_path: Path) -> None:
    code = f"import os; open(f'{tmp_path}/' + os.environ['RANK'], 'w')"
    ((*both,),) = environments(1, 2, ("127.0.0.1", 1), {})
    assert NodeRanks().run([sys.executable, "-c", code], both) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]
