"""The node tests of the onnx package, at our tolerance: a conformance suite that others wrote."""

from __future__ import annotations

import warnings
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from extras import need
from helpers import assert_close
from interop import onnx_cases as suite
from sentei.errors import DataError
from sentei.io.onnx_in import read_onnx

need("onnx")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the tests of onnx warn while they are made
    CASES = suite.cases()
    FOLDS = suite.fold_cases()
APPLICABLE = [n for n in CASES if suite.excluded(n) is None]
REFUSED = [n for n in CASES if suite.excluded(n) not in (None, suite.RANDOM)]
FOLDED = [n for n in FOLDS if suite.not_folded(n) is None]
DOC = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "import-onnx.md"
TERMS = 1024  # of the longest sum in these tests


@pytest.mark.parametrize("name", APPLICABLE)
def test_applicable(name):
    file, fed, wanted = suite.as_network(CASES[name])
    (got,) = suite.run(read_onnx(file), fed)
    assert_close(got, wanted[0], TERMS)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_applicable_is_refused(name):
    """Never computed wrongly: one sentence, with the node's name where a node is the reason."""
    file, _, _ = suite.as_network(CASES[name])
    with pytest.raises(DataError, match=r"^import_onnx: [^\n]+$"):
        read_onnx(file)


@pytest.mark.parametrize("name", FOLDED)
def test_arithmetic_on_constants(name):
    got, want = suite.run_fold(FOLDS[name])
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_every_exclusion_excludes():
    for table, names in ((suite.EXCLUDED, CASES), (suite.NOT_FOLDED, FOLDS)):
        idle = [p for p in table if not any(fnmatchcase(n, p) for n in names)]
        assert not idle


def test_the_documentation_says_how_many():
    text = DOC.read_text()
    n, m = len(APPLICABLE), len(FOLDED)
    assert f"{n} of {n} applicable" in text and f"of {len(CASES)} that concern" in text
    assert f"{m} of {m}" in text
