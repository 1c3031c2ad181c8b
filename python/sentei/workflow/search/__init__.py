"""Random and grid search over settings, in parallel processes, resumable; needs the extra `search`."""

from sentei.workflow.search.report import rows_of, to_json, write_results
from sentei.workflow.search.space import Choice, Range, read_space
from sentei.workflow.search.study import (
    Search,
    SearchResult,
    Trial,
    plan_search,
    resume_search,
    run_search,
)

__all__ = [
    "Choice",
    "Range",
    "Search",
    "SearchResult",
    "Trial",
    "plan_search",
    "read_space",
    "resume_search",
    "rows_of",
    "run_search",
    "to_json",
    "write_results",
]
