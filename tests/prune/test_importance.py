"""Scores from sums and weights, normalisation, standard errors, the table of criteria."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector, vectors
from reference import scores as ref
from sentei.prune import importance


@pytest.mark.parametrize("case", ["weights", "weights_1x1", "weights_5x5"])
def test_l1_std_vectors(case):
    z = vectors("scores")
    got = importance.l1_std(z[f"{case}.w"], float(z[f"{case}.a"]))
    assert_vector(got, z[f"{case}.l1_std"], 2e-5)
    rows = [importance.normalize("l1_std", got, float(p)) for p in z["p"]]
    assert_vector(np.stack(rows), z[f"{case}.l1_std.normalised"], 2e-5)


@pytest.mark.parametrize("layer", [1, 2])
def test_net_l1_std_vectors(layer):
    z = vectors("scores")
    got = importance.l1_std(z[f"net.w{layer}"], float(z["net.a"]))
    assert_vector(got, z[f"net.layer{layer}.l1_std"], 2e-5)


def test_net_orders():
    """The order over the whole net, with and without normalisation, from the expected scores."""
    z = vectors("scores")
    for name in importance.CRITERIA:
        layers = [z[f"net.layer{i}.{name}"] for i in (1, 2)]
        order = np.argsort(np.concatenate(layers), kind="stable")
        assert np.array_equal(order, z[f"net.order.{name}"])
        if not importance.criterion(name).signed:
            scaled = np.concatenate([importance.normalize(name, v, 1.0) for v in layers])
            assert np.array_equal(np.argsort(scaled, kind="stable"), z[f"net.order.{name}.L1"])


def test_l1_std_of_constant_filters():
    w = np.full((3, 2, 2, 2), 0.1, np.float32)
    value = float(np.float32(0.1)) * 8
    np.testing.assert_allclose(importance.l1_std(w, 0.5), [0.5 * value] * 3, rtol=1e-12)
    assert importance.l1_std(np.zeros((3, 0))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["norm", "fisher", "robust", "trace", "oracle", "l1_std"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e200])
def test_normalise_does_not_depend_on_scale(name, scale):
    root = importance.criterion(name).root
    q = np.array([4.0, 1.0, 0.0])
    for p in (1, 2 / 3, 0.5, 2):
        got = importance.normalize(name, q * scale, p)
        base = np.sqrt(q) if root else q
        want = base / (base**p).sum() ** (1 / p)
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_normalise_zeros_and_signed():
    assert importance.normalize("norm", np.zeros(3), 1).tolist() == [0, 0, 0]
    assert importance.normalize("norm", np.zeros(0), 1).tolist() == []
    for name in ("first", "first_second"):
        assert importance.normalize(name, [-1.0, 2.0], 1).tolist() == [-1, 2]


@pytest.mark.parametrize("name", ["norm", "first", "first_second", "fisher", "oracle", "trace"])
def test_standard_error(rng, name):
    x, g = rng.standard_normal((11, 3, 4, 5)), rng.standard_normal((11, 3, 4, 5)) + 0.3
    stats = ref.trace_sums(x, g.mean(axis=0)) if name == "trace" else ref.sums(x, g)[0]
    each = ref.per_sample(x, g)[name]
    want = each.std(axis=0, ddof=1) / np.sqrt(11)
    np.testing.assert_allclose(importance.standard_error(name, stats, 11), want, rtol=1e-9)
    value = np.abs(each.mean(axis=0)) if name == "oracle" else each.mean(axis=0)
    np.testing.assert_allclose(getattr(importance, name)(stats, 11), value, rtol=1e-9)


def test_standard_error_of_one_sample_is_unknown():
    assert np.isnan(importance.standard_error("norm", np.ones((6, 2)), 1)).all()


def test_table():
    needs = {name: c.needs for name, c in importance.CRITERIA.items()}
    assert needs == {
        "l1_std": "weights",
        "norm": "norm",
        "first": "gradient",
        "first_second": "gradient",
        "fisher": "gradient",
        "oracle": "gradient",
        "robust": "gradient",
        "trace": "two_pass",
    }
    assert {n for n, c in importance.CRITERIA.items() if c.signed} == {"first", "first_second"}
    assert {n for n, c in importance.CRITERIA.items() if c.maps} == {"robust", "trace"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: importance.criterion("l2"), "name must be one of l1_std, .*, got 'l2'"),
        (lambda: importance.norm(np.zeros((5, 3)), 2), r"stats must have shape \(6, C\), got \(5"),
        (lambda: importance.trace(np.zeros((6, 3)), 2), r"stats must have shape \(2, C\)"),
        (lambda: importance.fisher(np.zeros((6, 3)), 0), "n must be at least 1, got 0"),
        (
            lambda: importance.robust(np.zeros(3), np.zeros(2), 1),
            "sum_g must have the shape of sum_x",
        ),
        (lambda: importance.robust(np.zeros(3), np.zeros(3), 0), "n must be at least 1"),
        (lambda: importance.l1_std(np.zeros(3)), "w must have shape"),
        (lambda: importance.l1_std(np.zeros((3, 2)), 1.5), r"a must lie in \[0, 1\], got 1.5"),
        (lambda: importance.normalize("norm", np.ones(3), 0), "p must be positive, got 0"),
        (lambda: importance.normalize("norm", -np.ones(3), 1), "norm must not be negative, got -1"),
        (lambda: importance.standard_error("robust", np.zeros((6, 1)), 2), "must be a mean over"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
