"""Put a Config together from a file, key=value pairs and flags; one sentence for every mistake."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sentei.errors import SenteiError
from sentei.workflow.config import Config

__all__ = ["ConfigError", "dump_toml", "load_config", "make_config", "parse_pair", "read_toml"]

_LARGEST = 1 << 20
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
    type(None): "nothing",
}

_WORDS = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}


class ConfigError(SenteiError, ValueError):
    """A setting is unknown or cannot be used."""


def load_config(
    file: str | os.PathLike[str] | None = None,
    pairs: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Make the settings of a run: flags go before pairs, pairs before the file, the file before base.

    Args:
        file: a TOML file. pairs: "train.lr=0.1". flags: dotted key to value; None: not given.
        base: nested tables to start from in place of the defaults.
    Raises:
        ConfigError: unknown key (with the nearest), wrong type, not TOML. FileNotFoundError.
    """
    data: dict[str, Any] = {}
    merge(data, base or {})
    if file is not None:
        merge(data, read_toml(file))
    for pair in pairs:
        put(data, *parse_pair(pair))
    for key, value in (flags or {}).items():
        if value is not None:
            put(data, key, value)
    return make_config(data)


def read_toml(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file of at most 1 MiB; ConfigError names the file and the line."""
    path = Path(file)
    if path.is_dir():
        raise ConfigError(f"config: {path} must be a TOML file, got a folder")
    with path.open("rb") as stream:
        raw = stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ConfigError(f"config: {path} must be at most {_LARGEST} bytes")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ConfigError(f"config: {path} must be TOML, got: {e}") from None


def parse_pair(pair: str) -> tuple[str, Any]:
    """Read "a.b=value": the value as TOML, or as text when it is no TOML value."""
    key, sign, text = pair.partition("=")
    key, text = key.strip(), text.strip()
    if not sign or not key or not all(key.split(".")):
        raise ConfigError(f"--set must have the form block.key=value, got {pair!r:.80}")
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, text
    return key, read["value"] if set(read) == {"value"} else text


def merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Lay nested tables over others."""
    for k, v in new.items():
        if isinstance(v, Mapping) and isinstance(into.get(k), dict):
            merge(into[k], v)
        else:
            into[k] = dict(v) if isinstance(v, Mapping) else v


def put(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key."""
    *tables, last = key.split(".")
    for name in tables:
        below = data.setdefault(name, {})
        if not isinstance(below, dict):
            raise ConfigError(f"config: {name} must be a table to hold {key}, got {below!r:.60}")
        data = below
    data[last] = value


def make_config(data: Mapping[str, Any]) -> Config:
    """Check nested tables; ConfigError with dotted path, what was expected and what was given."""
    try:
        return Config.model_validate(dict(data))
    except ValidationError as e:
        raise ConfigError(_explain(e)) from None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = [x for x in first["loc"] if isinstance(x, int) or "[" not in x]
    if first["type"] == "extra_forbidden":
        return _unknown_key([str(x) for x in path])
    at = _schema_path(path)
    message = _expected(first)
    more = len({_schema_path(p["loc"]) for p in problems}) - 1
    rest = f" (and {more} more)" if more > 0 else ""
    return f"config: {at} {message}{rest}"


def _schema_path(loc: Iterable[int | str]) -> str:
    """Dotted path of a setting, without the branches of a union that pydantic puts behind it."""
    block: type[BaseModel] | None = Config
    parts: list[str] = []
    for x in loc:
        if isinstance(x, int):
            parts[-1:] = [f"{parts[-1]}[{x}]" if parts else f"[{x}]"]
        elif block is None:
            continue
        elif x in block.model_fields:
            parts.append(x)
            block = _block_of(block, x)
    return ".".join(parts)


def _block_of(block: type[BaseModel], name: str) -> type[BaseModel] | None:
    kind = block.model_fields[name].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _unknown_key(path: list[str]) -> str:
    block: type[BaseModel] | None = Config
    for x in path[:-1]:
        block = _block_of(block, x) if block is not None and x in block.model_fields else None
    here = list(block.model_fields) if block is not None else []
    prefix = "".join(f"{x}." for x in path[:-1])
    near = [prefix + k for k in difflib.get_close_matches(path[-1], here, 1, 0.6)]
    if not near:  # right name, wrong block
        near = [k for k in all_keys() if k.rpartition(".")[2] == path[-1]][:1]
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(here)}"
    return f"config: there is no setting {prefix + path[-1]!r} ({hint})"


def all_keys(block: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of all settings."""
    found = []
    for name in block.model_fields:
        below = _block_of(block, name)
        found += [prefix + name] if below is None else all_keys(below, f"{prefix}{name}.")
    return found


def _expected(problem: Mapping[str, Any]) -> str:
    value, context = problem["input"], problem.get("ctx", {})
    kind = _KINDS.get(type(value), type(value).__name__)
    shown = repr(value) if not isinstance(value, dict | list) else ""
    if problem["type"] in _WORDS:
        text = _WORDS[problem["type"]].format(**context)
    else:
        text = str(problem["msg"])
        text = (text[:1].lower() + text[1:]).removeprefix("input should be ")
    if isinstance(value, list) and "actual_length" in context:
        shown = f"{context['actual_length']} of them"
    return f"must be {text}, got {kind}" + (f" ({shown:.60})" if shown else "")


# -- writing -----------------------------------------------------------------------------------
def dump_toml(config: Config) -> str:
    """Write all settings as TOML that read_toml reads back; settings of None are left out."""
    lines: list[str] = []
    _table(config.model_dump(exclude_none=True), "", lines)
    return "\n".join(lines).strip() + "\n"


def _table(data: Mapping[str, Any], path: str, lines: list[str]) -> None:
    plain = {k: v for k, v in data.items() if not isinstance(v, Mapping)}
    if path and (plain or not data):
        lines += ["", f"[{path}]"]
    lines += [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for k, v in data.items():
        if isinstance(v, Mapping):
            _table(v, f"{path}.{_key(k)}" if path else _key(k), lines)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    # a JSON string is a TOML basic string, but for DEL, which TOML forbids
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, float):
        return repr(value)
    return str(value)
