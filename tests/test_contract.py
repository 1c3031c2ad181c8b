"""Every op has its facts, its documentation, its reference and its tests."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import sentei.ops
from sentei.graph import Op, all_ops

ROOT = Path(__file__).resolve().parents[1]
OPS = all_ops()
FORWARD = {
    k: op for k, op in OPS.items() if not re.search(r"backward|update|advance|accumulate", k)
}
EAGER = [n for n in sentei.ops.__all__ if n.islower()]
# No gradient flows through these: a constant, and a step whose slope is 0.
NO_GRADIENT = {"fill", "step"}


@pytest.mark.parametrize("name", sorted(OPS))
def test_facts(name):
    op = OPS[name]
    assert isinstance(op, Op) and op.name == name and op.outputs
    assert callable(op.infer) and callable(op.run)
    for argument in (*op.mutates, *op.shape_only):
        assert argument in [a.rstrip("?*") for a in op.inputs]


@pytest.mark.parametrize("name", sorted(FORWARD))
def test_forward_ops_have_gradients(name):
    assert (OPS[name].backward is None) == (name in NO_GRADIENT)


@pytest.mark.parametrize("name", EAGER)
def test_eager_functions_are_documented(name):
    f = getattr(sentei.ops, name)
    doc = inspect.getdoc(f) or ""
    assert doc and doc.split("\n")[0].rstrip().endswith("."), "first line: one imperative sentence"
    assert inspect.signature(f).return_annotation is not inspect.Signature.empty
    assert len(doc.split("\n")) <= 30


def test_every_op_is_tested():
    text = "\n".join(
        p.read_text() for p in (ROOT / "tests").rglob("*.py") if p.name != "test_contract.py"
    )
    missing = [n for n in EAGER if not re.search(rf"\b{n}\b", text)]
    assert not missing, f"no test mentions {missing}"
