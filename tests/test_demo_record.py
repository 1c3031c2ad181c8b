"""Screens and pictures of the tutorial and of the README are those of a recorded run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not list((ROOT / "bench" / "results").glob("*/demo.jsonl")):
    pytest.skip("an sdist holds no records", allow_module_level=True)


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("bench_demo", ROOT / "bench" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_equal_the_record(demo):
    r = demo.latest()
    for page in demo.PAGES:
        text = page.read_text(encoding="utf-8")
        assert demo.BLOCK.search(text), f"{page.name} has no marked block"
        assert demo.filled(text, r) == text, "run python bench/demo.py write"


def test_pictures_equal_the_record(demo):
    drawn = demo.pictures(demo.latest())
    assert {p.name for p in demo.PICTURES.iterdir()} == set(drawn), "run python bench/demo.py write"
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for name, svg in drawn.items():
        assert (demo.PICTURES / name).read_text(encoding="utf-8") == svg, "bench/demo.py write"
        ElementTree.fromstring(svg)
        assert len(svg) < 150_000
        assert f"](tutorial/{name})" in page


def test_picture_of_the_readme_says_what_the_record_says(demo):
    r = demo.latest()
    svg = demo.pictures(r)["summary.svg"]
    shown = " ".join(
        t.text or "" for t in ElementTree.fromstring(svg).iter() if t.tag.endswith("text")
    )
    assert f"{100 * r['report']['accuracy']['after']:.2f}" in shown
    share = r["report"]["flops"]["after"] / r["report"]["flops"]["before"]
    assert f"{100 * share:.1f}" in shown
    assert share <= r["report"]["target"]["remaining"] and r["report"]["verified"] is True
    assert "](docs/tutorial/summary.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
