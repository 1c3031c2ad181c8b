"""Every message on docs/errors.md is one that sentei really gives.

A message there is a pattern: `...` and `<word>` stand for anything. It is provoked here, by a call of
`error_calls.CALLS`, or a test of its own matches it: then at least three words of it in a row stand in
that test. So a sentence that changes in the code cannot live on in the page.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from error_calls import CALLS
from sentei import device

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
OWN = {"error_calls.py", "error_helpers.py", "test_error_page.py"}
# What no test can bring about on the machine that it runs on, and why.
NEVER = {
    "device cuda: memory of ... bytes must be free, got ...": "needs a GPU that is full",
    "device cuda: <kernel>: <CUDA's words>": "needs a bug in a kernel, on a GPU",
    "no CUDA device can be used: ...": "needs a driver without a device",
    "close_gates: weights with their gates folded must give what the gated network does": "a bug",
    "cluster: <host:port> must answer": "needs a cluster that is gone",
    "distributed: a worker cannot start: ...": "needs Ray: test_ray.py",
    "distributed: ... was lost ... times": "needs minutes",
}


def messages() -> list[str]:
    """What stands in backquotes at the head of a list item or of a row about messages."""
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.S)
    found: list[str] = []
    for item in re.findall(r"^- (`.*(?:\n  .*)*)", text, re.M):
        head = re.match(r"((?:`[^`]+`(?:, )?)+)", item)
        assert head is not None
        found += re.findall(r"`([^`]+)`", head[1])
    for table in re.findall(r"^\| message \|.*\n\| ---.*\n((?:\|.*\n)+)", text, re.M):
        found += re.findall(r"^\| `([^`]+)` \|", table, re.M)
    return found


def pattern(message: str) -> str:
    """A regular expression: `...` and `<word>` stand for anything."""
    return "".join(
        ".*" if re.fullmatch(r"\.\.\.|<[^>]+>", part) else re.escape(part)
        for part in re.split(r"(\.\.\.|<[^>]+>)", message)
    )


@cache
def other_tests() -> str:
    """The other tests as one text: strings joined, backslashes of patterns dropped."""
    files = [p for p in sorted((ROOT / "tests").rglob("*.py")) if p.name not in OWN]
    text = "\n".join(p.read_text(encoding="utf-8") for p in files).replace("\\", "")
    return re.sub(r"\"\s*\n\s*[rf]*\"", "", text)


def matched_elsewhere(message: str) -> bool:
    """At least three words in a row, or the whole of what is shorter, stand in another test."""
    for part in re.split(r"\.\.\.|<[^>]+>", message):
        words = part.split()
        size = min(3, len(words))
        for i in range(len(words) - size + 1):
            piece = " ".join(words[i : i + size]).strip(":,;()")
            if len(piece) >= 12 and piece in other_tests():
                return True
    return False


def test_the_page_has_messages():
    found = messages()
    assert len(found) > 90 and len(found) == len(set(found)), "a message stands there twice"


@pytest.mark.parametrize("message", sorted(CALLS))
def test_every_message_can_be_provoked(message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got = CALLS[message](tmp_path)
    assert re.search(pattern(message), got), got
    assert "\n" not in got.strip(), "an error is one sentence"


def test_no_call_without_its_message():
    lost = {*CALLS, *NEVER} - set(messages())
    assert not lost, f"docs/errors.md does not explain {sorted(lost)}"


@pytest.mark.parametrize("message", messages())
def test_messages_are_provoked_somewhere(message):
    assert message in CALLS or message in NEVER or matched_elsewhere(message), (
        f"no test provokes it: add a call to tests/error_calls.py, or match it in a test: {message}"
    )


def test_why_a_device_is_missing_is_on_the_page():
    reason = device.devices()["cuda"]
    assert reason == "ready" or any(re.search(pattern(m), reason) for m in messages()), reason
