"""Assembles the report: one HTML file with its style, script and data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from groundwork.files import write_atomic
from leaderboards.compare import ItemStore
from leaderboards.report import sections
from leaderboards.report.items import collect
from leaderboards.runs import Run, read_runs
from leaderboards.score_frame import frame_of


def write_report(runs: Sequence[Path | str], out: Path, title: str | None = None) -> Path:
    """Write the report of ``runs`` to the file ``out`` (HTML, self-contained, under 5 MB).

    Raises UserError for runs that can't be read or a file that can't be written.
    """
    write_atomic(out, report_html(read_runs(runs)))
    return out


def report_html(runs: Sequence[Run], title: str | None = None) -> str:
    """The page as text."""
    frame = frame_of(runs)
    store = ItemStore()
    main = sections.main_table(frame, store)
    items, remarks = collect(runs)
    parts = [
        ("overview", "Overview", sections.header(runs) + sections.findings(main)),
        ("tables", "Tables", sections.tables(frame, main, store)),
        ("plots", "Plots", sections.plots(frame, runs)),
        ("items", "Items", _browser(remarks)),
        ("comparability", "What can be compared", sections.comparability(frame)),
        ("judge", "Judge", sections.judge(runs)),
        ("costs", "Time and cost", sections.costs(runs)),
        ("settings", "Settings and versions", sections.settings(runs)),
    ]
    heading = title or "sso-bench: " + ", ".join(run.name for run in runs)
    return _page(heading, parts, items)


def _page(heading: str, parts: Sequence[tuple[str, str, str]], items: dict[str, Any]) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts)
    body = "\n".join(
        f'<section id="{name}"><h2>{escape(title)}</h2>\n{content}\n</section>'
        for name, title, content in parts
    )
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(heading)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(heading)}</h1><nav>{links}</nav>"
        '<button id="theme" type="button">Light or dark</button></header>\n'
        f"<main>\n{body}\n</main>\n"
        f'<script type="application/json" id="data">{embedded(items)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


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


def _browser(remarks: Sequence[str]) -> str:
    notes = "".join(f"<p>{escape(remark)}</p>" for remark in remarks)
    return (
        '<div class="browser" id="browser"><form class="controls">'
        '<label>Benchmark <select id="benchmark"></select></label>'
        '<label>Left <select id="left"></select></label>'
        '<label>Right <select id="right"></select></label>'
        '<label>Show <select id="filter"><option value="all">all items</option>'
        '<option value="changed">that differ</option><option value="better">right is better</option>'
        '<option value="worse">right is worse</option>'
        '<option value="flagged">cut, unparsed or failed</option></select></label>'
        '<label>Search <input id="search" type="search" placeholder="text of prompt or answers"></label>'
        '<output id="count"></output></form>'
        '<div class="panes"><ol id="list"></ol><article id="detail" aria-live="polite"></article></div>'
        f"</div><noscript><p>The item browser needs JavaScript.</p></noscript>{notes}"
    )
