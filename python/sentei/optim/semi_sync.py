"""The semi-synchronous update of fully-connected layers, and as an option of convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DataError, GraphError
from sentei.graph import Graph, Node
from sentei.ops import (
    CONV2D_BACKWARD_WEIGHT_ROWS,
    GATHER_CHANNELS,
    LINEAR_BACKWARD_WEIGHT_ROWS,
    LINEAR_LAZY,
    LINEAR_LAZY_BACKWARD_INPUT,
    SEMI_SYNC_ADAPTIVE_UPDATE,
    SEMI_SYNC_LAZY_WEIGHT,
    SEMI_SYNC_MATERIALISE,
    SEMI_SYNC_UPDATE,
    SEMI_SYNC_UPDATE_LAZY,
)
from sentei.optim.adaptive import AdaGrad, Adam, RMSprop
from sentei.optim.base import (
    Grads,
    Optimizer,
    States,
    add_number,
    add_slot,
    count_on,
    lr_input,
    update,
)
from sentei.optim.sgd import SGD
from sentei.passes import infer_specs

__all__ = ["SemiSync", "groups", "rows_of"]

Inner = SGD | AdaGrad | RMSprop | Adam


def groups(m: int, count: int | None = None) -> NDArray[np.int32]:
    """Cut M rows into groups, sizes as even as can be, larger ones first.

    count: how many, at most a group per row; None: G = round(sqrt(M)).

    Returns:
        (G + 1,) int32: first row of every group, then M.
    Raises:
        ValueError: m or count is below 1.
    """
    if m < 1:
        raise ValueError(f"groups: m must be at least 1, got {m}")
    if count is not None and count < 1:
        raise ValueError(f"groups: count must be at least 1, got {count}")
    g = math.isqrt(m)
    g += m > g * (g + 1)  # sqrt(m) > g + 1/2; never a tie, m is whole
    g = g if count is None else min(count, m)
    small, more = divmod(m, g)
    return np.cumsum([0, *([small + 1] * more), *([small] * (g - more))]).astype(np.int32)


def rows_of(m: int, layer: int, permute_seed: int | None) -> NDArray[np.int32]:
    """The M rows group by group: as they are, or permuted by (seed, number of the layer)."""
    if permute_seed is None:
        return np.arange(m, dtype=np.int32)
    words = np.random.Philox(key=np.array([permute_seed, layer], np.uint64)).random_raw(m)
    return np.argsort(np.asarray(words, np.uint64), kind="stable").astype(np.int32)


def group_of(rows: NDArray[np.int32], offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Of every row the group that it is in."""
    found = np.empty(len(rows), np.int32)
    found[rows] = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    return found


def _lazy_layers(states: Mapping[str, Tensor]) -> list[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Weight, and its base, v, coef, group_of, of every lazy layer."""
    end = ".lazy.coef"
    names = [name.removesuffix(end) for name in states if name.endswith(end)]
    slots = ("base", "momentum", "lazy.coef", "lazy.group_of")
    return [(w, *(states[f"{w}.{s}"] for s in slots)) for w in names]  # type: ignore[misc]


@dataclass(frozen=True, init=False)
class SemiSync(Optimizer):
    """Update one group of rows of each chosen layer per step; the other layers wholly.

    At update t of a layer the group t mod G is active: v = a v - lr g on its rows, v = a v on the
    others, then w += v on all; without momentum the others keep their bits. The weight gradient of a
    layer is computed for the active rows only. With AdaGrad, RMSprop or Adam the other rows keep
    their weights and their states; Adam's bias correction counts the row's own updates.

    Args:
        opt: SGD, AdaGrad, RMSprop or Adam, whose lr, momentum, weight_decay, l2, ... hold.
        layers: names of linear layers, or patterns of them ("fc*"); None: all but the last.
        permute_seed: permute the rows of every layer before they are cut; None: contiguous groups.
        lazy: keep what momentum does to idle groups as two numbers per group and add it where the
            weight is read, instead of a pass over all rows at every step: the same steps, rounded
            differently. The weights being trained are then states ("<weight>.base"); those of the
            model are written by `settle`. A layer whose weight something else reads (a regularizer)
            is updated step by step, and so is everything without momentum, and convolutions.
        convolutions: names or patterns of convolutions whose filters are updated so too; None: none.
        groups: number of groups G of chosen layers, by name or pattern, the first that fits; at most
            a group per row. Layers that none fits have round(sqrt(rows)).
    Raises (emit):
        GraphError: a name that no such layer has, or a weight that several layers share.
    Source:
        S section 3, eq. 1, 5, 6; convolutions, adaptive rules, groups: beyond the paper.
    """

    lr: float = field(default=0.0, init=False)
    weight_decay: float = field(default=0.0, init=False)
    l2: float = field(default=0.0, init=False)
    opt: Inner = field(kw_only=True)
    layers: str | Sequence[str] | None = field(default=None, kw_only=True)
    permute_seed: int | None = field(default=None, kw_only=True)
    lazy: bool = field(default=False, kw_only=True)
    convolutions: str | Sequence[str] | None = field(default=None, kw_only=True)
    groups: tuple[tuple[str, int], ...] = field(default=(), kw_only=True)

    def __init__(
        self,
        opt: Inner,
        layers: str | Sequence[str] | None = None,
        permute_seed: int | None = None,
        lazy: bool = False,
        convolutions: str | Sequence[str] | None = None,
        groups: Mapping[str, int] | Sequence[tuple[str, int]] = (),
    ) -> None:
        if not isinstance(opt, SGD | AdaGrad | RMSprop | Adam):
            raise TypeError(
                f"SemiSync: opt must be SGD, AdaGrad, RMSprop or Adam, got {type(opt).__name__}"
            )
        if permute_seed is not None and not 0 <= permute_seed < 1 << 64:
            raise ValueError(f"SemiSync: permute_seed must be in [0, 2**64), got {permute_seed}")
        if lazy and not isinstance(opt, SGD):
            raise ValueError(f"SemiSync: lazy must go with SGD, got {type(opt).__name__}")
        cuts = tuple(groups.items() if isinstance(groups, Mapping) else map(tuple, groups))
        for pattern, count in cuts:
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(
                    f"SemiSync: groups must be at least 1, got {count!r} for {pattern!r}"
                )
        put = object.__setattr__
        put(self, "opt", opt)
        put(self, "layers", _patterns(layers))
        put(self, "permute_seed", permute_seed)
        put(self, "lazy", bool(lazy))
        put(self, "convolutions", _patterns(convolutions))
        put(self, "groups", cuts)
        for name in ("lr", "weight_decay", "l2"):
            put(self, name, getattr(opt, name))

    def chosen(self, graph: Graph) -> list[str]:
        """Names of the layers that are updated semi-synchronously: linear ones, then convolutions."""
        if self.layers is None:
            linear = [n.name for n in graph.nodes if n.op.name == "linear"][:-1]
        else:
            linear = _named(graph, "layers", "linear", self.layers)
        if self.convolutions is None:
            return linear
        return [*linear, *_named(graph, "convolutions", "conv2d", self.convolutions)]

    def _counts(self, names: Sequence[str]) -> dict[str, int | None]:
        """How many groups each chosen layer is to have; None: as many as the paper says."""
        for pattern, _ in self.groups:
            if not any(fnmatchcase(n, pattern) for n in names):
                raise GraphError(f"SemiSync: groups must name some of {names}, got {pattern!r}")
        return {
            n: next((count for p, count in self.groups if fnmatchcase(n, p)), None) for n in names
        }

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Rewrite the weight gradients of the chosen layers to active rows; append all updates."""
        states: States = {}
        done: set[str] = set()
        counts = self._counts(self.chosen(graph))
        for number, (name, count) in enumerate(counts.items()):
            _, w, b = graph.node(name).inputs
            assert w is not None
            if f"{w}.group" in states:
                raise GraphError(
                    f"SemiSync: every chosen layer must have a weight of its own, got {w!r} twice"
                )
            if w in grads:
                done.update(self._emit_layer(graph, grads, states, number, count, w, b))
        rest = {param: g for param, g in grads.items() if param not in done}
        return {**states, **self.opt.emit(graph, rest)}

    def _emit_layer(
        self,
        graph: Graph,
        grads: Grads,
        states: States,
        number: int,
        count: int | None,
        w: str,
        b: str | None,
    ) -> list[str]:
        spec = graph.values[w].spec
        assert spec is not None
        m = spec.shape[0]
        offsets = groups(m, count)
        cut = (
            add_number(graph, states, f"{w}.rows", rows_of(m, number, self.permute_seed)),
            add_number(graph, states, f"{w}.offsets", offsets),
            add_number(graph, states, f"{w}.group", np.zeros(1, np.int32)),
        )
        compact = _only_active_rows(graph, grads[w], cut)
        done = [p for p in (w, b) if p is not None and p in grads]
        for param in done:
            self._emit_update(graph, grads, states, param, cut, compact and param == w)
        count_on(graph, cut[2], len(offsets) - 1)
        return done

    def _emit_update(
        self,
        graph: Graph,
        grads: Grads,
        states: States,
        param: str,
        cut: tuple[str, str, str],
        compact: bool,
    ) -> None:
        """The update of a weight or bias; `compact`: its gradient holds active rows only."""
        attrs: dict[str, object] = {"compact": compact, **self._decay(graph, param)}
        if isinstance(self.opt, SGD):
            v = self.opt.slot(graph, states, param)
            if v is not None and compact and self.lazy and _only_products_read(graph, param):
                self._emit_lazy(graph, states, param, grads[param], v, cut)
                return
            attrs["momentum"] = self.opt.momentum
            inputs = (param, grads[param], v, *cut, lr_input(graph))
            update(graph, SEMI_SYNC_UPDATE, param, inputs, attrs)
            return
        opt = self.opt
        second = count = None
        attrs["eps"] = opt.eps
        if isinstance(opt, Adam):
            first = add_slot(graph, states, param, "mean")
            second = add_slot(graph, states, param, "square_mean")
            spec = graph.values[param].spec
            assert spec is not None
            count = add_number(graph, states, f"{param}.count", np.zeros(spec.shape[0], np.int64))
            attrs |= {"rule": "adam", "beta1": opt.beta1, "beta2": opt.beta2}
            attrs["eps_inside"] = opt.eps_inside
        elif isinstance(opt, RMSprop):
            first = add_slot(graph, states, param, "square_mean")
            attrs |= {"rule": "rmsprop", "beta1": opt.alpha}
        else:
            first = add_slot(graph, states, param, "square_sum")
            attrs["rule"] = "adagrad"
        adaptive = (param, grads[param], first, second, count, *cut, lr_input(graph))
        update(graph, SEMI_SYNC_ADAPTIVE_UPDATE, param, adaptive, attrs)

    def _emit_lazy(
        self, graph: Graph, states: States, w: str, dw: str, v: str, cut: tuple[str, str, str]
    ) -> None:
        """Let the products read base + c v in the place of w, and update base and v."""
        rows, offsets = (states[name].numpy() for name in cut[:2])
        coef = np.tile(np.array([1, 0], np.float32), (len(offsets) - 1, 1))
        base = add_slot(graph, states, w, "base")
        lazy = (
            base,
            v,
            add_number(graph, states, f"{w}.lazy.coef", coef),
            add_number(graph, states, f"{w}.lazy.group_of", group_of(rows, offsets)),
        )
        for i, n in enumerate(graph.nodes):
            if w in n.inputs:
                op = LINEAR_LAZY if n.op.name == "linear" else LINEAR_LAZY_BACKWARD_INPUT
                inputs = (n.inputs[0], *lazy, *n.inputs[2:])
                graph.nodes[i] = Node(n.name, op, inputs, n.outputs, n.attrs)
        assert isinstance(self.opt, SGD)
        attrs = {"momentum": self.opt.momentum, **self._decay(graph, w)}
        inputs = (base, dw, v, lazy[2], *cut, lr_input(graph))
        update(graph, SEMI_SYNC_UPDATE_LAZY, w, inputs, attrs)

    def start(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        """The weights being trained begin as those of the model."""
        self.materialise(states)
        for w, base, *_ in _lazy_layers(states):
            base.copy_from(params[w])

    def settle(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        """Write w = base + c v of the lazy layers."""
        for w, *lazy in _lazy_layers(states):
            SEMI_SYNC_LAZY_WEIGHT.run(lazy, (params[w],), {}, None)

    def materialise(self, states: Mapping[str, Tensor]) -> None:
        """Give all rows of the lazy layers what they have to get."""
        for _, *lazy in _lazy_layers(states):
            SEMI_SYNC_MATERIALISE.run(lazy, (), {}, None)

    def carried(self, name: str, old: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        """Rows and offsets belong to the new M; the active group goes on modulo the new G.

        What is lazy starts anew from the weights of the new network.
        """
        if name.endswith((".rows", ".offsets", ".base", ".lazy.coef", ".lazy.group_of")):
            return states[name]
        if name.endswith(".group"):
            count = states[f"{name.removesuffix('.group')}.offsets"].shape[0] - 1
            group = (old.numpy() % count).astype(np.int32)
            return Tensor.from_numpy(group).to(old.device)
        return super().carried(name, old, states)

    def check_states(self, states: Mapping[str, Tensor]) -> None:
        """DataError when a file's rows, offsets or active group are not those of the layer."""
        super().check_states(states)
        for number, name in enumerate(k for k in states if k.endswith(".group")):
            w = name.removesuffix(".group")
            rows, offsets = states[f"{w}.rows"].numpy(), states[f"{w}.offsets"].numpy()
            want = rows_of(len(rows), number, self.permute_seed)
            cut = groups(len(rows), max(1, len(offsets) - 1))
            if not np.array_equal(rows, want) or not np.array_equal(offsets, cut):
                raise DataError(f"SemiSync: {w}.rows must be those of this layer and permute_seed")
            if not 0 <= int(states[name].numpy()[0]) < len(cut) - 1:
                raise DataError(f"SemiSync: {name} must be in [0, {len(cut) - 1})")
            counts = states.get(f"{w}.count")
            if counts is not None and (counts.numpy() < 0).any():
                raise DataError(f"SemiSync: {w}.count must not be negative")
            if f"{w}.lazy.coef" not in states:
                continue
            m, c = states[f"{w}.lazy.coef"].numpy().T
            if not (np.all((m >= 0) & (m <= 1) & (c >= 0)) and np.isfinite(c).all()):
                raise DataError(
                    f"SemiSync: {w}.lazy.coef must hold 0 <= m <= 1 and a finite c >= 0"
                )
            if not np.array_equal(states[f"{w}.lazy.group_of"].numpy(), group_of(rows, offsets)):
                raise DataError(f"SemiSync: {w}.lazy.group_of must be the groups of {w}.rows")


def _patterns(given: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    return given if given is None or isinstance(given, str) else tuple(given)


def _named(graph: Graph, argument: str, op: str, patterns: str | Sequence[str]) -> list[str]:
    """Layers of one kind whose name fits a pattern; GraphError when a pattern fits none."""
    known = [n.name for n in graph.nodes if n.op.name == op]
    every = (patterns,) if isinstance(patterns, str) else patterns
    for p in every:
        if any(fnmatchcase(n, p) for n in known):
            continue
        other = next((n for n in graph.nodes if fnmatchcase(n.name, p)), None)
        if other is not None:
            raise GraphError(
                f"SemiSync: {argument} must name layers of the kind {op}, whose rows are cut, "
                f"got {p!r}: {other.name} is a {other.op.name}"
            )
        raise GraphError(f"SemiSync: {argument} must name some of {known}, got {p!r}")
    return [n for n in known if any(fnmatchcase(n, p) for p in every)]


def _only_products_read(graph: Graph, w: str) -> bool:
    """Whether a linear layer and its input gradient are all that reads a weight."""
    readers = [n for n in graph.nodes if w in n.inputs]
    known = ("linear", "linear_backward_input")
    return w not in graph.outputs and all(
        n.op.name in known and n.inputs.index(w) == 1 and n.inputs.count(w) == 1 for n in readers
    )


def _only_active_rows(graph: Graph, dw: str, cut: tuple[str, str, str]) -> bool:
    """Let the node that makes `dw` make the active rows only; False: of grouped convolutions all."""
    node = graph.producers().get(dw)
    if node is None:
        raise GraphError(f"SemiSync: the gradient {dw!r} must be made in the graph")
    kind = node.op.name
    if kind not in ("linear_backward_weight", "conv2d_backward_weight"):
        raise GraphError(
            f"SemiSync: every chosen layer must have a weight of its own, got {dw!r} from {kind}"
        )
    if any(dw in n.inputs for n in graph.nodes):
        raise GraphError(f"SemiSync: nothing else may read the weight gradient {dw!r}")
    at = graph.nodes.index(node)
    if kind == "linear_backward_weight":
        inputs = (*node.inputs[:2], *cut)
        graph.nodes[at] = Node(node.name, LINEAR_BACKWARD_WEIGHT_ROWS, inputs, node.outputs)
        return True
    x, dy, w = node.inputs
    specs = infer_specs(graph, 1)
    assert x is not None and w is not None
    if specs[x].shape[-1] != specs[w].shape[-1]:
        return False  # the active filters alone are no grouped convolution
    active = graph.add(GATHER_CHANNELS, (dy, *cut), {}, f"{node.name}.active")[0]
    graph.nodes.insert(at, graph.nodes.pop())
    rows = CONV2D_BACKWARD_WEIGHT_ROWS
    graph.nodes[at + 1] = Node(node.name, rows, (x, active, w), node.outputs, node.attrs)
    return True
