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
def fill_forward(y: Tensor, value: float) -> None: ...
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
) -> None: ...
def conv2d_backward_input(
    dy: Tensor | None,
    w: Tensor | None,
    dx: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None: ...
def conv2d_backward_weight(
    x: Tensor | None,
    dy: Tensor | None,
    dw: Tensor,
    workspace: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None: ...
def bias_workspace(rows: int, columns: int) -> int: ...
def bias_backward(dy: Tensor | None, db: Tensor, workspace: Tensor | None) -> None: ...
def linear_workspace(pass_: str, n: int, i: int, o: int) -> int: ...
def linear_forward(
    x: Tensor | None,
    w: Tensor | None,
    b: Tensor | None,
    y: Tensor,
    workspace: Tensor | None,
    relu: bool,
) -> None: ...
def linear_backward_input(
    dy: Tensor | None, w: Tensor | None, dx: Tensor, workspace: Tensor | None
) -> None: ...
def linear_backward_weight(
    x: Tensor | None, dy: Tensor | None, dw: Tensor, workspace: Tensor | None
) -> None: ...
def linear_backward_weight_rows(
    x: Tensor | None,
    dy: Tensor | None,
    rows: Tensor | None,
    offsets: Tensor | None,
    group: Tensor | None,
    dw: Tensor,
    workspace: Tensor | None,
) -> None: ...
def batch_norm_workspace(x: Sequence[int]) -> int: ...
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
def concat_forward(xs: Sequence[Tensor | None], y: Tensor) -> None: ...
def channel_split_forward(x: Tensor | None, head: Tensor, rest: Tensor) -> None: ...
def channel_scale_workspace(x: Sequence[int]) -> int: ...
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
