import sys

import numpy as np
import pytest

from sentei.data import NAMES, Dataset, load, load_folder
from sentei.data import sources as sources_module
from sentei.errors import DataError


def test_embedded_subset():
    train, test = load("mnist-mini")
    assert train.images.shape == (10000, 28, 28, 1)
    assert test.images.shape == (2000, 28, 28, 1)
    assert train.class_counts().tolist() == [1000] * 10
    assert test.class_counts().tolist() == [200] * 10
    assert train.name == test.name == "mnist-mini"
    assert "LeCun" in train.source


def test_embedded_subset_is_small_and_names_its_licence():
    from importlib import resources

    folder = resources.files("sentei.data") / "embedded"
    assert len((folder / "mnist_mini.npz").read_bytes()) <= 2_600_000
    for name in ("README.md", "LICENSE"):
        assert "CC BY-SA 3.0" in (folder / name).read_text()


def test_embedded_subset_is_what_the_tool_makes(real):
    sub, whole = load("mnist-mini"), load("mnist", real)
    for part, full in zip(sub, whole, strict=True):
        known = {(i.tobytes(), y) for i, y in zip(full.images, full.labels.tolist(), strict=True)}
        assert {
            (i.tobytes(), y) for i, y in zip(part.images, part.labels.tolist(), strict=True)
        } <= known


def test_real_mnist(real):
    train, test = load("mnist", real)
    assert len(train) == 60000
    assert train.class_counts().tolist()[:3] == [5923, 6742, 5958]
    assert test.class_counts().tolist()[:3] == [980, 1135, 1032]
    assert 0.13 < train.images.mean() / 255 < 0.131


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("sub", [".", "mnist", "MNIST/raw"])
def test_mnist_is_found(tmp_path, write, suffix, sub):
    x, y = write.mnist(tmp_path / sub, suffix=suffix)["t10k"]
    train, test = load("mnist", tmp_path)
    assert np.array_equal(test.images[..., 0], x)
    assert np.array_equal(test.labels, y)
    assert (len(train), train.name, len(train.classes)) == (12, "mnist", 10)


def test_mnist_under_its_other_name(tmp_path, write):
    write.mnist(tmp_path)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(load("mnist", tmp_path)[0]) == 12


def test_mnist_refuses_a_label_beyond_9(tmp_path, write):
    write.mnist(tmp_path)
    write.idx(tmp_path / "t10k-labels-idx1-ubyte", [0, 1, 10, 2, 3])
    with pytest.raises(DataError, match="labels below 10, got 10 for image 2"):
        load("mnist", tmp_path)


def test_fashion_mnist(tmp_path, write):
    write.mnist(tmp_path / "fashion-mnist", seed=1)
    write.mnist(tmp_path, seed=2)
    train, _ = load("fashion-mnist", tmp_path)
    assert train.classes[9] == "Ankle boot"
    assert not np.array_equal(train.images, load("mnist", tmp_path)[0].images)


def test_fashion_mnist_refuses_mnist(real):
    with pytest.raises(DataError, match="must hold Fashion-MNIST, got the labels of MNIST"):
        load("fashion-mnist", real / "mnist")


def test_named_binary_sets(tmp_path, write):
    write.cifar10(tmp_path / "cifar-10-batches-bin")
    write.stl10(tmp_path / "stl10_binary")
    image = np.zeros((1, 32, 32, 3), np.uint8)
    for part in ("train", "test"):
        path = tmp_path / "cifar-100-binary" / f"{part}.bin"
        write.cifar(path, np.array([[19, 99]]), image)
    assert len(load("cifar10", tmp_path)[0]) == 15
    assert len(load("cifar10", tmp_path / "cifar-10-batches-bin")[1]) == 3
    assert load("cifar100", tmp_path)[0].labels.tolist() == [99]
    assert load("cifar100", tmp_path, fine=False)[0].labels.tolist() == [19]
    assert load("stl10", tmp_path)[0].shape == (96, 96, 3)
    assert load("stl10", tmp_path, size=8)[1].shape == (8, 8, 3)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "mnist-mini"])
def test_files_not_found(tmp_path, name):
    with pytest.raises(DataError, match="looked in") as caught:
        load(name, tmp_path)
    text = str(caught.value)
    assert f"`sentei data download {name} --data-dir {tmp_path}` fetches it" in text
    assert str(tmp_path) in text
    assert "\n" not in text
    with pytest.raises(DataError, match="needs data_dir, got None"):
        load(name)


def test_one_missing_file_is_named(tmp_path, write):
    write.cifar10(tmp_path)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch.bin must be a file, got no such file"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"), [("minst", "did you mean 'mnist'"), ("cifar-10", "did you mean 'cifar10'")]
)
def test_unknown_name(name, hint):
    with pytest.raises(DataError, match=hint):
        load(name)


def test_npz_is_split(tmp_path):
    path = tmp_path / "own.npz"
    x = np.zeros((50, 4, 4, 1), np.uint8)
    x[:, 0, 0, 0] = np.arange(50)
    np.savez(path, images=x, labels=np.arange(50) % 5)
    train, test = load(path, seed=1)
    assert (len(train), len(test)) == (40, 10)
    assert test.class_counts().tolist() == [2] * 5
    assert not set(train.images[:, 0, 0, 0]) & set(test.images[:, 0, 0, 0])
    assert np.array_equal(test.images, load(str(path), seed=1)[1].images)


def test_npz_with_its_own_parts(tmp_path):
    path = tmp_path / "own.npz"
    parts = {f"{p}_labels": np.arange(n) for p, n in (("train", 3), ("test", 2))}
    images = {
        f"{p}_images": np.zeros((n, 4, 4, 1), np.uint8) for p, n in (("train", 3), ("test", 2))
    }
    np.savez(path, classes=np.array(["a", "b", "c"]), **parts, **images)
    train, test = load(path)
    assert (len(train), len(test), test.classes) == (3, 2, ("a", "b", "c"))
    np.savez(path, **parts, **images | {"test_images": np.zeros((2, 5, 4, 1), np.uint8)})
    with pytest.raises(DataError, match="images of one shape"):
        load(path)


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def make_folder(root, pillow, sizes=((6, 5), (6, 5)), classes=("cat", "ant")):
    rng = np.random.default_rng(0)
    made = {}
    for name in classes:
        (root / name).mkdir(parents=True)
        for i, size in enumerate(sizes):
            pixels = rng.integers(0, 256, (*size, 3), np.uint8)
            pillow.fromarray(pixels).save(root / name / f"{i}.png")
            made[name, i] = pixels
    return made


def test_folder(tmp_path, pillow):
    made = make_folder(tmp_path / "zoo", pillow)
    (tmp_path / "zoo" / "ant" / "notes.txt").write_text("passed over")
    (tmp_path / "zoo" / ".hidden").mkdir()
    data = load_folder(tmp_path / "zoo")
    assert data.classes == ("ant", "cat")
    assert data.labels.tolist() == [0, 0, 1, 1]
    want = [made["ant", 0], made["ant", 1], made["cat", 0], made["cat", 1]]
    assert np.array_equal(data.images, np.stack(want))
    assert load_folder(tmp_path / "zoo", channels=1).shape == (6, 5, 1)
    assert load_folder(tmp_path / "zoo", size=(4, 3)).shape == (4, 3, 3)


def test_folder_through_load(tmp_path, pillow):
    make_folder(tmp_path / "flat", pillow, sizes=[(6, 5)] * 5)
    train, test = load(tmp_path / "flat")
    assert (len(train), len(test)) == (8, 2)
    for part in ("train", "test"):
        make_folder(tmp_path / "cut" / part, pillow, sizes=[(6, 5), (9, 9)])
    train, test = load(tmp_path / "cut", size=8, channels=1)
    assert train.shape == test.shape == (8, 8, 1)
    (tmp_path / "cut" / "test" / "ant").rename(tmp_path / "cut" / "test" / "bee")
    with pytest.raises(DataError, match="same classes in train and test, got ant, bee in one only"):
        load(tmp_path / "cut", size=8)


def test_folder_refuses(tmp_path, pillow):
    with pytest.raises(DataError, match="must be a folder, got nothing"):
        load_folder(tmp_path / "none")
    with pytest.raises(DataError, match="channels must be 1 or 3, got 4"):
        load_folder(tmp_path, channels=4)
    with pytest.raises(DataError, match="sub-folder for each class, got none"):
        load_folder(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(DataError, match="ant must hold images"):
        load_folder(tmp_path)
    pillow.new("RGB", (4, 4)).save(tmp_path / "ant" / "a.png")
    pillow.new("RGB", (5, 4)).save(tmp_path / "ant" / "b.png")
    with pytest.raises(DataError, match=r"b.png must have the size of the first image \(4, 4\)"):
        load_folder(tmp_path)
    pillow.new("I;16", (4, 4)).save(tmp_path / "ant" / "b.png")
    with pytest.raises(DataError, match="8 bits a channel, got mode 'I;16'"):
        load_folder(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    pillow.fromarray(noise).save(tmp_path / "ant" / "b.png")
    whole = (tmp_path / "ant" / "b.png").read_bytes()
    for bad in (b"", b"not an image", whole[:40], whole[:400]):
        (tmp_path / "ant" / "b.png").write_bytes(bad)
        with pytest.raises(DataError, match=r"b.png must be a readable image, got"):
            load_folder(tmp_path)


def test_folder_refuses_a_picture_bomb(tmp_path, pillow):
    (tmp_path / "ant").mkdir()
    # 1 bit a pixel and all alike: 70 million pixels in a few kilobytes
    pillow.new("1", (10000, 7000)).save(tmp_path / "ant" / "a.png")
    with pytest.raises(DataError, match="at most 67108864 pixels, got 10000 x 7000"):
        load_folder(tmp_path)


def test_folder_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r'pip install "sentei\[images\]"'):
        load_folder(tmp_path)


def test_every_named_set_has_folders():
    assert set(sources_module._FOLDERS) == set(NAMES) - {"mnist-mini"}
    assert isinstance(load("mnist-mini")[0], Dataset)
