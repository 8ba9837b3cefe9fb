"""The pages of this room agree with the program: commands, options, workflows, defaults."""

import re
from pathlib import Path

import pytest
import yaml

from harness.benchmarks import get_benchmark
from harness.stages.pair_accuracy import INFO
from leaderboards.layouts import LAYOUTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "ci.md", DOCS / "leaderboards.md", *sorted((DOCS / "workflows").glob("*.yml"))]


def command_lines(path):
    """The ``sso-bench`` lines of a page, folded YAML lines joined, comments cut."""
    text = re.sub(r">-\n\s+", "", path.read_text())
    text = re.sub(r"\n\s+(?=--)", " ", text)
    return re.findall(r"^[\s$`|]*(?:run: )?(sso-bench [^\n`#|]+)", text, flags=re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    import typer

    from harness.cli.main import application

    found = command_lines(page)
    assert found
    for line in found:
        command = typer.main.get_command(application())
        for word in line.split()[1:]:
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"{page.name}: {line}: no command {word}"
            command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.split("=")[0] for word in line.split() if word.startswith("--")}
        assert used <= known, f"{page.name}: {line}: {used - known}"


@pytest.mark.parametrize("name", ["evaluate-cpu", "evaluate-gpu"])
def test_workflows_are_complete(name):
    workflow = yaml.safe_load((DOCS / "workflows" / f"{name}.yml").read_text())
    job = workflow["jobs"]["gate"]
    assert workflow["permissions"] == {"contents": "read"}
    assert job["timeout-minutes"] > 0
    commands = " ".join(step.get("run", "") for step in job["steps"])
    for command in ("eval", "check", "report"):
        assert f"sso-bench {command} " in commands
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step)
        # Text of a pull request must not reach a shell: only the environment carries values.
        assert "${{ github" not in step.get("run", "")


def test_minimum_effects_on_the_page():
    rows = [line for line in (DOCS / "ci.md").read_text().splitlines() if line.startswith("|")]
    start = next(i for i, row in enumerate(rows) if row.startswith("| gsm8k"))
    cells = [[cell.strip() for cell in rows[i].strip("|").split("|")] for i in (start, start + 2)]
    for names, value in zip(*cells, strict=True):
        for name in names.replace("(LC)", "").split(","):
            name = name.strip()
            info = INFO if name == "pair_accuracy" else get_benchmark(name).info
            assert info.minimum_effect == float(value)


def test_every_layout_is_on_the_page():
    text = (DOCS / "leaderboards.md").read_text()
    assert all(f"`{name}`" in text for name in LAYOUTS)
