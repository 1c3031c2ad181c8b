"""Initial weights: Henmi and Kato's rule for whole CNNs, Kaiming, Xavier, Glorot, and a probe."""

from sentei.init.connections import LayerVariance, Stage, connections, taps, variances
from sentei.init.constants import gamma_average, gamma_max, tau_average, tau_max, tau_max_plain
from sentei.init.probe import ProbeRow, probe
from sentei.init.schemes import (
    Draw,
    Scheme,
    get,
    glorot,
    henmi_kato,
    initialise,
    kaiming,
    names,
    normal,
    uniform,
    xavier,
)

__all__ = [
    "Draw",
    "LayerVariance",
    "ProbeRow",
    "Scheme",
    "Stage",
    "connections",
    "gamma_average",
    "gamma_max",
    "get",
    "glorot",
    "henmi_kato",
    "initialise",
    "kaiming",
    "names",
    "normal",
    "probe",
    "taps",
    "tau_average",
    "tau_max",
    "tau_max_plain",
    "uniform",
    "variances",
    "xavier",
]
