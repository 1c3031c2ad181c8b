"""Signatures of the compiled module."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike, NDArray

__version__: str

class Tensor:
    @staticmethod
    def empty(
        shape: Sequence[int], dtype: str = "float32", arena: bool = False, device: str = "cpu"
    ) -> Tensor: ...
    @staticmethod
    def zeros(shape: Sequence[int], dtype: str = "float32", device: str = "cpu") -> Tensor: ...
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
    def copy_from(self, source: NDArray[Any] | Tensor) -> None: ...
    def view(self, shape: Sequence[int], offset: int = 0, dtype: str | None = None) -> Tensor: ...
    def overlaps(self, other: Tensor) -> bool: ...
    def numpy(self) -> NDArray[Any]: ...
    def to(self, device: str) -> Tensor: ...
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

class Capture:
    def __init__(self) -> None: ...
    def end(self) -> None: ...
    def replay(self) -> None: ...

def install_backend(capsule: Any) -> None: ...
def installed_backend() -> str | None: ...
def synchronize() -> None: ...
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor: ...
def set_poison(on: bool) -> None: ...
def poison() -> bool: ...
def build_info() -> dict[str, Any]: ...
def isa_info() -> dict[str, Any]: ...
def precisions(device: str) -> list[str]: ...
def bfloat16_info() -> dict[str, Any]: ...
def set_bfloat16_unit(name: str) -> None: ...
def threads() -> int: ...
def threads_source() -> str: ...
def set_threads(n: int) -> None: ...
def default_threads() -> int: ...
def philox(seed: int, stream: int, step: int, index: int) -> list[int]: ...
def add_forward(a: Tensor | None, b: Tensor | None, y: Tensor, relu: bool = False) -> None: ...
def fill_forward(y: Tensor, value: float) -> None: ...
def gather_batch_forward(
    images: Tensor, plan: Tensor, scale: Tensor, shift: Tensor, x: Tensor
) -> None: ...
def record_append(
    total: Tensor, loss: Tensor, correct: Tensor | None, log: Tensor, at: Tensor
) -> None: ...
def conv2d_geometry(
    x: Sequence[int],
    w: Sequence[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]: ...
def conv2d_workspace(
    pass_: str,
    x: Sequence[int],
    w: Sequence[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
    device: str = "cpu",
) -> int: ...
def conv2d_forward(
    x: Tensor | None,
    w: Tensor | None,
    b: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    relu: bool,
    precision: str = "float32",
) -> None: ...
def conv2d_packing(
    x: Sequence[int],
    w: Sequence[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
    device: str = "cpu",
) -> tuple[str, int, int]: ...
def conv2d_pack(
    w: Tensor,
    packed: Tensor,
    x: Sequence[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
) -> None: ...
def conv2d_packed_forward(
    x: Tensor,
    packed: Tensor,
    w: Sequence[int],
    b: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    relu: bool,
    precision: str = "float32",
) -> None: ...
def conv2d_backward_input(
    dy: Tensor | None,
    w: Tensor | None,
    dx: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
) -> None: ...
def conv2d_backward_weight(
    x: Tensor | None,
    dy: Tensor | None,
    dw: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
) -> None: ...
def conv2d_statistics_workspace(
    x: Sequence[int],
    w: Sequence[int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
    device: str = "cpu",
) -> int: ...
def conv2d_statistics_forward(
    x: Tensor | None,
    w: Tensor | None,
    b: Tensor | None,
    y: Tensor,
    mean: Tensor,
    var: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    precision: str = "float32",
) -> None: ...
def bias_workspace(rows: int, columns: int, device: str = "cpu") -> int: ...
def bias_backward(dy: Tensor | None, db: Tensor, workspace: Tensor | None) -> None: ...
def linear_workspace(
    pass_: str, n: int, i: int, o: int, precision: str = "float32", device: str = "cpu"
) -> int: ...
def linear_forward(
    x: Tensor | None,
    w: Tensor | None,
    b: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    relu: bool,
    precision: str = "float32",
) -> None: ...
def linear_backward_input(
    dy: Tensor | None,
    w: Tensor | None,
    dx: Tensor,
    workspace: Tensor | None,
    precision: str = "float32",
) -> None: ...
def linear_backward_weight(
    x: Tensor | None,
    dy: Tensor | None,
    dw: Tensor,
    workspace: Tensor | None,
    precision: str = "float32",
) -> None: ...
def linear_backward_weight_rows(
    x: Tensor | None,
    dy: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    dw: Tensor,
    workspace: Tensor | None,
    precision: str = "float32",
) -> None: ...
def linear_lazy_workspace(
    pass_: str, n: int, i: int, o: int, precision: str = "float32", device: str = "cpu"
) -> int: ...
def linear_lazy_forward(
    x: Tensor | None,
    w: Tensor | None,
    v: Tensor | None,
    coef: Tensor | None,
    group_of: Tensor | None,
    b: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    relu: bool,
    precision: str = "float32",
) -> None: ...
def linear_lazy_backward_input(
    dy: Tensor | None,
    w: Tensor | None,
    v: Tensor | None,
    coef: Tensor | None,
    group_of: Tensor | None,
    dx: Tensor,
    workspace: Tensor | None,
    precision: str = "float32",
) -> None: ...
def sgd_update(
    w: Tensor | None,
    g: Tensor | None,
    v: Tensor | None,
    lr: Tensor | None,
    momentum: float,
    weight_decay: float,
    l2: float,
) -> None: ...
def sgd_update_many(
    lr: Tensor | None,
    xs: Sequence[Tensor | None],
    with_v: bool,
    momentum: Sequence[float],
    weight_decay: Sequence[float],
    l2: Sequence[float],
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
def gather_channels_forward(
    x: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    y: Tensor | None,
) -> None: ...
def semi_sync_adaptive_update(
    w: Tensor | None,
    dw: Tensor | None,
    h: Tensor | None,
    v: Tensor | None,
    count: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    lr: Tensor | None,
    rule: str,
    beta1: float,
    beta2: float,
    eps: float,
    eps_inside: bool,
    weight_decay: float,
    l2: float,
    compact: bool,
    workspace: Tensor,
) -> None: ...
def semi_sync_update_lazy(
    w: Tensor | None,
    dw: Tensor | None,
    v: Tensor | None,
    coef: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    lr: Tensor | None,
    momentum: float,
    weight_decay: float,
    l2: float,
    workspace: Tensor,
) -> None: ...
def semi_sync_materialise(
    w: Tensor | None, v: Tensor | None, coef: Tensor | None, group_of: Tensor | None
) -> None: ...
def semi_sync_lazy_weight(
    w: Tensor | None,
    v: Tensor | None,
    coef: Tensor | None,
    group_of: Tensor | None,
    out: Tensor,
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
def score_from_gradients(
    stats: Tensor | None, rows: Sequence[Tensor | None], bias: Sequence[bool]
) -> None: ...
def trace_accumulate(
    x: Tensor | None, mean_g: Tensor | None, stats: Tensor | None, workspace: Tensor
) -> None: ...
def batch_norm_pool_workspace(x: Sequence[int], device: str = "cpu") -> int: ...
def batch_norm_pool_forward(
    x: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    y: Tensor,
    index: Tensor,
    mean: Tensor,
    rstd: Tensor,
    workspace: Tensor | None,
    eps: float,
    momentum: float,
    relu: bool,
    batch_mean: Tensor | None = None,
    batch_var: Tensor | None = None,
) -> None: ...
def batch_norm_pool_backward(
    dy: Tensor | None,
    index: Tensor | None,
    x: Tensor | None,
    gamma: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    beta: Tensor | None,
    dx: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
    workspace: Tensor | None,
    relu: bool,
) -> None: ...
def batch_norm_add_workspace(x: Sequence[int], device: str = "cpu") -> int: ...
def batch_norm_add_forward(
    x: Tensor | None,
    other: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    workspace: Tensor | None,
    eps: float,
    momentum: float,
    batch_mean: Tensor | None = None,
    batch_var: Tensor | None = None,
) -> None: ...
def batch_norm_add_backward(
    dy: Tensor | None,
    y: Tensor | None,
    x: Tensor | None,
    gamma: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    dx: Tensor,
    dother: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
    workspace: Tensor | None,
) -> None: ...
def batch_norm_join_workspace(x: Sequence[int], device: str = "cpu") -> int: ...
def batch_norm_join_forward(
    x: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    other: Tensor | None,
    other_gamma: Tensor | None,
    other_beta: Tensor | None,
    other_running_mean: Tensor | None,
    other_running_var: Tensor | None,
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    other_mean: Tensor,
    other_rstd: Tensor,
    workspace: Tensor | None,
    eps: float,
    momentum: float,
) -> None: ...
def batch_norm_join_backward(
    dy: Tensor | None,
    y: Tensor | None,
    x: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    other: Tensor | None,
    other_gamma: Tensor | None,
    other_beta: Tensor | None,
    other_mean: Tensor | None,
    other_rstd: Tensor | None,
    dx: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
    dother: Tensor,
    dother_gamma: Tensor,
    dother_beta: Tensor,
    workspace: Tensor | None,
) -> None: ...
def score_workspace(shape: Sequence[int], rows: int, device: str = "cpu") -> int: ...
def batch_norm_workspace(x: Sequence[int], device: str = "cpu") -> int: ...
def batch_norm_forward(
    x: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    workspace: Tensor | None,
    eps: float,
    momentum: float,
    relu: bool,
    batch_mean: Tensor | None = None,
    batch_var: Tensor | None = None,
) -> None: ...
def batch_norm_backward(
    dy: Tensor | None,
    x: Tensor | None,
    gamma: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor | None,
    beta: Tensor | None,
    dx: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
    workspace: Tensor | None,
    relu: bool,
) -> None: ...
def batch_norm_inference_forward(
    x: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    eps: float,
    relu: bool,
) -> None: ...
def batch_norm_inference_backward(
    dy: Tensor | None,
    x: Tensor | None,
    gamma: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    beta: Tensor | None,
    dx: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
    workspace: Tensor | None,
    eps: float,
    relu: bool,
) -> None: ...
def batch_norm_inference_backward_input(
    dy: Tensor | None,
    gamma: Tensor | None,
    var: Tensor | None,
    x: Tensor | None,
    mean: Tensor | None,
    beta: Tensor | None,
    dx: Tensor,
    workspace: Tensor | None,
    eps: float,
    relu: bool,
) -> None: ...
def vmath(name: str, isa: str, x: Tensor, y: Tensor) -> None: ...
def relu_forward(x: Tensor | None, y: Tensor) -> None: ...
def relu_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor) -> None: ...
def leaky_relu_forward(x: Tensor | None, y: Tensor, alpha: float) -> None: ...
def leaky_relu_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor, alpha: float) -> None: ...
def elu_forward(x: Tensor | None, y: Tensor, alpha: float) -> None: ...
def elu_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor, alpha: float) -> None: ...
def clip_forward(x: Tensor | None, y: Tensor, low: float, high: float) -> None: ...
def clip_backward(
    y: Tensor | None, dy: Tensor | None, dx: Tensor, low: float, high: float
) -> None: ...
def logistic_forward(x: Tensor | None, y: Tensor) -> None: ...
def logistic_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor) -> None: ...
def tanh_forward(x: Tensor | None, y: Tensor) -> None: ...
def tanh_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor) -> None: ...
def softplus_forward(x: Tensor | None, y: Tensor) -> None: ...
def softplus_backward(x: Tensor | None, dy: Tensor | None, dx: Tensor) -> None: ...
def step_forward(x: Tensor | None, y: Tensor) -> None: ...
def prelu_forward(x: Tensor | None, a: Tensor | None, y: Tensor) -> None: ...
def prelu_backward_workspace(n: int, device: str = "cpu") -> int: ...
def prelu_backward(
    x: Tensor | None,
    a: Tensor | None,
    dy: Tensor | None,
    dx: Tensor,
    da: Tensor,
    workspace: Tensor | None,
) -> None: ...
def softmax_forward(x: Tensor | None, y: Tensor) -> None: ...
def softmax_backward(y: Tensor | None, dy: Tensor | None, dx: Tensor) -> None: ...
def dropout_forward(
    x: Tensor | None, rng: Tensor | None, y: Tensor, keep: float, stream: int, inverted: bool
) -> None: ...
def dropout_backward(
    dy: Tensor | None, rng: Tensor | None, dx: Tensor, keep: float, stream: int, inverted: bool
) -> None: ...
def dropout_mask(rng: Tensor, mask: Tensor, keep: float, stream: int) -> None: ...
def scale_forward(x: Tensor | None, y: Tensor, factor: float) -> None: ...
def mask_multiply_forward(
    x: Tensor | None, mask: Tensor | None, y: Tensor, factor: float
) -> None: ...
def maxout_forward(x: Tensor | None, y: Tensor, index: Tensor, pieces: int) -> None: ...
def maxout_backward(dy: Tensor | None, index: Tensor | None, dx: Tensor, pieces: int) -> None: ...
def gate_forward(m: Tensor | None, h: Tensor, kind: str, alpha: float) -> None: ...
def gate_backward(
    m: Tensor | None, dh: Tensor | None, dm: Tensor, kind: str, alpha: float
) -> None: ...
def gate_clip(m: Tensor | None, bound: float) -> None: ...
def gate_weights_forward(w: Tensor | None, h: Tensor | None, y: Tensor) -> None: ...
def gate_weights_backward(
    dy: Tensor | None,
    w: Tensor | None,
    h: Tensor | None,
    dw: Tensor,
    dh: Tensor,
    estimator: str,
) -> None: ...
def gate_penalty_forward(h: Tensor | None, value: Tensor, lam: float) -> None: ...
def gate_penalty_backward(dvalue: Tensor | None, dh: Tensor, lam: float) -> None: ...
def sparse_penalty_workspace(shape: Sequence[int], form: str, device: str = "cpu") -> int: ...
def sparse_penalty_forward(
    u: Tensor | None, value: Tensor, lam: float, form: str, workspace: Tensor | None
) -> None: ...
def sparse_penalty_backward(
    u: Tensor | None, dvalue: Tensor | None, du: Tensor, lam: float, form: str
) -> None: ...
def discriminant_penalty_workspace(classes: int) -> int: ...
def discriminant_penalty_forward(
    y: Tensor | None,
    labels: Tensor | None,
    value: Tensor,
    within: Tensor,
    total: Tensor,
    ratio: Tensor,
    lam: float,
    workspace: Tensor | None,
) -> None: ...
def discriminant_penalty_backward(
    y: Tensor | None,
    labels: Tensor | None,
    dvalue: Tensor | None,
    dy: Tensor,
    lam: float,
    workspace: Tensor | None,
) -> None: ...
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
def distillation_forward(
    logits: Tensor | None,
    labels: Tensor | None,
    teacher: Tensor | None,
    loss: Tensor,
    per_sample: Tensor,
    dlogits: Tensor,
    correct: Tensor,
    mean: bool,
    alpha: float,
    temperature: float,
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
def pool2d_geometry(
    op: str,
    x: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
) -> list[int]: ...
def max_pool2d_forward(
    x: Tensor | None,
    y: Tensor,
    index: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
) -> None: ...
def max_pool2d_backward(
    dy: Tensor | None,
    index: Tensor | None,
    dx: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
) -> None: ...
def avg_pool2d_forward(
    x: Tensor | None, y: Tensor, kernel: Sequence[int], stride: Sequence[int]
) -> None: ...
def avg_pool2d_backward(
    dy: Tensor | None, dx: Tensor, kernel: Sequence[int], stride: Sequence[int]
) -> None: ...
def global_avg_pool_forward(x: Tensor | None, y: Tensor) -> None: ...
def global_avg_pool_backward(dy: Tensor | None, dx: Tensor) -> None: ...
def pad2d_geometry(op: str, x: Sequence[int], pads: Sequence[int]) -> list[int]: ...
def pad2d_forward(x: Tensor | None, y: Tensor, pads: Sequence[int], lowest: bool) -> None: ...
def pad2d_backward(dy: Tensor | None, dx: Tensor, pads: Sequence[int]) -> None: ...
def concat_forward(xs: Sequence[Tensor | None], y: Tensor) -> None: ...
def channel_split_forward(x: Tensor | None, head: Tensor, rest: Tensor) -> None: ...
def channel_scale_workspace(x: Sequence[int], device: str = "cpu") -> int: ...
def channel_scale_forward(
    x: Tensor | None, m: Tensor | None, y: Tensor, workspace: Tensor | None
) -> None: ...
def channel_scale_backward(
    dy: Tensor | None,
    x: Tensor | None,
    m: Tensor | None,
    dx: Tensor,
    dm: Tensor,
    workspace: Tensor | None,
) -> None: ...
