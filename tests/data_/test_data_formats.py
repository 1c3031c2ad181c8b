import gzip
import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from sentei.data import load_cifar10, load_cifar100, load_idx, load_npz, load_stl10
from sentei.data.idx import read_idx
from sentei.errors import DataError


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, write, suffix):
    x, y = write.mnist(tmp_path, suffix=suffix)["train"]
    data = load_idx(
        tmp_path / f"train-images-idx3-ubyte{suffix}", tmp_path / f"train-labels-idx1-ubyte{suffix}"
    )
    assert np.array_equal(data.images, x[..., None])
    assert np.array_equal(data.labels, y)
    assert data.labels.dtype == np.int64
    assert len(data.classes) == 10


HEAD = bytes([0, 0, 8, 3]) + bytes([0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4])
HUGE = bytes([0, 0, 8, 3]) + b"\xff" * 12  # a product far beyond 64 bits

DAMAGED_IDX = [
    (b"", "must start with 0x00000803 .* got 0x$"),
    (HEAD[:3], "must start with 0x00000803 .* got 0x000008"),
    (b"\0\0\x08\x01" + HEAD[4:] + bytes(24), "must start with 0x00000803 .* got 0x00000801"),
    (b"\0\0\x0d\x03" + HEAD[4:] + bytes(24), "must start with 0x00000803 .* got 0x00000d03"),
    (HEAD[:9], "must have a header of 16 bytes, got 9"),
    (HEAD[:4] + bytes(12), r"must not be empty, got sizes \[0, 0, 0\]"),
    (HUGE + bytes(24), "must hold 79228162458924105385300197375 bytes"),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("raw", "message"), DAMAGED_IDX)
def test_idx_refuses(tmp_path, raw, message, packed):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_idx_refuses_wrong_lengths(tmp_path):
    path = tmp_path / "images"
    for extra, got in ((-1, 23), (1, 25)):
        path.write_bytes(HEAD + bytes(24 + extra))
        with pytest.raises(DataError, match=f"must hold 24 bytes .* got {got} bytes"):
            read_idx(path, 3)
    path.write_bytes(gzip.compress(HEAD + bytes(23)))
    with pytest.raises(DataError, match=r"got 23 \(truncated\)"):
        read_idx(path, 3)
    path.write_bytes(gzip.compress(HEAD + bytes(25)))
    with pytest.raises(DataError, match=r"got more \(trailing bytes\)"):
        read_idx(path, 3)


def test_idx_refuses_damaged_gzip(tmp_path):
    path = tmp_path / "images.gz"
    raw = gzip.compress(HEAD + np.random.default_rng(0).bytes(24))
    path.write_bytes(raw[:-9])
    with pytest.raises(DataError, match="truncated compressed file"):
        read_idx(path, 3)
    path.write_bytes(raw[:-8] + b"\0\0\0\0" + raw[-4:])
    with pytest.raises(DataError, match="must be readable, got: CRC"):
        read_idx(path, 3)
    path.write_bytes(raw[:12] + b"\xff\xff" + raw[14:])
    with pytest.raises(DataError, match="must be readable, got: Error -3"):
        read_idx(path, 3)


def test_idx_bomb_is_refused_without_allocating(tmp_path, monkeypatch):
    # a small file cannot inflate to what this header promises: refused on sizes alone
    sizes = b"".join(d.to_bytes(4, "big") for d in (1 << 20, 64, 64))
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(HEAD[:4] + sizes + bytes(1 << 16)))
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("allocated"))
    with pytest.raises(DataError, match=r"must hold 4294967296 bytes .* at most"):
        read_idx(path, 3)


def test_idx_bomb_behind_a_small_header_is_not_inflated(tmp_path, monkeypatch):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(HEAD + bytes(1 << 26)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="trailing bytes"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21  # the bomb holds 1 << 26
    finally:
        tracemalloc.stop()


def test_idx_refuses_pairs_that_do_not_fit(tmp_path, write):
    images = write.idx(tmp_path / "i", np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match=r"one label for each of the 3 images .* got 2"):
        load_idx(images, write.idx(tmp_path / "l2", np.zeros(2)))
    labels = write.idx(tmp_path / "l3", [0, 5, 1])
    with pytest.raises(DataError, match=r"l3 must hold labels below 2, got 5 for image 1"):
        load_idx(images, labels, classes=("a", "b"))


def test_refuses_what_is_no_file(tmp_path):
    with pytest.raises(DataError, match="must be a file, got no such file"):
        read_idx(tmp_path / "none", 1)
    with pytest.raises(DataError, match="must be a file, got a folder"):
        read_idx(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="must be a file, got something else"):
        read_idx(tmp_path / "pipe", 1)


@pytest.mark.parametrize("sub", ["", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, write, sub):
    x, y = write.cifar10(tmp_path / sub)
    train, test = load_cifar10(tmp_path)
    assert np.array_equal(np.concatenate([train.images, test.images]), x)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), y)
    assert train.classes[3] == "cat"
    assert (len(train), len(test)) == (15, 3)


def test_cifar10_refuses(tmp_path, write):
    write.cifar10(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    raw = path.read_bytes()
    for bad in (b"", raw[:-1], raw + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=f"records of 3073 bytes, got {len(bad)} bytes") as e:
            load_cifar10(tmp_path)
        assert str(path) in str(e.value)
    path.write_bytes(raw[:3073] + b"\x0a" + raw[3074:])
    with pytest.raises(DataError, match="must hold labels below 10, got 10 for image 1"):
        load_cifar10(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin must be a file, got no such file"):
        load_cifar10(tmp_path)


def make_cifar100(folder, write):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    y = np.stack([rng.integers(0, 20, 4), rng.integers(0, 100, 4)], axis=1).astype(np.uint8)
    for part in ("train", "test"):
        write.cifar(folder / f"{part}.bin", y, x)
    return x, y


@pytest.mark.parametrize(("fine", "count"), [(True, 100), (False, 20)])
def test_cifar100(tmp_path, write, fine, count):
    folder = tmp_path / "cifar-100-binary"
    x, y = make_cifar100(folder, write)
    train, test = load_cifar100(tmp_path, fine)
    assert np.array_equal(train.images, x)
    assert np.array_equal(test.labels, y[:, int(fine)])
    assert train.classes == tuple(str(i) for i in range(count))
    names = [f"name {i}" for i in range(count)]
    names_file = folder / f"{'fine' if fine else 'coarse'}_label_names.txt"
    names_file.write_text("\n".join(names) + "\n\n")
    assert load_cifar100(tmp_path, fine)[0].classes == tuple(names)
    names_file.write_text("\n".join(names[1:]))
    with pytest.raises(DataError, match=f"must hold {count} class names, got {count - 1}"):
        load_cifar100(tmp_path, fine)
    names_file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="must be UTF-8 text"):
        load_cifar100(tmp_path, fine)
    names_file.write_bytes(bytes(1 << 17))
    with pytest.raises(DataError, match="must be below 65536 bytes, got 131072"):
        load_cifar100(tmp_path, fine)


def test_cifar100_refuses_labels(tmp_path, write):
    x, y = make_cifar100(tmp_path, write)
    y[2] = (20, 100)
    write.cifar(tmp_path / "test.bin", y, x)
    with pytest.raises(DataError, match="labels below 100, got 100 for image 2"):
        load_cifar100(tmp_path)
    with pytest.raises(DataError, match="labels below 20, got 20 for image 2"):
        load_cifar100(tmp_path, fine=False)


def test_stl10(tmp_path, write):
    parts = write.stl10(tmp_path / "stl10_binary")
    for data, (x, y) in zip(load_stl10(tmp_path), parts, strict=True):
        assert np.array_equal(data.images, x)
        assert np.array_equal(data.labels, y.astype(np.int64) - 1)
        assert data.classes[7] == "monkey"


@pytest.mark.parametrize("label", [0, 11])
def test_stl10_refuses_labels(tmp_path, write, label):
    write.stl10(tmp_path)
    (tmp_path / "test_y.bin").write_bytes(bytes([1, label]))
    with pytest.raises(DataError, match=f"must hold labels from 1 to 10, got {label} for image 1"):
        load_stl10(tmp_path)


def test_stl10_refuses_lengths(tmp_path, write):
    write.stl10(tmp_path)
    (tmp_path / "train_y.bin").write_bytes(b"\1\1")
    with pytest.raises(
        DataError, match=r"one label for each of the 3 images of train_X.bin, got 2"
    ):
        load_stl10(tmp_path)
    (tmp_path / "train_X.bin").write_bytes(bytes(27649))
    with pytest.raises(DataError, match="records of 27648 bytes, got 27649"):
        load_stl10(tmp_path)


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)
LABELS = np.array([1, 0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", ["u1", "i2", "<i4", ">i4", "i8", "u8"])
def test_npz(tmp_path, save, kind):
    path = tmp_path / "set.npz"
    save(path, images=IMAGES, labels=LABELS.astype(kind), classes=np.array(["no", "yes é"]))
    data = load_npz(path)
    assert np.array_equal(data.images, IMAGES)
    assert data.labels.tolist() == [1, 0]
    assert data.classes == ("no", "yes é")
    assert data.name == "set"


def test_npz_fortran_order_floats_and_targets(tmp_path):
    path = tmp_path / "set.npz"
    x = np.asfortranarray(np.random.default_rng(0).random((3, 4, 5, 2), np.float32))
    t = np.random.default_rng(1).random((3, 2))
    np.savez(path, images=x.astype(">f4", order="F"), labels=t)
    data = load_npz(path)
    assert np.array_equal(data.images, x)
    assert np.array_equal(data.labels, t.astype(np.float32))


NAN = IMAGES.astype(np.float32)
NAN[0, 0, 0, 0] = np.nan
OBJECTS = np.array([{"a": 1}, None], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS}, "must hold an array 'images', got labels"),
        ({"images": IMAGES}, "must hold an array 'labels', got images"),
        ({"images": IMAGES, "labels": OBJECTS}, "must describe 'labels' as a plain array"),
        ({"images": IMAGES, "labels": LABELS > 0}, "must describe 'labels' as a plain array"),
        ({"images": IMAGES.astype(float), "labels": LABELS}, "got float64"),
        ({"images": IMAGES[0], "labels": LABELS}, r"got \(3, 4, 1\)"),
        ({"images": NAN, "labels": LABELS}, "valid data set, got: .* NaN or infinity"),
        ({"images": IMAGES, "labels": LABELS[:1]}, "one entry for each of the 2 images"),
        ({"images": IMAGES, "labels": LABELS - 1}, "got -1"),
        ({"images": IMAGES, "labels": np.array([0, 1 << 63], np.uint64)}, r"below 2\*\*63"),
        ({"images": IMAGES, "labels": LABELS, "classes": np.array(["a"])}, r"\[0, 1\), got 1"),
        ({"images": IMAGES, "labels": LABELS, "classes": LABELS}, "classes as a list of strings"),
        ({"images": IMAGES, "labels": np.array([[1e300], [0]])}, "targets must be finite"),
    ],
)
def test_npz_refuses(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


def npy(header, body=b"", version=1):
    width = 2 if version == 1 else 4
    length = len(header).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin-1") + body


def zipped(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, raw in members.items():
            archive.writestr(f"{name}.npy", raw)


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must hold 'labels' as a .npy array, got 0x$"),
        (b"\x93NUMPY\x07\x00" + bytes(50), "as a .npy array"),
        (npy("x" * 5000), "must have a header below 4096 bytes for 'labels', got 5000"),
        (npy("{'descr': __import__('os')}"), "as a plain array"),
        (npy(HEADER % ("|O", "2,"), bytes(16)), "as a plain array"),
        (
            npy(HEADER % ("<i3", "2,"), bytes(6)),
            "must hold numbers or strings as 'labels', got '<i3'",
        ),
        (npy(HEADER % ("<U0", "2,")), "must hold numbers or strings"),
        (npy(HEADER % ("<i8", "2,"), bytes(15)), r"must hold 16 bytes for 'labels' .* got 15"),
        (npy(HEADER % ("<i8", "2,"), bytes(17)), r"must hold 16 bytes for 'labels' .* got 17"),
        (
            npy(HEADER % ("<i8", "4294967296, 4294967296, 16"), b""),
            "must hold 2361183241434822606848",
        ),
        (npy(HEADER % ("<i8", "0, 99999999999999999999"), b""), "set.npz must"),
    ],
)
def test_npz_refuses_headers(tmp_path, raw, message):
    path = tmp_path / "set.npz"
    zipped(path, {"images": npy(HEADER % ("|u1", "2, 3, 4, 1"), bytes(24)), "labels": raw})
    with pytest.raises(DataError, match=message):
        load_npz(path)


def test_npz_refuses_impossible_code_points(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("classes.npy", npy(HEADER % ("<U1", "2,"), b"\xff" * 8))
    with pytest.raises(DataError, match="must hold classes as Unicode text"):
        load_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_refuses_other_compression(tmp_path, method):
    path = tmp_path / "set.npz"
    zipped(path, {"images": npy("{}"), "labels": npy("{}")}, method)
    with pytest.raises(DataError, match="must be stored or deflated, got compression"):
        load_npz(path)


def test_npz_refuses_a_lying_directory_without_allocating(tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    zipped(path, {"labels": npy(HEADER % ("|u1", "1099511627776,"), bytes(8))})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02") + 24  # the real size, as the central directory has it
    raw[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(raw)
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("allocated"))
    with pytest.raises(DataError, match="must have room for the 4294967280 bytes of 'labels'"):
        load_npz(path)


def test_npz_refuses_a_damaged_body(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    raw = bytearray(path.read_bytes())
    raw[raw.index(bytes(IMAGES))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"whole .npz archive, got: Bad CRC-32"):
        load_npz(path)


def test_npz_refuses_many_members(tmp_path):
    path = tmp_path / "set.npz"
    zipped(path, {f"a{i}": b"" for i in range(65)})
    with pytest.raises(DataError, match="at most 64 arrays, got 65"):
        load_npz(path)


def test_npz_refuses_another_file(tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"must be a whole .npz archive"):
        load_npz(path)


def test_npz_never_unpickles(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Trap()], object), allow_pickle=True)
    zipped(tmp_path / "set.npz", {"images": buffer.getvalue(), "labels": buffer.getvalue()})
    with pytest.raises(DataError, match="as a plain array"):
        load_npz(tmp_path / "set.npz")
    assert not (tmp_path / "sprung").exists()
