"""One self-contained HTML page of any set of runs: tables, plots, items, settings, costs.

``write_report`` reads run folders and writes the page. Nothing is loaded from a network; model
output is data only (escaped, or set as text), and a content-security policy lets no other script
than the page's own run.
"""

from __future__ import annotations

from leaderboards.report.page import report_html, write_report

__all__ = ["report_html", "write_report"]
