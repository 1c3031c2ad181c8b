"""The documentation: its Python code runs, its links lead somewhere, its tables are complete.

Every ```python block of a page runs, in order, in one namespace and one empty folder. Code that
is not to be run is marked ```text or ```toml. A page whose code needs more than the package says so:
<!-- needs: torch onnx -->.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from extras import need

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
MADE_LATER = {"bench/results"}
CODE = [p for p in PAGES if "```python\n" in p.read_text()]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", CODE, ids=name)
def test_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text()
    for modules in re.findall(r"<!-- needs: (.+?) -->", text):
        for module in modules.split():
            need(module)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S):
        line = text[: block.start(1)].count("\n")
        source = "\n" * line + block.group(1)  # so that errors name the line of the page
        exec(compile(source, name(page), "exec"), space)


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.M | re.S)
    return [(name(p), text) for p in PAGES for text in fence.findall(p.read_text())]


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_settings_are_known(page, text):
    settings = pytest.importorskip("sentei.workflow.settings")
    settings.make_config(tomllib.loads(text))


def test_options_exist():
    """Every command and option in a block of shell text is one that `sentei` has."""
    typer = pytest.importorskip("typer")
    app = pytest.importorskip("sentei.cli.app").app
    commands = typer.main.get_command(app).commands
    lines = [(p, x) for p, text in blocks("text") for x in text.split("\n")]
    used = [(p, x.split("sentei ", 1)[1]) for p, x in lines if re.match(r"(\S*/)?sentei \w", x)]
    assert used
    for page, line in used:
        words = re.split(r"  +", line)[0].split()  # what follows two spaces is explanation
        command = commands.get(words[0])
        assert command is not None, f"{page}: sentei {words[0]} is not a command"
        if getattr(command, "commands", None) and len(words) > 1:
            command = command.commands[words[1]]
        known = {o for p in command.params for o in p.opts} | {"--help"}
        for word in words:
            assert not word.startswith("--") or word in known, f"{page}: sentei {words[0]} {word}"


def headings(page: Path) -> set[str]:
    """Anchors as they are made from headings: lower case, spaces to hyphens, punctuation dropped."""
    found = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]+`(?!\])", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), f"{name(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_in_backquotes_exist(page):
    """Files of the tree that a page names are there (what is made later aside)."""
    for path in re.findall(
        r"`((?:csrc|python|tests|tools|docs|bench|cmake)/[\w./-]+)`", page.read_text()
    ):
        assert path in MADE_LATER or (ROOT / path).exists(), f"{name(page)} names {path}"


DOCS = ROOT / "docs"


def test_no_page_is_listed_twice():
    for index in DOCS.rglob("index.md"):
        items = re.findall(r"^- \[.+?\]\(([\w./-]+\.md)\)", index.read_text(), re.M)
        twice = {x for x in items if items.count(x) > 1}
        assert not twice, f"{name(index)} lists {sorted(twice)} twice"


@pytest.mark.parametrize("page", [p for p in PAGES if DOCS in p.parents], ids=name)
def test_every_page_is_in_an_index(page):
    """A list item `- [Title](page.md)` in docs/index.md, or in the index.md of the page's folder.

    The table of contents of the site is made of these items (docs/_ext/pages.py).
    """
    if page == DOCS / "index.md":
        return
    listed = set()
    for index in {DOCS / "index.md", page.parent / "index.md"}:
        if index.exists():
            items = re.findall(r"^- \[.+?\]\(([\w./-]+\.md)\)", index.read_text(), re.M)
            listed |= {(index.parent / path).resolve() for path in items}
    assert page in listed, f"add to docs/index.md: - [Title]({page.relative_to(DOCS)}): a few words"


def test_every_kind_of_error_is_explained():
    page = (ROOT / "docs" / "errors.md").read_text()
    sources = "\n".join(p.read_text() for p in (ROOT / "python" / "sentei").rglob("*.py"))
    kinds = set(re.findall(r"^class (\w+)\(SenteiError\b", sources, re.M))
    raised = {k for k in kinds if f"raise {k}(" in sources}
    assert raised
    missing = [k for k in raised if not re.search(rf"`(?:\w+\.)?{k}`", page)]
    assert not missing, f"docs/errors.md does not explain {missing}"


def test_every_criterion_and_initialiser_is_documented():
    from sentei import init, prune

    scores = (ROOT / "docs" / "methods" / "scores.md").read_text()
    assert not [n for n in prune.CRITERIA if f"`{n}`" not in scores]
    page = (ROOT / "docs" / "methods" / "init.md").read_text()
    assert not [n for n in init.names() if f"`{n}`" not in page]


def test_promises_are_guarded():
    """Every row of docs/promises.md names tests that exist and are not skipped outright."""
    text = (DOCS / "promises.md").read_text()
    rows = re.findall(r"^\| (?!---|promise)(.+?) \| (.+) \|$", text, re.M)
    assert len(rows) > 20
    for promise, guards in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", guards)
        assert named, f"no test guards: {promise}"
        for path, function in named:
            source = (ROOT / path).read_text()
            found = re.search(rf"((?:^@.*\n(?:^ .*\n|^\)\n)*)*)^def {function}\(", source, re.M)
            assert found, f"{path} has no {function}"
            assert "mark.skip(" not in found[1] and "xfail" not in found[1], (
                f"{function} is skipped"
            )


def excerpts() -> list[tuple[str, str, str]]:
    """(page, file, text) of every block that a page says is from a file."""
    mark = re.compile(r"^<!-- from: (\S+) -->\n```\S*\n(.*?)^```$", re.M | re.S)
    return [(name(p), file, text) for p in PAGES for file, text in mark.findall(p.read_text())]


@pytest.mark.parametrize(("page", "file", "text"), excerpts())
def test_excerpts_are_what_the_files_hold(page, file, text):
    assert text in (ROOT / file).read_text(), f"{page}: {file} has changed"


METHODS = [
    p for p in sorted((DOCS / "methods").glob("*.md")) if p.stem not in ("index", "reproduce")
]


@pytest.mark.parametrize("page", METHODS, ids=name)
def test_methods_have_equations_and_a_picture(page):
    text = page.read_text()
    assert re.search(r"^\$\$\n.+?^\$\$$", text, re.M | re.S), "no equation between $$"
    assert re.search(r"^!\[.+?\]\(\S+\.(?:svg|png)\)$", text, re.M), "no picture"
    assert text.count("$$") % 2 == 0
