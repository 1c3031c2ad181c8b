#!/usr/bin/env python3
"""Look through a built site: usage: check_site.py FOLDER

Exit code 1 when a page loads something from another server, when a link or picture inside the site
leads nowhere, or when the site is larger than it should be.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

MOST_BYTES = 20 << 20
# What a browser fetches by itself when it shows a page; a link it only follows when told to.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Anchors, links and loaded files of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        target = values.get(LOADED.get(tag, ""))
        if target:
            self.loaded.append(target)


def faults(folder: Path) -> list[str]:
    """One line for everything that is wrong."""
    pages = {p: Page(p.read_text(encoding="utf-8")) for p in sorted(folder.rglob("*.html"))}
    found = [] if pages else [f"{folder}: there is no page"]
    for path, page in pages.items():
        name = path.relative_to(folder)
        for target in page.loaded:
            if "//" in target.split("?")[0]:
                found.append(f"{name} loads {target}")
        for target in [*page.links, *page.loaded]:
            if "//" in target or target.startswith(("mailto:", "data:")):
                continue
            file, anchor = urldefrag(unquote(target))
            there = (path.parent / file.split("?")[0]).resolve() if file else path
            if not there.exists():
                found.append(f"{name} leads to {target}, which is not there")
            elif anchor and there in pages and anchor not in pages[there].anchors:
                found.append(f"{name} leads to {target}: no such place on that page")
    for sheet in folder.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        if "url(http" in text.replace('"', "").replace("'", "") or "@import" in text:
            found.append(f"{sheet.relative_to(folder)} loads from elsewhere")
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    if size > MOST_BYTES:
        found.append(f"the site must have at most {MOST_BYTES >> 20} MiB, got {size / 2**20:.1f}")
    print(f"{len(pages)} pages, {size / 2**20:.1f} MiB")
    return found


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = faults(Path(sys.argv[1]).resolve())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
