"""Docstrings of the package are plain text with sections; here they become reStructuredText.

A star, a bar or an underscore means itself; `words` in backquotes are code; a paragraph that is a
formula keeps its lines; `name: text` about a field of a class goes where arguments go, and several
arguments or errors on one line become several entries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
from typing import Any

from sphinx.ext import autosummary

SECTIONS = "Args|Returns|Yields|Raises|Cost|Source|Example|Examples|Note|Input, output"
HEAD = re.compile(rf"^({SECTIONS}):")
FORMULA = re.compile(r"(^|\s)(=|<-|\+=|-=|:=|<=|>=)\s")
# `name, name (type): text`; where the type says it all, `name (type).`
TYPE = r" \([^()]*(?:\([^()]*\)[^()]*)*\)"
FIELD = re.compile(rf"(\w+)((?:, \w+)*)(?:(?:{TYPE})?: |{TYPE}(?:\.|;|$))")
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[[^]]*\], ~?numpy\.dtype\[~?(?:\w+\.)*(\w+)\]\]")
ARRAY_LIKE = re.compile(r"~?sentei\._core\.Tensor \| NDArray\[Any\]")
# Where these are defined it says how to write one of one's own; elsewhere they are an inner matter.
HOOKS = {"emit": {"Layer", "Optimizer", "Loss", "Regularizer"}}


def escape(line: str) -> str:
    """Mark-up of reStructuredText taken literally, except code in backquotes."""
    parts = re.split(r"(``.+?``|`[^`]+`)", line)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"``{part.strip('`')}``"
        else:
            parts[i] = re.sub(r"([*|\\`]|(?<=\w)_(?!\w))", r"\\\1", part)
    return "".join(parts)


def paragraphs(lines: list[str]) -> list[list[str]]:
    """Runs of lines without an empty one; the head of a section begins another."""
    found: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or (HEAD.match(line) and found[-1]):
            found.append([])
        if line.strip():
            found[-1].append(line.rstrip())
    return [p for p in found if p]


def is_formula(lines: list[str]) -> bool:
    """Lines with relations, none of which is the end of a sentence."""
    return (
        all(not x.rstrip().endswith((".", ":", ";")) for x in lines)
        and any(FORMULA.search(x) for x in lines)
        and not any(x.lstrip().startswith("- ") for x in lines)
    )


def arguments(obj: Any) -> set[str]:
    """Fields and arguments."""
    names = {f.name for f in dataclasses.fields(obj)} if dataclasses.is_dataclass(obj) else set()
    with contextlib.suppress(TypeError, ValueError):
        names |= set(inspect.signature(obj).parameters)
    return names


def entries(lines: list[str], known: Any) -> list[str]:
    """Lines of a section: one for each `name: text`, what goes on behind it further in."""
    out: list[str] = []
    for line in lines:
        text = line.strip()
        starts = [m.end() for m in re.finditer(r"(?<=[.;]) ", text)]
        places = [0, *(i for i in starts if (m := FIELD.match(text, i)) and known(m[1]))]
        for start, end in zip(places, [*places[1:], None], strict=True):
            piece = text[start:end].strip()
            first = FIELD.match(piece)
            new = not out or (first is not None and known(first[1]))
            out.append(("    " if new else "        ") + escape(piece))
    return out


def section(lines: list[str], names: set[str]) -> list[str]:
    """A section with its head; what stands behind the head belongs to it."""
    head = HEAD.match(lines[0])
    assert head is not None
    title, behind = head[1], lines[0][head.end() :].strip()
    body = [behind] if behind else []
    inside = [x for x in lines[1:] if behind or x[:1].isspace()]
    after = lines[1 + len(inside) :]
    body += inside
    if title == "Input, output":
        out = ["", escape(" ".join([lines[0], *(x.strip() for x in inside)]))]
    elif title == "Args":
        out = ["Args:", *entries(body, names.__contains__)]
    elif title == "Raises":
        out = ["Raises:", *entries(body, lambda name: name.endswith(("Error", "Interrupt")))]
    else:
        out = [f"{title}:", *("    " + escape(x.strip()) for x in body)]
    if after:
        out += ["", escape(" ".join(x.strip() for x in after))]
    return [*out, ""]


def convert(lines: list[str], names: set[str]) -> list[str]:
    """reStructuredText (for napoleon) of a docstring; names: what counts as an argument."""
    out: list[str] = []
    last: list[str] = []
    for number, paragraph in enumerate(paragraphs(lines)):
        found = FIELD.match(paragraph[0])
        if HEAD.match(paragraph[0]):
            last += section(paragraph, names)
        elif last and paragraph[0][:1].isspace():
            last += ["", *("    " + escape(x.strip()) for x in paragraph), ""]
        elif found and {found[1], *re.findall(r"\w+", found[2])} & names:
            last += ["Args:", *entries(paragraph, names.__contains__), ""]
        elif number and is_formula(paragraph):
            out += [".. code-block:: text", "", *("    " + x for x in paragraph), ""]
        elif paragraph[0].lstrip().startswith("- "):
            out += [*map(escape, paragraph), ""]
        else:
            out += [*(escape(x.strip()) for x in paragraph), ""]
    return out + last


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = convert(list(lines), arguments(obj) if callable(obj) else set())


def sign(app: Any, what: str, name: str, obj: Any, options: Any, args: str, back: str) -> Any:
    """Array types by their short names."""

    def short(text: str | None) -> str | None:
        return text and ARRAY_LIKE.sub("ArrayLike", ARRAY.sub(r"NDArray[\1]", text))

    return short(args), short(back)


def summary(doc: list[str], document: Any) -> str:
    """The first paragraph: it is one line by convention, however many full stops it has."""
    found = paragraphs(doc)
    return " ".join(x.strip() for x in found[0]) if found else ""


def skip(app: Any, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    owner = getattr(obj, "__qualname__", "").rpartition(".")[0]
    return True if name in HOOKS and owner not in HOOKS[name] else None


def setup(app: Any) -> dict[str, bool]:
    autosummary.extract_summary = summary
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
