"""L-BFGS through the trainer: minima, SciPy as oracle, the same bits, stopping, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector, vectors
from sentei import _core, losses, nn, optim
from sentei.errors import DataError, NonFiniteError
from sentei.model import Model
from sentei.prune import surgery, units
from sentei.tensor import Tensor
from sentei.train import EarlyStopping, Trainer
from toys import mlp, same_bits, toy_data, toy_net
from train_settings import everything, timeless

V = vectors("lbfgs")


def linear(inputs: int) -> Model:
    return nn.build(nn.Sequential(nn.Linear(1)), (inputs,), seed=0)


@pytest.mark.devices
@pytest.mark.parametrize("chunk", [40, 16])
def test_logistic_regression(device, chunk):
    x, t, lam = V["logistic.x"], V["logistic.t"], float(V["logistic.lambda"])
    targets = t.reshape(-1, 1).astype(np.float32)
    model = linear(x.shape[1]).to(device)
    opt = optim.LBFGS(l2=lam, chunk=chunk)
    trainer = Trainer(model, opt, losses.Logistic(), batch=len(x))
    trainer.fit((x, targets), epochs=40, progress="none")
    assert trainer.epoch < 40 and "vanished" in trainer.stopped
    w, b = (trainer.model.tensors[f"fc1.{k}"].numpy() for k in ("weight", "bias"))
    assert_vector(w[0], V["logistic.w"], 2e-3)
    assert_vector(b, V["logistic.b"].reshape(1), 2e-3)
    z = x.astype(np.float64) @ w[0] + b[0]
    reached = np.logaddexp(0, -t * z).mean() + lam * (w.astype(np.float64) ** 2).sum()
    assert_vector(np.array([reached]), V["logistic.minimum"].reshape(1), 1e-5)


def test_quadratic():
    """w.A w / 2 - b.w as the mean square of R w - c with R'R = A, n/2 of it being the loss."""
    a, b = V["quadratic.A"].astype(np.float64), V["quadratic.b"].astype(np.float64)
    r = np.linalg.cholesky(a).T
    c = np.linalg.solve(r.T, b)
    n = len(b)
    x = (np.sqrt(n) * r).astype(np.float32)
    t = (np.sqrt(n) * c).astype(np.float32).reshape(-1, 1)
    model = nn.build(nn.Sequential(nn.Linear(1, bias=False)), (n,), seed=3)
    trainer = Trainer(model, optim.LBFGS(memory=5), losses.Squared(), batch=n)
    trainer.fit((x, t), epochs=60, progress="none")
    w = model.tensors["fc1.weight"].numpy()[0].astype(np.float64)
    assert_vector(w, V["quadratic.w"], 2e-3)
    got = w @ a @ w / 2 - b @ w
    assert_vector(np.array([got]), V["quadratic.minimum"].reshape(1), 1e-5)


def test_as_low_as_scipy():
    """A tanh network: SciPy's L-BFGS-B in float64 from the same start reaches no lower a loss."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 3)).astype(np.float32)
    t = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:]
    t = t.astype(np.float32)
    model = nn.build(nn.Sequential(nn.Linear(8), nn.Tanh(), nn.Linear(1)), (3,), seed=1)
    start = [model.tensors[k].numpy().astype(np.float64) for k in model.graph.by_role("param")]
    shapes = [w.shape for w in start]
    cuts = np.cumsum([w.size for w in start])[:-1]

    def value(flat):
        w1, b1, w2, b2 = (p.reshape(s) for p, s in zip(np.split(flat, cuts), shapes, strict=True))
        h = np.tanh(x @ w1.T + b1)
        e = h @ w2.T + b2 - t
        n = len(x)
        dh = (e @ w2) * (1 - h**2) / n
        grads = [dh.T @ x, dh.sum(0), e.T @ h / n, e.sum(0) / n]
        decay = 1e-4 * ((w1**2).sum() + (w2**2).sum())
        grads[0] += 2e-4 * w1
        grads[2] += 2e-4 * w2
        return (e**2).sum() / 2 / n + decay, np.concatenate([g.ravel() for g in grads])

    flat = np.concatenate([w.ravel() for w in start])
    oracle = optimize.minimize(
        value, flat, jac=True, method="L-BFGS-B", options={"maxiter": 60, "maxcor": 10}
    )
    trainer = Trainer(model, optim.LBFGS(l2=1e-4, chunk=32), losses.Squared(), batch=len(x))
    trainer.fit((x, t), epochs=60, progress="none")
    ours = np.concatenate([model.tensors[k].numpy().ravel() for k in model.graph.by_role("param")])
    reached = value(ours.astype(np.float64))[0]
    assert reached < 0.05 * value(flat)[0]
    assert reached <= 1.2 * oracle.fun


def test_few_evaluations(monkeypatch):
    """The gradient where a step ended is not computed again; most steps try one length only."""
    x, t = V["logistic.x"], V["logistic.t"].reshape(-1, 1).astype(np.float32)
    trainer = Trainer(linear(6), optim.LBFGS(l2=0.01), losses.Logistic(), batch=len(x))
    calls = []
    runner = trainer._runner
    before = runner._value
    monkeypatch.setattr(runner, "_value", lambda: calls.append(1) or before())
    history = trainer.fit((x, t), epochs=40, progress="none")
    assert len(calls) <= 1.5 * len(history) + 2


@pytest.mark.devices
def test_resumed_is_never_stopped_on_the_whole_set(tmp_path, device):
    data = toy_data()
    make = {"batch": 60, "seed": 7}
    opt = optim.LBFGS(memory=3, chunk=25)
    whole = Trainer(toy_net().to(device), opt, **make)
    whole.fit(data, data, epochs=7, progress="none")
    first = Trainer(toy_net().to(device), opt, **make)
    first.steps(data, 4)
    first.save_checkpoint(tmp_path / "c")
    first.steps(data, 1)  # must not matter
    again = Trainer.resume(tmp_path / "c", device=device)
    assert again.optimizer == opt
    again.fit(data, data, epochs=7, progress="none")
    same_bits(
        {k: t.numpy() for k, t in everything(again).items()},
        {k: t.numpy() for k, t in everything(whole).items()},
    )
    assert timeless(again.history) == timeless(whole.history)[4:]


def test_same_bits_for_any_threads(threads):
    runs = []
    for n in (1, 3):
        _core.set_threads(n)
        t = Trainer(toy_net(), optim.LBFGS(chunk=16), batch=60, seed=4)
        t.fit(toy_data(), epochs=4, progress="none")
        runs.append(everything(t))
    same_bits(*runs)


def test_every_step_lowers_the_objective():
    data = toy_data()
    t = Trainer(toy_net(dropout=False, norm=False), optim.LBFGS(), batch=60)
    start = t.evaluate(data)["loss"]
    found = [row["loss"] for row in t.fit(data, epochs=12, progress="none")]
    assert all(b <= a for a, b in zip([start, *found], found, strict=False))
    assert found[-1] < 1e-3 * start
    assert t.evaluate(data)["accuracy"] == 1.0


def test_moving_averages_move_once_a_step():
    data = toy_data()
    t = Trainer(toy_net(dropout=False), optim.LBFGS(), batch=60)
    t.steps(data, 1)
    mean = t.model.tensors["bn1.running_mean"].numpy()
    again = Trainer(t.model.copy(), optim.SGD(0.0), batch=60)
    again.model.tensors["bn1.running_mean"].copy_from(np.zeros(5, np.float32))
    again.steps(data, 1)  # momentum 0.1, from 0, with the parameters as they are
    assert np.array_equal(mean, again.model.tensors["bn1.running_mean"].numpy())


def test_early_stopping_and_best_weights():
    data = toy_data()
    stop = EarlyStopping(2, monitor="val_loss")
    t = Trainer(toy_net(dropout=False), optim.LBFGS(), batch=60, callbacks=[stop])
    t.fit(data, toy_data(20, seed=8), epochs=200, progress="none")
    assert t.epoch < 200 and stop.best is not None
    assert t.evaluate(toy_data(20, seed=8))["loss"] == stop.best


def test_not_finite_names_the_layer_and_changes_nothing():
    model = mlp([4, 5, 3])
    model.tensors["fc1.weight"].copy_from(np.full((5, 4), 3e38, np.float32))
    before = model.arrays()
    x = np.ones((10, 4), np.float32)
    t = Trainer(model, optim.LBFGS(chunk=4), batch=10)
    with pytest.raises(NonFiniteError, match="the layer 'fc1' is the first"):
        t.steps((x, np.zeros(10, np.int64)), 1)
    same_bits(before, model.arrays())


def test_a_pruned_network_begins_anew():
    data = toy_data()
    t = Trainer(toy_net(), optim.LBFGS(memory=3, chunk=20), batch=60)
    t.steps(data, 3)
    assert int(t.state_tensors["lbfgs.place"].numpy()[0]) == 3
    pruning = units.pruning_map(t.model.graph)
    smaller, keep = surgery.remove(t.model, pruning, pruning.units[:1])
    new = t.replaced(smaller, keep)
    assert int(new.state_tensors["lbfgs.place"].numpy()[0]) == 0
    before = new.evaluate(data)["loss"]
    new.steps(data, 5)
    assert new.step == 8 and new.evaluate(data)["loss"] < before


def test_refuses():
    with pytest.raises(ValueError, match="scores must be left out with LBFGS"):
        Trainer(toy_net(), optim.LBFGS(), scores=["conv1"])
    cases = {
        "memory": 0,
        "chunk": 1.5,
        "evaluations": 1,
        "tolerance": -1,
        "c1": 0,
        "c2": 1.0,
        "lr": 0,
    }
    for name, value in cases.items():
        with pytest.raises(ValueError, match=f"LBFGS: {name} must be"):
            optim.LBFGS(**{name: value})
    with pytest.raises(ValueError, match=r"c1 must be below c2 = 0.1, got 0.5"):
        optim.LBFGS(c1=0.5, c2=0.1)
    place = Tensor.from_numpy(np.array([11, 0], np.int64))
    with pytest.raises(DataError, match=r"lbfgs.place must lie within memory = 10"):
        optim.LBFGS().check_states({"lbfgs.place": place})
