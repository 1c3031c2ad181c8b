"""The public data sets that can be downloaded: where they are and how they are checked.

Checksums of MNIST and CIFAR-10 are SHA-256 of the decompressed files, computed from the files
themselves. For Fashion-MNIST, CIFAR-100 and STL-10 no copy was at hand: the SHA-256 given is that
of the archive, as published with the checksums of the TensorFlow Datasets catalogue, and the files
inside are checked by size only.
"""

from dataclasses import dataclass

__all__ = ["CATALOG", "Archive", "Member"]


@dataclass(frozen=True)
class Member:
    """A wanted file: name in the tar ("" for a single .gz), place, size, SHA-256 if known."""

    inside: str
    target: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True)
class Archive:
    """One download: its mirrors, best first; size and SHA-256 of the bytes sent, if known."""

    urls: tuple[str, ...]
    members: tuple[Member, ...]
    size: int | None = None
    sha256: str | None = None

    @property
    def is_tar(self) -> bool:
        """True when the files lie in a tar; else the download is one .gz, kept as it is."""
        return bool(self.members[0].inside)

    @property
    def limit(self) -> int:
        """The most bytes that a server may send."""
        # gzip never adds more than a few bytes per 16 KB block: 1 MiB is ample for data that does
        # not compress
        return self.size if self.size is not None else sum(m.size for m in self.members) + (1 << 20)


_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_IDX_SIZES = {
    "train-images-idx3-ubyte": 47040016,
    "train-labels-idx1-ubyte": 60008,
    "t10k-images-idx3-ubyte": 7840016,
    "t10k-labels-idx1-ubyte": 10008,
}
_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION_ARCHIVES = {
    "train-images-idx3-ubyte": (
        26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels-idx1-ubyte": (
        29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    "t10k-images-idx3-ubyte": (
        4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte": (
        5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}  # fmt: skip
_CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


def _cifar100_file(name: str, count: int) -> Member:
    return Member(f"cifar-100-binary/{name}", f"cifar-100-binary/{name}", count * (2 + 3072))


def _stl10_file(name: str, size: int) -> Member:
    return Member(f"stl10_binary/{name}", f"stl10_binary/{name}", size)


CATALOG: dict[str, tuple[Archive, ...]] = {
    "mnist": tuple(
        Archive(
            tuple(f"{mirror}{stem}.gz" for mirror in _MNIST_MIRRORS),
            (Member("", f"mnist/{stem}.gz", size, _MNIST_SHA256[stem]),),
        )
        for stem, size in _IDX_SIZES.items()
    ),
    "fashion-mnist": tuple(
        Archive(
            tuple(f"{mirror}{stem}.gz" for mirror in _FASHION_MIRRORS),
            (Member("", f"fashion-mnist/{stem}.gz", size),),
            *_FASHION_ARCHIVES[stem],
        )
        for stem, size in _IDX_SIZES.items()
    ),
    "cifar10": (
        Archive(
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            tuple(
                Member(
                    f"cifar-10-batches-bin/{name}", f"cifar-10-batches-bin/{name}", 30730000, sha256
                )
                for name, sha256 in _CIFAR10_SHA256.items()
            ),
        ),
    ),
    "cifar100": (
        Archive(
            ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
            (_cifar100_file("train.bin", 50000), _cifar100_file("test.bin", 10000)),
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
    "stl10": (
        Archive(
            ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
            (
                _stl10_file("train_X.bin", 5000 * 27648),
                _stl10_file("train_y.bin", 5000),
                _stl10_file("test_X.bin", 8000 * 27648),
                _stl10_file("test_y.bin", 8000),
            ),
            2640397119,
            "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        ),
    ),
}
