"""Plan (the node list with addresses) and Runner (owns the memory, runs the plan)."""

from sentei.run.plan import Plan, Step, make_plan
from sentei.run.runner import Runner

__all__ = ["Plan", "Runner", "Step", "make_plan"]
