"""Whatever is flipped, cut or added, a loader gives a data set or a DataError, nothing else."""

import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentei.data import Dataset, load_cifar10, load_cifar100, load_npz, load_stl10
from sentei.data.idx import load_idx
from sentei.errors import DataError

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "add", "drop"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 255),
    ),
    min_size=1,
    max_size=4,
)
RUNS = settings(max_examples=120, deadline=None)


def damage(raw, edits):
    raw = bytearray(raw)
    for what, place, value in edits:
        at = int(place * len(raw))
        if what == "flip" and raw:
            raw[at] ^= value
        elif what == "cut":
            del raw[at:]
        elif what == "add":
            raw[at:at] = bytes([value]) * (value % 7 + 1)
        elif what == "drop":
            del raw[at : at + value % 7 + 1]
    return bytes(raw)


def survives(read, files):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, raw in files.items():
            (root / name).write_bytes(raw)
        try:
            got = read(root)
        except DataError as error:
            if "\n" in str(error):
                raise AssertionError("more than one line") from error
            return
        for data in got if isinstance(got, tuple) else (got,):
            assert isinstance(data, Dataset)
            assert len(data) > 0


X = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]) + X.tobytes()
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2])


@RUNS
@given(EDITS, EDITS, st.booleans(), st.booleans())
def test_idx(on_images, on_labels, packed, inside):
    def put(raw, edits):
        if not packed:
            return damage(raw, edits)
        if inside:
            return gzip.compress(damage(raw, edits))
        return damage(gzip.compress(raw), edits)

    files = {"i": put(IMAGES, on_images), "l": put(LABELS, on_labels)}
    survives(lambda root: load_idx(root / "i", root / "l"), files)
    survives(lambda root: load_idx(root / "i", root / "l"), {**files, "l": LABELS})


def saved(save):
    buffer = io.BytesIO()
    save(buffer, images=X[..., None], labels=np.arange(3), classes=np.array(["a", "b", "c"]))
    return buffer.getvalue()


NPZ = [saved(np.savez), saved(np.savez_compressed)]


@settings(RUNS, max_examples=400)
@given(EDITS, st.sampled_from(NPZ))
def test_npz(edits, raw):
    survives(lambda root: load_npz(root / "x.npz"), {"x.npz": damage(raw, edits)})


@RUNS
@given(EDITS, st.booleans())
def test_binary(edits, fine):
    two = np.random.default_rng(1).integers(0, 10, 2 * 3073, np.uint8).tobytes()
    files = {f"data_batch_{i}.bin": two for i in range(2, 6)} | {"test_batch.bin": two}
    survives(load_cifar10, {**files, "data_batch_1.bin": damage(two, edits)})
    one = bytes([1, 2]) + bytes(3072)
    hundred = {"train.bin": damage(one, edits), "test.bin": one}
    survives(lambda root: load_cifar100(root, fine), hundred)
    stl = {"train_X.bin": bytes(27648), "train_y.bin": b"\1", "test_X.bin": bytes(27648)}
    survives(load_stl10, {**stl, "test_y.bin": damage(b"\1", edits)})
    survives(load_stl10, {**stl, "train_X.bin": damage(bytes(27648), edits), "test_y.bin": b"\1"})
