"""The contents of the site follow from the lists of links in index pages.

Any `index.md` is plain Markdown, for readers on a code host too. For Sphinx every list item that
begins with a link to a page becomes an entry of a hidden table of contents, under the heading above
it. A page that no list names is in no table: Sphinx warns, and a warning is an error.

Decisions (docs/notes) are many: the front page's lines about them move to notes/index.md.
`changes.md` and `contributing.md` show the files of the repository's root. Other files outside of the
folder have no page: links to them become their names.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ITEM = re.compile(r"^- \[(?P<title>.+?)\]\((?P<page>[\w./-]+)\.md\)", re.M)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<path>[^)\s#]+)(?P<anchor>#[\w-]+)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
ROOT_FILES = {"changes": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}


def toctrees(text: str) -> str:
    """Hidden tables of contents for the list items of an index page."""
    tables = []
    for section in re.split(r"^(?=## )", text, flags=re.M):
        heading = re.match(r"## (.+)", section)
        pages = [m["page"] for m in ITEM.finditer(section)]
        if pages:
            caption = [f":caption: {heading[1]}"] if heading else []
            tables.append("\n".join(["```{toctree}", ":hidden:", *caption, "", *pages, "```"]))
    return "\n\n".join(tables)


def decisions(front: str) -> tuple[str, str]:
    """The front page without its lines about decisions, and these lines as seen from notes/."""
    lines = re.findall(r"^- \[.+?\]\(notes/(?!index\.md).*\n", front, re.M)
    for line in lines:
        front = front.replace(line, "")
    return front, "".join(lines).replace("](notes/", "](")


def relink(text: str, source: Path, base: Path, page: Path) -> str:
    """Links as they are in a file of folder `base`, for the page of that text."""
    pages = {source.parent / file: source / f"{name}.md" for name, file in ROOT_FILES.items()}

    def link(m: re.Match[str]) -> str:
        if re.match(r"\w+:", m["path"]):
            return m[0]
        there = (base / m["path"]).resolve()
        there = pages.get(there, there)
        if not there.is_relative_to(source):
            return m["text"]
        way = posixpath.relpath(there.as_posix(), page.parent.as_posix())
        return f"[{m['text']}]({way}{m['anchor'] or ''})"

    parts = FENCE.split(text)
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))


def read(app: Any, name: str, content: list[str]) -> None:
    source = Path(app.srcdir)
    page = source / f"{name}.md"
    if not page.exists():  # made from docstrings
        return
    file = source.parent / ROOT_FILES[name] if name in ROOT_FILES else page
    text = file.read_text(encoding="utf-8") if name in ROOT_FILES else content[0]
    content[0] = relink(text, source, file.parent, page)
    if name == "index":
        content[0], _ = decisions(content[0])
    if name == "notes/index":
        content[0] += "\n" + decisions((source / "index.md").read_text(encoding="utf-8"))[1]
    if posixpath.basename(name) == "index":
        content[0] += "\n" + toctrees(content[0]) + "\n"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
