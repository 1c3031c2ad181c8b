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
# Ops that only gradients, updates and reports use.
INNER = re.compile(
    r"backward|update|advance|append|accumulate|from_gradients|fill|channel_split|channel_pad"
    r"|reshape_like|lazy|materialise|gather_channels"
)
FORWARD = sorted(k for k in OPS if not INNER.search(k))
EAGER = [n for n in sentei.ops.__all__ if n.islower()]


@pytest.mark.parametrize("name", sorted(OPS))
def test_facts(name):
    op = OPS[name]
    assert isinstance(op, Op) and op.name == name and (op.outputs or op.mutates)
    assert callable(op.infer) and callable(op.run)
    for argument in (*op.mutates, *op.shape_only):
        assert argument in [a.rstrip("?*") for a in op.inputs]


@pytest.mark.parametrize("name", FORWARD)
def test_forward_ops_have_gradients(name):
    assert (OPS[name].backward is None) == (name == "step")  # whose slope is 0 everywhere


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
    stems = {n: n.removesuffix("_forward").removesuffix("_backward") for n in EAGER}
    missing = [n for n, stem in stems.items() if not re.search(rf"\b{n}\b|[\"'(]{stem}\b", text)]
    assert not missing, f"no test mentions {missing}"


@pytest.mark.parametrize("name", FORWARD)
def test_forward_ops_have_a_form_in_onnx_or_a_reason(name):
    """tests/interop/test_onnx_out.py runs those that have one."""
    form = OPS[name].to_onnx
    assert callable(form) or (isinstance(form, str) and len(form.split()) > 3)
