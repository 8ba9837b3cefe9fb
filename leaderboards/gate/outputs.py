"""What the gate leaves behind: JUnit XML, a Markdown summary, JSON, lines for the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from groundwork.errors import UserError
from leaderboards.formats.markdown import escape as escape_markdown
from leaderboards.gate.result import GateCheck, GateResult, effective

_ICONS = {"pass": "✅", "fail": "❌", "cannot tell": "❔", "missing": "🚫"}
SHOWN_FLIPS = 10


def gate_text(result: GateResult) -> str:
    """One line per benchmark, the flipped items, and the verdict."""
    heads = [
        "",
        "benchmark",
        "before",
        "after",
        "change",
        "loss up to",
        "matters from",
        "tier",
        "why",
    ]
    rows = [heads]
    rows += [
        [check.status, _name(check), *_figures(check), check.tier, check.reason]
        for check in result.checks
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines += [line for check in result.checks for line in _flips(check)]
    return "\n".join([*lines, *result.remarks, f"gate: {result.status}"]) + "\n"


def _flips(check: GateCheck) -> list[str]:
    """The items that changed from right to wrong and back, the first few by name."""
    lines = []
    for items, how in (
        (check.lost, "right before, wrong now"),
        (check.gained, "wrong before, right now"),
    ):
        if items:
            more = f" and {len(items) - SHOWN_FLIPS} more" if len(items) > SHOWN_FLIPS else ""
            shown = ", ".join(items[:SHOWN_FLIPS])
            lines.append(f"{_name(check)}: {len(items)} {how}: {shown}{more}")
    return lines


def to_markdown(result: GateResult) -> str:
    """A summary for a pull request or a job page."""
    lines = [
        f"### {_ICONS[result.status]} Evaluation gate: {result.status}",
        "",
        f"{escape_markdown(result.run)} against {escape_markdown(result.baseline)}",
        "",
        "| | benchmark | before | after | change | loss up to (95 %) | matters from | tier | why |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for check in result.checks:
        cells = [_ICONS[check.status], _name(check), *_figures(check), check.tier, check.reason]
        lines.append("| " + " | ".join(map(escape_markdown, cells)) + " |")
    flips = [line for check in result.checks for line in _flips(check)]
    if flips:
        listed = "\n".join(f"- {escape_markdown(line)}" for line in flips)
        lines += ["", f"<details><summary>Flipped items</summary>\n\n{listed}\n\n</details>"]
    lines += ["", *map(escape_markdown, result.remarks)]
    lines.append(
        "A benchmark passes when a loss as large as matters is ruled out, and fails when it does not "
        "pass and a one-sided test, corrected over all benchmarks, finds a loss. Critical benchmarks "
        "decide; supporting ones only fail the gate; advisory ones are only reported."
    )
    return "\n".join(lines) + "\n"


def to_junit(result: GateResult) -> str:
    """JUnit XML: one test case per benchmark; what is only reported is skipped."""
    cases = [_case(check, effective(check, result.policy)) for check in result.checks]
    failed = sum("<failure" in case for case in cases)
    skipped = sum("<skipped" in case for case in cases)
    head = f'tests="{len(cases)}" failures="{failed}" skipped="{skipped}" errors="0"'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites><testsuite name="sso-bench check" {head}>\n'
        + "\n".join(cases)
        + "\n</testsuite></testsuites>\n"
    )


def write_outputs(
    result: GateResult,
    *,
    junit: Path | None = None,
    summary: Path | None = None,
    json: Path | None = None,
) -> list[Path]:
    """Write the given files, and append the summary to $GITHUB_STEP_SUMMARY where it is set.

    Returns the paths written.

    Raises:
        UserError: a file that can't be written.
    """
    wanted = [(junit, to_junit(result)), (summary, to_markdown(result)), (json, result.to_json())]
    written = []
    for path, text in wanted:
        if path is not None:
            _write(path, text, "w")
            written.append(path)
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        _write(Path(step), to_markdown(result), "a")
        written.append(Path(step))
    return written


def _write(path: Path, text: str, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror}") from None


def _name(check: GateCheck) -> str:
    point = "" if check.arm == "base" else f" ({check.arm} {check.iteration})"
    return check.benchmark + point


def _figures(check: GateCheck) -> list[str]:
    figures = [check.before, check.after, check.difference, check.largest_loss]
    texts = ["-" if figure is None else f"{_rounded(figure):.2f}" for figure in figures]
    if check.difference is not None:
        texts[2] = f"{_rounded(check.difference):+.2f}"
    return [*texts, f"{check.minimum_effect:g}"]


def _rounded(figure: float) -> float:
    """Two decimals, and no minus before a zero."""
    return round(figure, 2) + 0.0


def _case(check: GateCheck, counts_as: str) -> str:
    name, reason = quoteattr(_name(check)), quoteattr(_printable(check.reason))
    figures = dict(zip(("before", "after", "change", "loss_up_to", "matters_from"), _figures(check), strict=True))  # fmt: skip
    details = escape(", ".join(f"{key} {value}" for key, value in figures.items()))
    flips = escape(_printable("".join(f"\n{line}" for line in _flips(check))))
    inner = f"<system-out>{details}{flips}</system-out>"
    if counts_as == "fail":
        inner = f"<failure message={reason}>{details}{flips}</failure>"
    elif check.status != "pass":
        inner = f"<skipped message={reason}/>"
    return f'<testcase classname="sso-bench.check" name={name}>{inner}</testcase>'


def _printable(text: str) -> str:
    """Text without the control characters that XML can't hold."""
    return "".join(character for character in text if character >= " " or character in "\t\n")
