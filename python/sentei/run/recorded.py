"""Calls that on a device are captured once and replayed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from sentei._core import Capture

__all__ = ["Recorded"]


class Recorded:
    """Runs calls in order. On cuda: once as they are, which checks them, then captured and replayed."""

    def __init__(self, calls: Sequence[Callable[[], None]], device: str) -> None:
        self._calls, self._device = calls, device
        self._capture: Capture | None = None
        self._warm = False

    def __call__(self) -> None:
        if self._device == "cpu" or not self._warm:
            self.plain()
            self._warm = True
            return
        if self._capture is None:
            self._capture = self._record()
        self._capture.replay()

    def plain(self) -> None:
        """Run without a capture."""
        for call in self._calls:
            call()

    def _record(self) -> Capture:
        collects = gc.isenabled()
        gc.disable()  # memory of other objects must not be given back inside a capture
        capture = Capture()
        try:
            self.plain()
            capture.end()
        except BaseException:
            del capture  # ends it
            raise
        finally:
            if collects:
                gc.enable()
        return capture
