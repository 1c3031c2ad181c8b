"""Fresh running statistics for batch norm, as pruning makes necessary."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.graph import Node
from sentei.model import Model
from sentei.run import Runner
from sentei.train.feed import Data, Feed

__all__ = ["recalibrate_bn"]


def recalibrate_bn(
    model: Model, data: Data, batches: int = 20, batch: int = 100, seed: int = 0
) -> int:
    """Set every batch norm's running mean and variance to their means over some mini-batches.

    running = (1/B) sum_b batch statistic_b, with the parameters as they are; in place.

    Args:
        model: its states change; without batch norm nothing happens.
        data: training data. batches: B. batch: samples each. seed: of the order.
    Returns:
        Mini-batches used (fewer than asked when data has fewer).
    Raises:
        DataError: no full mini-batch; or a statistic that is not finite (nothing is changed then).
    """
    if batches < 1:
        raise ValueError(f"recalibrate_bn: batches must be at least 1, got {batches}")
    norms = [n for n in model.graph.nodes if n.op.name == "batch_norm"]
    if not norms:
        return 0
    # momentum 1: after a run the running statistics are those of this mini-batch
    nodes = [
        Node(n.name, n.op, n.inputs, n.outputs, {**n.attrs, "momentum": 1.0}) if n in norms else n
        for n in model.graph.nodes
    ]
    states = [v for n in norms for v in (n.input("running_mean"), n.input("running_var")) if v]
    tensors = dict(model.tensors)
    for name in states:
        tensors[name] = Tensor.zeros(tensors[name].shape, device=model.device)
    runner = Runner(model.graph.rebuild(nodes), tensors, batch)
    feed = Feed(data, batch, seed)
    found = {}  # statistics of every mini-batch; they stay where they are made
    for name in states:
        shape = (batches, *tensors[name].shape)
        found[name] = Tensor.empty(shape, device=model.device)
    used = 0
    for x, _ in islice(feed.epoch(0, 0), batches):
        feeds: dict[str, Any] = {model.input: x}
        if "rng" in runner.inputs:
            feeds["rng"] = np.array([seed, used], np.int64)
        runner.run(**feeds)
        for name, kept in found.items():
            t = tensors[name]
            kept.view(t.shape, used * t.nbytes).copy_from(t)
        used += 1
    means = {}
    for name, kept in found.items():
        total = np.zeros(kept.shape[1:], np.float64)
        for one in kept.numpy()[:used]:
            total += one
        means[name] = (total / used).astype(np.float32)
    for name, array in means.items():
        if not np.isfinite(array).all():
            raise DataError(
                f"recalibrate_bn: the statistics must be finite, got {name} that is not"
            )
    for name, array in means.items():
        model.tensors[name].copy_from(array)
    return used
