"""The sections of the report as HTML: each a function of the runs; every text is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.build_table import build_table
from leaderboards.compare import ItemStore
from leaderboards.footnotes import reason
from leaderboards.formats import html as html_format
from leaderboards.layouts import LAYOUTS
from leaderboards.paper import published_model, with_published_values
from leaderboards.plots import style
from leaderboards.runs import Run
from leaderboards.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def header(runs: Sequence[Run]) -> str:
    """What was run: one line of facts a run."""
    rows = []
    for run in runs:
        info = run.info
        git = info.get("git") or {}
        rows.append(
            [
                run.name,
                run.model,
                ", ".join(run.arm_info(arm).title for arm in run.arms if arm != "base"),
                str(info.get("iterations", "")),
                ", ".join(map(str, info.get("seeds") or [])),
                str(info.get("data") or _in_config(info, "data")),
                str(info.get("created", "")),
                str(git.get("commit") or "")[:12] + (" (changed)" if git.get("dirty") else ""),
            ]
        )
    heads = ["Run", "Model", "Arms", "Iterations", "Seeds", "Data", "Created", "Commit"]
    return plain_table(heads, rows)


def _in_config(info: dict[str, Any], name: str) -> Any:
    config = info.get("config")
    return config.get(name, "") if isinstance(config, dict) else ""


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A sortable table of texts and numbers (numbers are right-aligned)."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join("<tr>" + "".join(map(_td, row)) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _td(value: Any) -> str:
    if isinstance(value, float | int) and not isinstance(value, bool):
        shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        return f'<td class="number" data-value="{value}">{shown}</td>'
    text = "" if value is None else str(value)
    kind = ' class="long"' if len(text) > 60 else ""
    shown = re.sub("([/@#])", r"\1<wbr>", escape(text, quote=False))  # ids may break there
    return f"<td{kind}>{shown}</td>"


def findings(table: Table) -> str:
    """The significant changes in words, or that there are none."""
    lines = []
    for group in table.groups:
        for row in group.rows:
            for label, cell in zip(table.columns, row.cells, strict=True):
                if cell.versus_base:
                    how = "better" if cell.versus_base > 0 else "worse"
                    who = " ".join(filter(None, row.labels))
                    lines.append(f"{who} is {how} than base on {label}: {cell.text}.")
    if not lines:
        lines = ["No checkpoint differs from its base by more than chance, after correction."]
    more = f"<li>and {len(lines) - 12} more</li>" if len(lines) > 12 else ""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines[:12]) + more + "</ul>"


def main_table(frame: pd.DataFrame, store: ItemStore) -> Table:
    """The iterations table, with the paper's figures where the paper has the model."""
    layout = LAYOUTS["iterations"]
    table = build_table(frame, layout, store)
    models = [model for model in frame["model"].unique() if published_model(str(model))]
    return with_published_values(table, layout) if models else table


def tables(frame: pd.DataFrame, main: Table, store: ItemStore) -> str:
    """The main table, then every other layout that the runs have something of its own for."""
    parts = [html_format.render(main)]
    for name in _worth(frame):
        try:
            parts.append(html_format.render(build_table(frame, LAYOUTS[name], store)))
        except UserError:
            continue
    return "\n".join(parts)


def _worth(frame: pd.DataFrame) -> list[str]:
    """Names of layouts that would show more than the iterations table does."""
    arms, settings = set(frame["arm"]), set(frame["setting"])
    ablated = any(info.ablation for info in frame["arm_info"])
    checks = {
        "summary": len(arms) > 1,
        "ablation": ablated,
        "ablation-iterations": ablated,
        "offline": "offline" in settings,
        "losses": frame.loc[frame["loss"] != "", "loss"].nunique() > 1,
        "reward-models": "rewardbench" in set(frame["benchmark"]),
    }
    return [name for name, found in checks.items() if found]


def plots(frame: pd.DataFrame, runs: Sequence[Run]) -> str:
    """Every plot that the runs have data for, as inline SVG."""
    from leaderboards import plots as drawn

    wanted: list[tuple[str, Callable[[], Figure]]] = [
        ("Scores by iteration (bands: 95 %)", lambda: drawn.iterations_figure(frame)),
        ("Answer length against win rate (numbers: iteration)", lambda: drawn.length_figure(frame)),
        (
            "Pair accuracy and on-policyness by iteration",
            lambda: drawn.policyness_figure(frame, runs),
        ),
        ("Cost against quality", lambda: drawn.cost_figure(frame, runs)),
        ("Training curves (dashed: generator)", lambda: drawn.curves_figure(runs)),
    ]
    parts = []
    for title, draw in wanted:
        try:
            picture = style.svg(draw(), title)
        except UserError:
            continue
        parts.append(
            f'<figure class="plot">{picture}<figcaption>{escape(title)}</figcaption></figure>'
        )
    return "\n".join(parts) or "<p>There is nothing to plot yet.</p>"


def comparability(frame: pd.DataFrame) -> str:
    """What can't be compared and why: marks, protocols, items, by benchmark."""
    rows = []
    for benchmark, part in frame[frame["category"].fillna("") == ""].groupby(
        "benchmark", sort=True
    ):
        codes = sorted({code for marks in part["marks"] for code in marks.split("|") if code})
        protocols = sorted(part["protocol"].unique())
        why = "; ".join(reason(code) for code in codes) or "nothing stands against it"
        if len(protocols) > 1:
            why += f"; {len(protocols)} protocols, not to be compared with each other"
        bad = {
            name: int(part[name].max())
            for name in ("n_truncated", "n_unparsed", "n_error", "n_missing")
        }
        rows.append(
            [
                str(benchmark),
                int(part["n_expected"].max()),
                *bad.values(),
                why,
                ", ".join(protocols),
                ", ".join(sorted(filter(None, part["judge"].unique()))),
            ]
        )
    heads = ["Benchmark", "Items", "Cut", "Unparsed", "Failed", "Missing", "Against published figures",
             "Protocol", "Judge"]  # fmt: skip
    note = (
        "<p>Counts are the largest over the checkpoints. Greedy decoding is not bitwise stable across "
        "batch shapes, so single items can differ between two runs of the same weights.</p>"
    )
    return plain_table(heads, rows) + note


def judge(runs: Sequence[Run]) -> str:
    """Who judged, and how well: what the run noted of its judge, else the names in its scores."""
    parts = []
    for run in runs:
        found = run.info.get("judge")
        if not (isinstance(found, dict) and found):
            scores = [score for evaluation in run.evaluations for score in evaluation.scores]
            names = sorted({score.judge for score in scores if score.judge})
            found = {"judges": ", ".join(names)} if names else {}
        if found:
            parts.append(f"<h3>{escape(run.name)}</h3>" + definition_list(found))
    return "".join(parts) or "<p>No judge took part.</p>"


def definition_list(facts: dict[str, Any]) -> str:
    """Facts as a list of terms; nested ones as lists within it."""
    lines = []
    for name, value in facts.items():
        shown = definition_list(value) if isinstance(value, dict) else escape(_plain(value))
        lines.append(f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{shown}</dd>")
    return "<dl>" + "".join(lines) + "</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def costs(runs: Sequence[Run]) -> str:
    """Time, tokens, memory and money of every stage, and their sums by kind."""
    sums: dict[str, list[float]] = {}
    rows = []
    for run in runs:
        for stage in run.stages:
            seconds, dollars = _number(stage, "seconds"), _number(stage, "cost_usd")
            tokens, memory = _number(stage, "tokens"), _number(stage, "peak_memory_gb")
            kind = str(stage.get("kind", ""))
            name = f"{run.name}: {stage.get('stage')}" if len(runs) > 1 else str(stage.get("stage"))
            rows.append([name, kind, seconds, int(tokens), memory, dollars])
            entry = sums.setdefault(kind, [0, 0.0, 0.0, 0.0])
            for i, value in enumerate((1, seconds, tokens, dollars)):
                entry[i] += value
    total = [sum(entry[i] for entry in sums.values()) for i in range(4)]
    short = [
        [kind or "other", int(entry[0]), entry[1] / 60, int(entry[2]), entry[3]]
        for kind, entry in (*sums.items(), ("all stages", total))
    ]
    by_kind = plain_table(["Kind", "Stages", "Minutes", "Tokens", "Cost ($)"], short)
    heads = ["Stage", "Kind", "Seconds", "Tokens", "Peak memory (GB)", "Cost ($)"]
    return by_kind + f"<details><summary>Every stage</summary>{plain_table(heads, rows)}</details>"


def _number(stage: dict[str, Any], name: str) -> float:
    value = stage.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def settings(runs: Sequence[Run]) -> str:
    """Resolved configuration, versions, git and seeds of every run."""
    parts = []
    for run in runs:
        versions = run.info.get("versions")
        config = json.dumps(run.info.get("config"), indent=2, ensure_ascii=False)
        parts.append(f"<h3>{escape(run.name)}</h3>")
        if isinstance(versions, dict):
            parts.append(definition_list(versions))
        parts.append(
            f"<details><summary>Configuration</summary><pre>{escape(config)}</pre></details>"
        )
    return "".join(parts)
