"""Criteria compared at the same targets and training budget, over seeds, with their baselines."""

from sentei.workflow.compare.plan import BASELINES, Comparison, Trial, plan_compare, uniform_graph
from sentei.workflow.compare.report import rows_of, to_json, write_results
from sentei.workflow.compare.study import Cell, CompareResult, resume_compare, run_compare
from sentei.workflow.compare.trial import Outcome

__all__ = [
    "BASELINES",
    "Cell",
    "CompareResult",
    "Comparison",
    "Outcome",
    "Trial",
    "plan_compare",
    "resume_compare",
    "rows_of",
    "run_compare",
    "to_json",
    "uniform_graph",
    "write_results",
]
