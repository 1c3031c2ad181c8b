"""Checks of a network: its gradients, whether it can learn at all, what its units look for."""

from sentei.workflow.check.gradients import GradientCheck, GradientRow, check_gradients
from sentei.workflow.check.overfit import Overfit, check_overfit, handful
from sentei.workflow.check.picture import write_units
from sentei.workflow.check.responses import (
    Responses,
    check_responses,
    criterion,
    write_responses,
)
from sentei.workflow.check.units import Box, Found, Units, check_units, field_of
from sentei.workflow.check.variance import variance_verdict, write_variance

__all__ = [
    "Box",
    "Found",
    "GradientCheck",
    "GradientRow",
    "Overfit",
    "Responses",
    "Units",
    "check_gradients",
    "check_overfit",
    "check_responses",
    "check_units",
    "criterion",
    "field_of",
    "handful",
    "variance_verdict",
    "write_responses",
    "write_units",
    "write_variance",
]
