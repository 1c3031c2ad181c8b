"""The report of a run: report.json, a self-contained report.html, and a table for the terminal."""

from .history import read_events, summarise_events
from .html import render_html
from .schema import Report
from .terminal import summary_table, summary_text
from .verdict import Verdict, judge
from .write import write_report

__all__ = [
    "Report",
    "Verdict",
    "judge",
    "read_events",
    "render_html",
    "summarise_events",
    "summary_table",
    "summary_text",
    "write_report",
]
