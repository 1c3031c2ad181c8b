"""The site made of docs/: contents from lists of links, plain docstrings, a check of what was built."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from extras import need

ROOT = Path(__file__).resolve().parents[1]


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return module("docs/_ext/pages.py")


@pytest.fixture(scope="module")
def docstrings() -> ModuleType:
    need("sphinx")
    return module("docs/_ext/docstrings.py")


def test_contents_follow_from_the_lists(pages):
    text = "# T\n\n- [A](a.md): words, [no](b.md)\n\n## How to\n\n- [C](x/c.md)\n- no link\n"
    assert pages.toctrees(text) == (
        "```{toctree}\n:hidden:\n\na\n```\n\n```{toctree}\n:hidden:\n:caption: How to\n\nx/c\n```"
    )


def test_decisions_leave_the_front_page(pages):
    front, lines = pages.decisions("- [All](notes/index.md)\n- [One](notes/1.md)\n- [C](c.md)\n")
    assert front == "- [All](notes/index.md)\n- [C](c.md)\n"
    assert lines == "- [One](1.md)\n"


def test_links_out_of_the_folder(pages, tmp_path):
    docs = tmp_path / "docs"
    text = "[c](../CHANGELOG.md) [p](../python/a.py) [i](how-to/x.md#part) ![f](../f.png) [w](http://e.org/)\n```text\n[p](../python/a.py)\n```\n"
    got = pages.relink(text, docs, docs, docs / "a.md")
    assert got == (
        "[c](changes.md) p [i](how-to/x.md#part) ![f](../f.png) [w](http://e.org/)\n"
        "```text\n[p](../python/a.py)\n```\n"
    )
    root = pages.relink("[d](docs/how-to/x.md)", docs, tmp_path, docs / "changes.md")
    assert root == "[d](how-to/x.md)"


def test_docstrings_are_taken_literally(docstrings):
    lines = [
        "Do it with *stars*, |bars| and x_ and `code`.",
        "",
        "y = a * b",
        "",
        "Args:",
        "    a (Tensor, (N, C)). b (int): how many. Not c: a word.",
        "Raises:",
        "    ShapeError: wrong. DTypeError: not float32.",
        "Source: T eq. 1.",
    ]
    assert docstrings.convert(lines, {"a", "b"}) == [
        r"Do it with \*stars\*, \|bars\| and x\_ and ``code``.",
        "",
        ".. code-block:: text",
        "",
        "    y = a * b",
        "",
        "Args:",
        "    a (Tensor, (N, C)).",
        "    b (int): how many. Not c: a word.",
        "",
        "Raises:",
        "    ShapeError: wrong.",
        "    DTypeError: not float32.",
        "",
        "Source:",
        "    T eq. 1.",
        "",
    ]


def test_fields_of_a_class_are_arguments(docstrings):
    got = docstrings.convert(
        ["Settings.", "", "lr: size. l2, wd: of decay", "in the loss."], {"lr", "l2", "wd"}
    )
    assert got[:4] == ["Settings.", "", "Args:", "    lr: size."]
    assert got[4:] == ["    l2, wd: of decay", "        in the loss.", ""]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<a href="gone.html">x</a>', "gone.html, which is not there"),
        ('<a href="#no">x</a>', "no such place"),
        ('<img src="no.png">', "no.png, which is not there"),
        ('<a id="here" href="#here">x</a><a href="https://example.org/">y</a>', ""),
    ],
)
def test_faults_of_a_site_are_found(text, fault, tmp_path):
    (tmp_path / "a.html").write_text(f"<html><body>{text}</body></html>")
    script = [sys.executable, str(ROOT / "tools" / "check_site.py"), str(tmp_path)]
    got = subprocess.run(script, capture_output=True, text=True, check=False)
    assert got.returncode == (1 if fault else 0), got.stdout
    assert fault in got.stdout


def test_empty_site_is_a_fault(tmp_path):
    assert module("tools/check_site.py").faults(tmp_path) == [f"{tmp_path}: there is no page"]


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path):
    need("sphinx"), need("furo"), need("myst_parser"), need("latex2mathml")
    import sentei

    env = {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(sentei.__file__).parents[1]),
    }
    got = subprocess.run(
        [ROOT / "tools" / "build_docs", tmp_path / "site"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.returncode == 0, got.stdout + got.stderr
    assert (tmp_path / "site" / "searchindex.js").exists()
    reference = (tmp_path / "site" / "api" / "generated" / "sentei.nn.html").read_text()
    assert "(K, R, S, C / groups)" in reference
