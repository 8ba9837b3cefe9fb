"""Assembles the report: one HTML file with its style, script and data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from groundwork.errors import UserError
from groundwork.files import write_atomic
from leaderboards.build_table import build_table
from leaderboards.compare import ItemStore
from leaderboards.formats.marking import footer, signs
from leaderboards.identity import arms_of_runs
from leaderboards.layouts import LAYOUTS
from leaderboards.model_comparison import comparison_of
from leaderboards.outcomes import Contest, final_contests
from leaderboards.paper import published_model, with_published_values
from leaderboards.report import facts, figures
from leaderboards.report.items import collect
from leaderboards.report.pairs import collect_pairs
from leaderboards.report.training import training_tables
from leaderboards.runs import Run, read_runs
from leaderboards.score_frame import frame_of, over_seeds
from leaderboards.table import Table
from leaderboards.templating import render_template

if TYPE_CHECKING:
    import pandas as pd

PARTS = (
    ("overview", "Overview"),
    ("trajectories", "Trajectories"),
    ("tables", "Tables"),
    ("categories", "Categories"),
    ("training", "Training"),
    ("pairs", "Pairs"),
    ("items", "Items"),
    ("comparability", "Comparability"),
    ("judge", "Judge"),
    ("costs", "Costs"),
    ("settings", "Settings"),
)


def write_report(runs: Sequence[Path | str], out: Path, title: str | None = None) -> Path:
    """Write the report of ``runs`` to the file ``out`` (HTML, self-contained, under 8 MB).

    Raises:
        UserError: runs that can't be read, or a file that can't be written.
    """
    write_atomic(out, report_html(read_runs(runs, need_scores=False), title))
    return out


def report_html(runs: Sequence[Run], title: str | None = None) -> str:
    """The page as text; runs without scores get a page of their finished stages."""
    frame = frame_of(runs) if any(run.evaluations for run in runs) else None
    store = ItemStore()
    contests = _contests(runs, frame, store)
    items, item_remarks = collect(runs)
    pairs, pair_remarks = collect_pairs(runs)
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return render_template(
        "report.html",
        heading=title or "sso-bench: " + ", ".join(run.name for run in runs),
        parts=PARTS,
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
        data=Markup(embedded({"items": items, "pairs": pairs})),
        has_items=bool(items),
        has_pairs=bool(pairs),
        verdicts=_verdicts(runs, frame, contests),
        contests=contests,
        notes=facts.notes(runs),
        runs=facts.runs_table(runs),
        tables=_tables(frame, store),
        footer=footer,
        signs=signs,
        plots=figures.figures(frame, runs),
        training=training_tables(runs),
        remarks=[*item_remarks, *pair_remarks],
        comparability=facts.comparability(frame),
        judges=facts.judges(runs),
        costs=facts.costs(runs),
        settings=facts.settings(runs),
    )


def _contests(runs: Sequence[Run], frame: pd.DataFrame | None, store: ItemStore) -> list[Contest]:
    return [] if frame is None else final_contests(over_seeds(frame), arms_of_runs(runs), store)


def _verdicts(
    runs: Sequence[Run], frame: pd.DataFrame | None, contests: Sequence[Contest]
) -> list[str]:
    if frame is None:
        done = sum(len(run.stages) for run in runs)
        return [f"No finished scores yet: {done} stages are done. Resume the run for figures."]
    if not contests:
        return [
            "Nothing was trained in these runs: the figures are those of the models as they are."
        ]
    return [contest.verdict for contest in contests]


def _tables(frame: pd.DataFrame | None, store: ItemStore) -> list[Table]:
    """The main table, then every other layout that the runs have something of their own for."""
    if frame is None:
        return []
    found = [_main_table(frame, store)]
    with suppress(UserError):
        if frame["group"].nunique() > 1:
            compared = comparison_of(frame)
            found += [compared.models, compared.changes]
    for name in _worth(frame):
        try:
            found.append(build_table(frame, LAYOUTS[name], store))
        except UserError:
            continue
    return found


def _main_table(frame: pd.DataFrame, store: ItemStore) -> Table:
    """The iterations table, with the paper's figures where the paper has the model."""
    layout = LAYOUTS["iterations"]
    table = build_table(frame, layout, store)
    published = any(published_model(str(model)) for model in frame["model"].unique())
    presets = dict(zip(frame["group"], frame["preset"], strict=True))
    return with_published_values(table, layout, presets=presets) if published else table


def _worth(frame: pd.DataFrame) -> list[str]:
    """Names of layouts that would show more than the iterations table does."""
    ablated = any(info.ablation for info in frame["arm_info"])
    checks = {
        "summary": frame["arm"].nunique() > 1,
        "ablation": ablated,
        "ablation-iterations": ablated,
        "offline": "offline" in set(frame["setting"]),
        "losses": frame.loc[frame["loss"] != "", "loss"].nunique() > 1,
        "reward-models": "rewardbench" in set(frame["benchmark"]),
    }
    return [name for name, found in checks.items() if found]


def embedded(data: Any) -> str:
    """JSON that can stand inside a script element: no character can end it or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(name: str) -> str:
    return files("leaderboards.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
