"""The paper index names every table of the paper, and only presets, arms and layouts that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sso.arms import ARMS

REPO = Path(__file__).resolve().parents[2]
INDEX = (REPO / "docs" / "paper_index.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", INDEX, re.DOTALL)
    for line in block.splitlines()
]
RUNS = [line for line in COMMANDS if line.startswith("sso-bench run")]


def given(option: str, lines: list[str]) -> list[str]:
    return [found for line in lines for found in re.findall(rf"{option} (\S+)", line)]


def test_every_table_of_the_paper_has_its_place() -> None:
    from leaderboards.paper import published

    names = {(row["version"], row["table"]) for row in published()}
    appendix = {
        "instruct_iterations": "Instruct models by iteration",
        "llama3_iterations": "Llama-3 by iteration",
    }
    for version, name in names:
        title = f"{version} {appendix.get(name) or 'Table ' + name.removeprefix('table')}"
        assert re.search(rf"^\| {re.escape(title)}\b", INDEX, re.MULTILINE), title


def test_presets_arms_and_layouts_exist() -> None:
    from leaderboards.layouts import LAYOUTS

    presets = {path.stem for path in (REPO / "harness" / "presets").glob("*.yaml")}
    assert set(given("--preset", RUNS)) <= presets
    assert {"_paper", "_paper_shared", "_paper_v2", "quickstart", "suite"} | set(
        given("--preset", RUNS)
    ) == presets
    arms = {arm for methods in given("--methods", RUNS) for arm in methods.split(",")}
    assert arms <= set(ARMS)
    assert set(given("--layout", COMMANDS)) <= set(LAYOUTS)


@pytest.mark.parametrize("line", RUNS)
def test_every_run_is_a_valid_configuration(line: str) -> None:
    from harness.config import load_config

    options = {"preset": "quickstart"} | dict(re.findall(r"--(preset|methods) (\S+)", line))
    chosen = {"methods": options["methods"].split(",")} if "methods" in options else {}
    chosen |= {"model": "somewhere"} if "--model" in line else {}
    config = load_config(options["preset"], re.findall(r"--set (\S+)", line), chosen)
    assert config.preset == options["preset"]
    assert config.model
