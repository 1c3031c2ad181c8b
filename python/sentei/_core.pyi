"""Signatures of the compiled module."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike, NDArray

__version__: str

class Tensor:
    @staticmethod
    def empty(shape: Sequence[int], dtype: str = "float32", arena: bool = False) -> Tensor: ...
    @staticmethod
    def zeros(shape: Sequence[int], dtype: str = "float32") -> Tensor: ...
    @staticmethod
    def from_numpy(array: NDArray[Any]) -> Tensor: ...
    @staticmethod
    def borrow(array: NDArray[Any]) -> Tensor: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def copy_from(self, source: NDArray[Any]) -> None: ...
    def view(self, shape: Sequence[int], offset: int = 0, dtype: str | None = None) -> Tensor: ...
    def overlaps(self, other: Tensor) -> bool: ...
    def numpy(self) -> NDArray[Any]: ...
    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __len__(self) -> int: ...

def from_dlpack(x: Any) -> Tensor: ...
def set_poison(on: bool) -> None: ...
def poison() -> bool: ...
def build_info() -> dict[str, Any]: ...
def isa_info() -> dict[str, Any]: ...
def threads() -> int: ...
def threads_source() -> str: ...
def set_threads(n: int) -> None: ...
def default_threads() -> int: ...
def philox(seed: int, stream: int, step: int, index: int) -> list[int]: ...
def add_forward(a: Tensor | None, b: Tensor | None, y: Tensor) -> None: ...
def sgd_update(
    w: Tensor | None,
    g: Tensor | None,
    v: Tensor | None,
    lr: Tensor | None,
    momentum: float,
    weight_decay: float,
    l2: float,
) -> None: ...
def adagrad_update(
    w: Tensor | None,
    g: Tensor | None,
    h: Tensor | None,
    lr: Tensor | None,
    eps: float,
    weight_decay: float,
    l2: float,
) -> None: ...
def rmsprop_update(
    w: Tensor | None,
    g: Tensor | None,
    h: Tensor | None,
    lr: Tensor | None,
    alpha: float,
    eps: float,
    weight_decay: float,
    l2: float,
) -> None: ...
def adam_update(
    w: Tensor | None,
    g: Tensor | None,
    m: Tensor | None,
    v: Tensor | None,
    t: Tensor | None,
    lr: Tensor | None,
    beta1: float,
    beta2: float,
    eps: float,
    eps_inside: bool,
    weight_decay: float,
    l2: float,
) -> None: ...
def semi_sync_update(
    w: Tensor | None,
    dw: Tensor | None,
    v: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    lr: Tensor | None,
    momentum: float,
    weight_decay: float,
    l2: float,
    compact: bool,
    workspace: Tensor,
) -> None: ...
def counter_advance(counter: Tensor | None, modulo: int) -> None: ...
def score_accumulate(
    x: Tensor | None,
    g: Tensor | None,
    stats: Tensor | None,
    sum_x: Tensor | None,
    sum_g: Tensor | None,
    workspace: Tensor,
) -> None: ...
def trace_accumulate(
    x: Tensor | None, mean_g: Tensor | None, stats: Tensor | None, workspace: Tensor
) -> None: ...
def score_workspace(shape: Sequence[int], rows: int) -> int: ...
def softmax_cross_entropy_forward(
    logits: Tensor | None,
    labels: Tensor | None,
    loss: Tensor,
    per_sample: Tensor,
    dlogits: Tensor,
    correct: Tensor,
    mean: bool,
) -> None: ...
def sigmoid_cross_entropy_forward(
    logits: Tensor | None,
    labels: Tensor | None,
    loss: Tensor,
    per_sample: Tensor,
    dlogits: Tensor,
    correct: Tensor,
    mean: bool,
) -> None: ...
def elementwise_loss_forward(
    y: Tensor | None,
    t: Tensor | None,
    loss: Tensor,
    per_sample: Tensor,
    grad: Tensor,
    kind: str,
    parameter: float,
    mean: bool,
) -> None: ...
def loss_backward(grad: Tensor | None, dloss: Tensor | None, dx: Tensor, mean: bool) -> None: ...
