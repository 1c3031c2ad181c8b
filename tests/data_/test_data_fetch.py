"""Downloads, from a server of this process; nothing leaves the machine."""

import gzip
import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sentei.data import catalog, download, fetch, load
from sentei.data.catalog import CATALOG, Archive, Member
from sentei.errors import DataError


class Server:
    """Serves `files`; `cut` names a number of bytes after which it closes the connection."""

    def __init__(self):
        self.files, self.cut, self.ranges, self.seen = {}, None, True, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, request):
        start = request.headers.get("Range")
        self.seen.append((request.path, start))
        body = self.files.get(request.path[1:])
        if body is None:
            request.send_error(404)
            return
        first = int(start[6:-1]) if start and self.ranges else 0
        if first >= len(body) and start:
            request.send_error(416)
            return
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(body) - first))
        request.end_headers()
        body = body[first:]
        request.wfile.write(body if self.cut is None else body[: self.cut])

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()


def sha256(raw):
    return hashlib.sha256(raw).hexdigest()


def serve_mnist(server, monkeypatch, write, folder, urls=("a/",), **changes):
    write.mnist(folder)
    archives = []
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        server.files[f"a/{path.name}.gz"] = gzip.compress(raw)
        member = Member("", f"mnist/{path.name}.gz", len(raw), sha256(raw))
        mirrors = tuple(f"{server.url}{u}{path.name}.gz" for u in urls)
        archives.append(Archive(mirrors, (member,), **changes))
    monkeypatch.setitem(CATALOG, "mnist", tuple(archives))


def serve_cifar10(server, monkeypatch, write, folder):
    write.cifar10(folder)
    members, buffer = [], io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
        for path in sorted(folder.iterdir()):
            raw, inside = path.read_bytes(), f"cifar-10-batches-bin/{path.name}"
            tar.add(path, inside)
            members.append(Member(inside, inside, len(raw), sha256(raw)))
    server.files["c.tar.gz"] = buffer.getvalue()
    archive = Archive((f"{server.url}c.tar.gz",), tuple(members))
    monkeypatch.setitem(CATALOG, "cifar10", (archive,))
    return archive


def left_over(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.part"))


def test_mnist(tmp_path, write, server, monkeypatch):
    serve_mnist(server, monkeypatch, write, tmp_path / "src")
    calls = []
    paths = download("mnist", tmp_path / "data", lambda *a: calls.append(a))
    assert len(paths) == 4
    assert all(p.is_file() for p in paths)
    assert len(load("mnist", tmp_path / "data")[0]) == 12
    assert left_over(tmp_path) == []
    name, done, total = calls[-1]
    assert name.endswith(".gz")
    assert done == total == len(server.files[f"a/{name}"])


def test_what_is_there_is_kept_and_what_is_damaged_is_fetched_again(
    tmp_path, write, server, monkeypatch
):
    serve_mnist(server, monkeypatch, write, tmp_path / "src")
    paths = download("mnist", tmp_path)
    server.seen.clear()
    download("mnist", tmp_path)
    assert server.seen == []
    good = paths[2].read_bytes()
    paths[2].write_bytes(good[:-3])
    download("mnist", tmp_path)
    assert len(server.seen) == 1
    assert paths[2].read_bytes() == good


def test_cifar10_and_nothing_else_out_of_the_tar(tmp_path, write, server, monkeypatch):
    serve_cifar10(server, monkeypatch, write, tmp_path / "src")
    download("cifar10", tmp_path / "data")
    assert len(load("cifar10", tmp_path / "data")[0]) == 15
    found = sorted(p.name for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert found == sorted(p.name for p in (tmp_path / "src").iterdir())
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed_or_started_again(
    tmp_path, write, server, monkeypatch, ranges
):
    serve_cifar10(server, monkeypatch, write, tmp_path / "src")
    server.cut = 5000
    with pytest.raises(DataError, match=r"connection (lost|closed)"):
        download("cifar10", tmp_path / "data")
    assert left_over(tmp_path / "data") == ["cifar-10-batches-bin/c.tar.gz.part"]
    server.cut, server.ranges = None, ranges
    download("cifar10", tmp_path / "data")
    assert server.seen[-1] == ("/c.tar.gz", "bytes=5000-")
    assert left_over(tmp_path) == []


def test_the_next_mirror_is_tried(tmp_path, write, server, monkeypatch):
    serve_mnist(server, monkeypatch, write, tmp_path / "src", urls=("gone/", "bad/", "a/"))
    for name in list(server.files):
        server.files[name.replace("a/", "bad/")] = gzip.compress(b"something else")
    download("mnist", tmp_path)
    assert len(load("mnist", tmp_path)[0]) == 12


def change(server, edit):
    for name, raw in server.files.items():
        server.files[name] = edit(raw)


def flip_last_pixel(raw):
    plain = gzip.decompress(raw)
    return gzip.compress(plain[:-1] + bytes([plain[-1] ^ 1]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (flip_last_pixel, r"has SHA-256 \w{64}, expected \w{64}"),
        (lambda raw: gzip.compress(gzip.decompress(raw)[:-1]), r"holds \d+ bytes, expected \d+"),
        (lambda raw: gzip.compress(gzip.decompress(raw) + b"x"), "holds more bytes, expected"),
        (lambda raw: raw[:-4], "is no whole gzip file"),
        (lambda raw: b"<html>", "is no whole gzip file"),
        (lambda raw: bytes(2 << 20), r"sent more than \d+ bytes"),
    ],
)
def test_wrong_bytes_are_refused_and_not_kept(tmp_path, write, server, monkeypatch, edit, message):
    serve_mnist(server, monkeypatch, write, tmp_path / "src")
    change(server, edit)
    with pytest.raises(DataError, match=message) as caught:
        download("mnist", tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert [p for p in (tmp_path / "data").rglob("*") if p.is_file()] == []


def test_wrong_archive_is_refused(tmp_path, write, server, monkeypatch):
    wrong = {"sha256": "0" * 64}
    serve_mnist(server, monkeypatch, write, tmp_path / "src", **wrong)
    with pytest.raises(DataError, match=r"the archive has SHA-256 \w{64}, expected 0000"):
        download("mnist", tmp_path / "data")
    serve_mnist(server, monkeypatch, write, tmp_path / "src", size=100000)
    with pytest.raises(DataError, match=r"connection closed|sent \d+ bytes, expected 100000"):
        download("mnist", tmp_path / "data")


def test_damaged_tar_leaves_nothing(tmp_path, write, server, monkeypatch):
    archive = serve_cifar10(server, monkeypatch, write, tmp_path / "src")
    whole = server.files["c.tar.gz"]
    for bad, message in (
        (whole[: len(whole) // 2], "is no whole tar.gz file"),
        (b"nothing", "is no whole tar.gz file"),
    ):
        server.files["c.tar.gz"] = bad
        with pytest.raises(DataError, match=message):
            download("cifar10", tmp_path / "data")
        assert left_over(tmp_path) == []
    server.files["c.tar.gz"] = whole
    wanted = (*archive.members, Member("cifar-10-batches-bin/more", "more", 5))
    monkeypatch.setitem(CATALOG, "cifar10", (Archive(archive.urls, wanted),))
    with pytest.raises(DataError, match="holds no cifar-10-batches-bin/more"):
        download("cifar10", tmp_path / "data")


def test_offline_is_one_sentence(tmp_path, write, server, monkeypatch):
    serve_mnist(server, monkeypatch, write, tmp_path / "src")
    server.close()
    with pytest.raises(DataError, match="must be fetched from the network") as caught:
        download("mnist", tmp_path / "data")
    assert "no connection" in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(server, "close", lambda: None)


def test_not_found_is_one_sentence(tmp_path, write, server, monkeypatch):
    serve_mnist(server, monkeypatch, write, tmp_path / "src", urls=("gone/",))
    with pytest.raises(DataError, match=r"127.0.0.1: HTTP 404"):
        download("mnist", tmp_path / "data")


def test_refuses_names_and_folders(tmp_path):
    with pytest.raises(DataError, match=r"name must be one of mnist, .* got 'imagenet'"):
        download("imagenet", tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="must be writable, got"):
        download("mnist", tmp_path / "file")


def test_the_catalogue_is_consistent():
    assert set(CATALOG) == {"mnist", "fashion-mnist", "cifar10", "cifar100", "stl10"}
    for archives in CATALOG.values():
        for archive in archives:
            hashes = [archive.sha256, *(m.sha256 for m in archive.members)]
            assert any(hashes)
            for digest in filter(None, hashes):
                assert len(bytes.fromhex(digest)) == 32
            assert all(u.startswith(("https://", "http://")) for u in archive.urls)
            if not archive.is_tar:
                assert len(archive.members) == 1
    assert catalog.__doc__
    assert "TensorFlow Datasets" in catalog.__doc__


def test_checksums_are_those_of_the_real_files(real):
    for archive in CATALOG["mnist"]:
        fetch._check_gzip(real / archive.members[0].target, archive.members[0])


def test_checksums_of_cifar10(real):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    name, member = "test_batch", CATALOG["cifar10"][0].members[-1]
    assert member.target.endswith(f"{name}.bin")
    if not (real / "cifar10" / f"{name}.webp").is_file():
        pytest.skip("no CIFAR-10 among the real data sets")
    with image.open(real / "cifar10" / f"{name}.webp") as picture:
        sheet = np.asarray(picture.convert("RGB"))
    rows = sheet.reshape(100, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3).reshape(10000, 3072)
    labels = np.fromfile(real / "cifar10" / f"{name}.labels.u8", np.uint8)
    raw = np.concatenate([labels[:, None], rows], axis=1).tobytes()
    assert (len(raw), sha256(raw)) == (member.size, member.sha256)
