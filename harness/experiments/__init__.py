"""The experiments of the papers' tables and figures, one declarative file each, and how they are read.

``v1-table1.yaml`` is the target ``v1:table1``. A file names its runs (preset, arms, overrides), the reward models
trained on their pairs, and the layout that draws the table. ``quick.yaml`` says what the quick scale puts in a
preset's place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from groundwork.errors import UserError, did_you_mean
from groundwork.records import Section

FOLDER = Path(__file__).parent
Kind = Literal["table", "figure", "sweep", "overhead", "agreement"]
Scale = Literal["paper", "quick"]
QUICK_PRESET = "quickstart"


class ExperimentRun(Section):
    """One run of an experiment; ``model`` is the paper's name of its starting model. ``methods`` empty
    is the starting model alone. ``shown`` false: only its pairs are used."""

    model: str
    preset: str
    methods: tuple[str, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)
    writer: Literal["", "weak", "strong"] = ""
    label: str = ""
    shown: bool = True

    @property
    def group(self) -> str:
        """The group of the table that shows the run, as the published table titles it."""
        extra = f"{self.writer} writer" if self.writer else self.label
        return f"{self.model} · {extra}" if extra else self.model


class ExperimentReward(Section):
    """A reward model: its arm in the published table and its pairs; ``pairs/ARM`` are those of the
    experiment's first run."""

    model: str
    preset: str
    arm: str
    data: tuple[str, ...] = Field(min_length=1)


class Experiment(Section):
    """One table or figure: what is run and how it is drawn."""

    name: str
    title: str
    kind: Kind
    layout: str = ""
    plot: Literal["", "iteration", "probability"] = ""
    runs: tuple[ExperimentRun, ...] = ()
    rewards: tuple[ExperimentReward, ...] = ()
    benchmarks: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    note: str = ""

    @property
    def version(self) -> Literal["v1", "v2"]:
        """The version of the paper whose settings the experiment has."""
        return "v1" if self.name.startswith("v1:") else "v2"


@cache
def experiments() -> dict[str, Experiment]:
    """All experiments by target (``v1:table1``, ``sweep:gamma``, ``overhead``)."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.stem == "quick":
            continue
        prefix, _, rest = path.stem.partition("-")
        name = f"{prefix}:{rest}" if prefix in ("v1", "v2", "sweep") else path.stem
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[name] = Experiment.model_validate({"name": name, **raw})
    return found


def get_experiment(target: str) -> Experiment:
    """The experiment of a target; ``table1`` alone is the second version's where both have it.

    Raises:
        UserError: a table or figure that neither paper has; the nearest name is given.
    """
    known = experiments()
    plain = target.strip().lower().replace(" ", "")
    for name in (plain, f"v2:{plain}", f"v1:{plain}"):
        if name in known:
            return known[name]
    raise UserError(
        f"no table or figure {target!r} in either version ({did_you_mean(plain, known)})"
    )


@cache
def quick_settings() -> dict[str, Any]:
    """The contents of ``quick.yaml``."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / "quick.yaml").read_text(encoding="utf-8"))
    return content
