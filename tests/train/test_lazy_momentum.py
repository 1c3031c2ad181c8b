"""Training with lazy momentum: the trajectory of the stepwise form, seen whole from outside."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close
from reference import semi_sync as ref
from sentei import losses, optim, regularizers
from sentei.errors import DataError
from sentei.ops import linear_forward
from sentei.prune import surgery, units
from sentei.tensor import Tensor
from sentei.train import BestWeights, Callback, Trainer
from sentei.train.step import build_step
from toys import mlp, same_bits, toy_data, toy_net
from train_settings import everything


@pytest.fixture(autouse=True)
def kernels(device):
    """Skip where the backend has no kernels for whole networks."""
    try:
        linear_forward(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), None)
    except RuntimeError as e:
        pytest.skip(str(e))


def semi(lazy: bool = True, **more) -> optim.SemiSync:
    sgd = optim.SGD(0.05, momentum=0.9, weight_decay=1e-3)
    return optim.SemiSync(sgd, **{"layers": "fc[12]", "permute_seed": 3, **more}, lazy=lazy)


def data(n: int = 60, width: int = 6):
    rng = np.random.default_rng(1)
    labels = np.arange(n) % 3
    centres = rng.standard_normal((3, width))
    return (centres[labels] + 0.5 * rng.standard_normal((n, width))).astype(np.float32), labels


def float64_run(model, x, labels, steps, batch, order):
    """SGD of an mlp with two semi-synchronous layers, in float64, from the formulas."""
    p = {k: t.numpy().astype(np.float64) for k, t in model.tensors.items()}
    v = {k: np.zeros_like(a) for k, a in p.items()}
    for t in range(steps):
        at = order(t)
        xs, ts = x[at].astype(np.float64), labels[at]
        h, masks = [xs], []
        for k in ("fc1", "fc2", "fc3"):
            y = h[-1] @ p[f"{k}.weight"].T + p[f"{k}.bias"]
            masks.append(y > 0)
            h.append(np.maximum(y, 0) if k != "fc3" else y)
        e = np.exp(h[3] - h[3].max(1, keepdims=True))
        dy = e / e.sum(1, keepdims=True)
        dy[np.arange(batch), ts] -= 1
        dy /= batch
        grads = {}
        for i in (3, 2, 1):
            grads[f"fc{i}.weight"], grads[f"fc{i}.bias"] = dy.T @ h[i - 1], dy.sum(0)
            if i > 1:
                dy = (dy @ p[f"fc{i}.weight"]) * masks[i - 2]
        for number, k in enumerate(("fc1", "fc2", "fc3")):
            m = len(p[f"{k}.bias"])
            rows, offsets = ref.partition(m, optim.semi_sync.rows_of(m, number, 3))
            g = t % (len(offsets) - 1)
            active = rows[offsets[g] : offsets[g + 1]] if k != "fc3" else np.arange(m)
            for name, decay in ((f"{k}.weight", 1e-3), (f"{k}.bias", 0.0)):
                lr = float(np.float32(0.05))
                p[name], v[name] = ref.update(
                    p[name], grads[name], v[name], active, lr, float(np.float32(0.9)), decay
                )
    return p


@pytest.mark.devices
def test_trajectory(device):
    """Uneven, permuted groups, several layers with biases, decay, over three cycles."""
    x, labels = data()
    model = mlp([6, 23, 17, 3], seed=4)
    t = Trainer(model.copy().to(device), semi(), batch=20, seed=5)
    batches = []
    feeds = t._feeds
    t._feeds = lambda made: batches.append(np.asarray(made[0])) or feeds(made)  # type: ignore[method-assign]
    steps = 3 * 5
    t.steps((x, labels), steps)
    order = [[int(np.argwhere((x == s).all(1))[0, 0]) for s in b] for b in batches]
    want = float64_run(model, x, labels, steps, 20, lambda k: np.array(order[k]))
    for k, tensor in t.model.tensors.items():
        scale = np.abs(want[k]).max()
        assert np.abs(tensor.numpy() - want[k]).max() <= 1e-6 * scale, k


@pytest.mark.devices
def test_as_stepwise_and_same_bits_again(device):
    x = data()
    runs = []
    for lazy in (True, True, False):
        t = Trainer(mlp([6, 23, 17, 3], seed=4).to(device), semi(lazy), batch=20, seed=5)
        means = t.steps(x, 20)
        runs.append((t, means))
    (a, first), (b, _), (c, last) = runs
    same_bits(
        {k: v.numpy() for k, v in everything(a).items()},
        {k: v.numpy() for k, v in everything(b).items()},
    )
    assert abs(first["loss"] - last["loss"]) < 1e-5
    for k, tensor in a.model.tensors.items():
        assert_close(tensor, c.model.tensors[k].numpy(), 100)
    assert set(a.state_tensors) - set(c.state_tensors) == {
        f"fc{i}.weight.{s}" for i in (1, 2) for s in ("base", "lazy.coef", "lazy.group_of")
    }


@pytest.mark.devices
def test_judged_between_steps(device):
    """Evaluation, prediction and the model see w + c v, and change nothing of what follows."""
    x, labels = data()
    quiet = Trainer(mlp([6, 23, 17, 3]).to(device), semi(), batch=20)
    quiet.steps((x, labels), 9)

    class Look(Callback):
        seen: list = []  # noqa: RUF012

        def on_step_end(self, trainer):
            self.seen.append(trainer.model.arrays()["fc1.weight"])
            trainer.evaluate((x, labels))

    t = Trainer(mlp([6, 23, 17, 3]).to(device), semi(), batch=20, callbacks=[Look()])
    t.fit((x, labels), epochs=3, progress="none")
    same_bits(
        {k: v.numpy() for k, v in everything(t).items()},
        {k: v.numpy() for k, v in everything(quiet).items()},
    )
    assert len(Look.seen) == 9
    w = t.state_tensors
    coef, of = w["fc1.weight.lazy.coef"].numpy(), w["fc1.weight.lazy.group_of"].numpy()
    base, v = w["fc1.weight.base"].numpy(), w["fc1.weight.momentum"].numpy()
    want = base + coef[of, 1:].astype(np.float64) * v
    assert np.abs(coef[:, 1]).max() > 1 and np.abs(want - base).max() > 1e-4
    assert_close(t.model.tensors["fc1.weight"], want)
    assert np.array_equal(Look.seen[-1], t.model.tensors["fc1.weight"].numpy())
    held = t.model  # a reference from before lags behind until it is asked for
    t._runner.step(t._feeds((x[:20], labels[:20])))
    t._ahead = True
    before = held.arrays()
    t.settle()
    assert not np.array_equal(before["fc1.weight"], held.arrays()["fc1.weight"])


@pytest.mark.devices
def test_a_file_holds_the_weights_that_count(device, tmp_path):
    from sentei.io import load

    x = data()
    t = Trainer(mlp([6, 23, 17, 3]).to(device), semi(), batch=20)
    t.steps(x, 4)
    t.save_checkpoint(tmp_path / "c")
    assert np.array_equal(load(tmp_path / "c").predict(x[0]), t.model.to("cpu").predict(x[0]))
    again = Trainer.resume(tmp_path / "c", device=device)
    assert again.optimizer == t.optimizer and again.optimizer.lazy
    t.steps(x, 7)
    again.steps(x, 7)
    same_bits(
        {k: v.numpy() for k, v in everything(again).items()},
        {k: v.numpy() for k, v in everything(t).items()},
    )


def test_a_file_with_wrong_lazy_states_is_refused():
    opt = semi()
    states = build_step(mlp([6, 23, 17, 3]), losses.CrossEntropy(), (), opt).states
    opt.check_states(states)
    coef = states["fc1.weight.lazy.coef"].numpy()
    for name, array in (
        ("lazy.coef", coef + 1),
        ("lazy.coef", coef - 1),
        ("lazy.coef", coef * np.nan),
        ("lazy.group_of", np.full(23, 5, np.int32)),
    ):
        with pytest.raises(DataError, match=r"SemiSync: fc1\.weight\.lazy"):
            opt.check_states({**states, f"fc1.weight.{name}": Tensor.from_numpy(array)})


@pytest.mark.devices
def test_pruning_after_lazy_steps(device):
    """The pruned network goes on from w + c v, its momentum up to date, groups made anew."""
    toys = toy_data()
    runs = []
    for lazy in (True, False):
        opt = optim.SemiSync(optim.SGD(0.05, momentum=0.9), permute_seed=2, lazy=lazy)
        t = Trainer(toy_net(dropout=False).to(device), opt, batch=20, seed=2)
        t.steps(toys, 5)
        pruning = units.pruning_map(t.model.graph, include=("linear",))
        gone = [u for u in pruning.units if ("fc1", 7) in u.members or ("fc1", 0) in u.members]
        smaller, keep = surgery.remove(t.model, pruning, gone)
        new = t.replaced(smaller, keep)
        kept = keep[("fc1.weight", 0)]
        assert len(kept) == 9
        runs.append(new)
        assert_close(
            new.state_tensors["fc1.weight.momentum"],
            t.state_tensors["fc1.weight.momentum"].numpy()[kept],
        )
        if lazy:
            s = new.state_tensors
            assert s["fc1.weight.lazy.coef"].numpy().tolist() == [[1, 0]] * 3
            assert (
                s["fc1.weight.base"].numpy().tobytes() == smaller.arrays()["fc1.weight"].tobytes()
            )
        new.steps(toys, 6)
    a, b = runs
    for k, tensor in a.model.tensors.items():
        assert_close(tensor, b.model.tensors[k].numpy(), 3000)


def test_weights_from_outside_are_adopted():
    x = data()
    t = Trainer(mlp([6, 23, 17, 3]), semi(), batch=20)
    t.steps(x, 4)
    other = {k: np.zeros_like(a) for k, a in t.model.arrays().items()}
    t.model.load_arrays(other)
    t.adopt()
    assert not t.state_tensors["fc1.weight.base"].numpy().any()
    t.steps(x, 1)
    s = t.state_tensors
    coef, of = s["fc1.weight.lazy.coef"].numpy(), s["fc1.weight.lazy.group_of"].numpy()
    want = s["fc1.weight.base"].numpy() + coef[of, 1:] * s["fc1.weight.momentum"].numpy()
    assert want.any()
    assert_close(t.model.tensors["fc1.weight"], want)
    best = Trainer(mlp([6, 23, 17, 3]), semi(), batch=20, callbacks=[BestWeights("loss")])
    best.fit(x, epochs=2, progress="none")
    best._ahead = True
    with pytest.raises(DataError, match="the model must be settled before"):
        best.adopt()


def test_what_is_rewritten():
    def names(opt, terms=()):
        step = build_step(mlp([6, 23, 17, 3]), losses.CrossEntropy(), terms, opt)
        return [n.op.name for n in step.graph.nodes]

    found = names(semi())
    assert found.count("linear_lazy") == 2 and found.count("linear") == 1
    assert found.count("linear_lazy_backward_input") == 1  # of fc2; fc1 has none
    assert found.count("semi_sync_update_lazy") == 2  # weights
    assert found.count("semi_sync_update") == 2  # biases
    with_term = names(semi(), (regularizers.LogActivity(0.1),))  # reads activations, not weights
    assert with_term.count("linear_lazy") == 2
    plain = names(optim.SemiSync(optim.SGD(0.05), layers="fc*", lazy=True))
    assert plain.count("linear") == 3 and "linear_lazy" not in plain
