"""Published tables, run again: arms times seeds, their figures beside ours."""

from sentei.workflow.reproduce.engine import Reproduction, Result, plan_table, reproduce
from sentei.workflow.reproduce.listing import Entry, entries
from sentei.workflow.reproduce.report import check_record, lines_of, to_json, write_record
from sentei.workflow.reproduce.summary import orders, rows
from sentei.workflow.reproduce.tables import TABLES, table

__all__ = [
    "TABLES",
    "Entry",
    "Reproduction",
    "Result",
    "check_record",
    "entries",
    "lines_of",
    "orders",
    "plan_table",
    "reproduce",
    "rows",
    "table",
    "to_json",
    "write_record",
]
