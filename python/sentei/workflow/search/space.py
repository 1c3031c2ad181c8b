"""What a search tries: settings with the values they may take."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentei.suggest import unknown
from sentei.workflow.config import Config
from sentei.workflow.settings import ConfigError, all_keys, make_config, put

__all__ = ["Choice", "Parameter", "Range", "read_space", "values_of", "with_values"]

Value = bool | int | float | str
_RANGE = re.compile(
    r"(?:(log|int|logint):)?([^.,:/]+(?:\.\d*)?(?:e[+-]?\d+)?)\.\.([^,:/]+)(?:/(\d+))?", re.I
)
_FIXED = ("prune.", "run.")  # blocks that no training depends on, but for run.seed


@dataclass(frozen=True)
class Choice:
    """One of these values."""

    values: tuple[Value, ...]

    def points(self) -> tuple[Value, ...]:
        """All values, for a grid."""
        return self.values

    def ends(self) -> tuple[Value, ...]:
        """Values that must be allowed for all to be."""
        return self.values


@dataclass(frozen=True)
class Range:
    """From low to high, both included; log: evenly over the logarithm; whole: whole numbers only.

    count: points of it in a grid; None: it cannot be part of one.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    count: int | None = None

    def points(self) -> tuple[Value, ...] | None:
        """Evenly spaced values, for a grid."""
        if self.count is None:
            return None
        if self.log:
            found = np.geomspace(self.low, self.high, self.count).tolist()
        else:
            found = np.linspace(self.low, self.high, self.count).tolist()
        found[-1] = self.high
        return tuple(dict.fromkeys(round(v) for v in found)) if self.whole else tuple(found)

    def ends(self) -> tuple[Value, ...]:
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


Parameter = Choice | Range


def read_space(
    pairs: Iterable[str], table: Mapping[str, Any] | None = None
) -> dict[str, Parameter]:
    """Read "train.lr=log:1e-4..1e-1", "train.batch=16,32,64" and a table of such values.

    A range is low..high, with log:, int: or logint: before it and /count behind it for a grid; what
    has commas, or is a list in the table, is a choice.

    Raises:
        ConfigError: an unknown setting, the same one twice, or values that cannot be read.
    """
    found: dict[str, Parameter] = {}
    given = [(k, v) for k, v in _flat(table or {})]
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip() or not text.strip():
            raise ConfigError(f"--param must have the form block.key=values, got {pair!r:.80}")
        given.append((key.strip(), text.strip()))
    known = all_keys()
    for key, value in given:
        if key not in known:
            raise ConfigError(unknown("search: param", key, known))
        if key.startswith(_FIXED) and key != "run.seed":
            raise ConfigError(
                f"search: param must be a setting of model, data or train, or run.seed, got {key!r}"
            )
        if key in found:
            raise ConfigError(f"search: every param must be given once, got {key!r} twice")
        found[key] = _read(key, value)
    if not found:
        raise ConfigError(
            "search: at least one param must be given, e.g. --param train.lr=log:1e-4..1e-1"
        )
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for k, v in table.items():
        if isinstance(v, Mapping):
            yield from _flat(v, f"{prefix}{k}.")
        else:
            yield prefix + k, v


def _read(key: str, value: Any) -> Parameter:
    if isinstance(value, list):
        return _choice(key, value)
    if not isinstance(value, str):
        return _choice(key, [value])
    if ".." in value:
        return _range(key, value)
    return _choice(key, [_scalar(part.strip()) for part in value.split(",")])


def _scalar(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return read["value"] if set(read) == {"value"} else text


def _choice(key: str, values: Sequence[Any]) -> Choice:
    for v in values:
        if not isinstance(v, bool | int | float | str) or v == "":
            raise ConfigError(
                f"search: {key} must be chosen from numbers, words or true and false, got {v!r:.60}"
            )
    if len(set(map(repr, values))) != len(values) or not values:
        raise ConfigError(
            f"search: values of {key} must differ from one another, got {list(values)}"
        )
    return Choice(tuple(values))


def _range(key: str, text: str) -> Range:
    match = _RANGE.fullmatch(text)
    numbers = [_scalar(x) for x in match.groups()[1:3]] if match else []
    if match is None or not all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in numbers
    ):
        raise ConfigError(
            f"search: {key} must be low..high, log:low..high, int:low..high or values with commas, "
            f"got {text!r:.60}"
        )
    kind, count = (match.group(1) or "").lower(), match.group(4)
    low, high = numbers
    whole = kind in ("int", "logint")
    if whole and not all(isinstance(x, int) for x in numbers):
        raise ConfigError(f"search: {key} must have whole ends with {kind}:, got {text!r:.60}")
    if not low < high:
        raise ConfigError(
            f"search: {key} must go from a lower to a higher number, got {text!r:.60}"
        )
    log = kind in ("log", "logint")
    if log and low <= 0:
        raise ConfigError(f"search: {key} must be above 0 with {kind}:, got {text!r:.60}")
    if count is not None and not 2 <= int(count) <= 1000:
        raise ConfigError(f"search: {key} must have 2 to 1000 points behind /, got {count}")
    return Range(float(low), float(high), log, whole, None if count is None else int(count))


def with_values(base: Mapping[str, Any], values: Mapping[str, Value]) -> Config:
    """The settings of one trial: nested tables with some dotted keys replaced."""
    data: dict[str, Any] = json.loads(json.dumps(base))
    for key, value in values.items():
        put(data, key, value)
    return make_config(data)


def values_of(base: Mapping[str, Any], space: Mapping[str, Parameter]) -> None:
    """Check that every value, and both ends of every range, is one that the setting takes.

    Raises:
        ConfigError: names the setting and what it takes.
    """
    for key, parameter in space.items():
        for value in parameter.ends():
            with_values(base, {key: value})
