"""sentei check: one file per command."""

from sentei.cli.check.gradients import gradients
from sentei.cli.check.overfit import overfit
from sentei.cli.check.responses import responses
from sentei.cli.check.units import units
from sentei.cli.check.variance import variance

__all__ = ["gradients", "overfit", "responses", "units", "variance"]
