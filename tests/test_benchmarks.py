"""Published data sets: the real files where this machine has them, else small ones in the published formats."""

import gzip
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

from dpls.cli.main import main
from dpls.component import Component
from dpls.data import PARTS, TEST, TRAIN, UNLABELLED, Cifar10, Cifar100, Data, FashionMnist, Stl10, Svhn
from dpls.data.benchmarks import fashion as clothes
from dpls.data.benchmarks.published import Published
from dpls.errors import UserError

NOBODY = "http://127.0.0.1:9/"  # nothing listens there
REAL = clothes.DEBIAN
real_files = pytest.mark.skipif(
    not (REAL / "train-images-idx3-ubyte.gz").is_file(), reason=f"the real Fashion-MNIST is not in {REAL}"
)


def refusal(source: Component) -> str:
    with pytest.raises(UserError) as caught:
        source()
    text = str(caught.value)
    assert "\n" not in text and not re.search(r"[.!?] [A-Z]", text), "one sentence"
    return text


# Fashion-MNIST, the real files


@real_files
def test_the_real_fashion_mnist(tmp_path: Path) -> None:
    data, _ = Data(source=FashionMnist(path=str(tmp_path / "none")), validation=0.1)(tmp_path / "cache")
    assert data.images.shape == (70_000, 1, 28, 28) and data.images.dtype == np.uint8
    assert [len(data.ids(part)) for part in range(len(PARTS))] == [54_000, 6_000, 10_000]
    assert (np.bincount(data.labels[data.part == TEST]) == 1000).all()
    assert [data.classes[label] for label in data.labels[:3]] == ["boot", "t-shirt", "t-shirt"]
    assert data.images.mean() / 255 == pytest.approx(0.2861, abs=1e-4)  # 0.2860 in training, as is often quoted


@real_files
def test_a_real_run_on_fashion_mnist(tmp_path: Path) -> None:
    sets = ["data.source.kind=fashion_mnist", "data.probes=[]", "data.limit=60", "data.test_limit=20", "net.width=4"]
    sets += ["objective.attack.steps=1", "selection.by=clean", "evaluations=[]", "data.validation=0.001"]
    sets += ["phases=[{\"until\":1}]", "schedule={}", "device=cpu"]  # fmt: skip
    assert main(["train", "demo", *(f"--set={s}" for s in sets), "--runs", str(tmp_path / "runs")]) == 0


# Fashion-MNIST, small


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Twenty images to train on and ten for the test, by file name; these are what counts as published."""
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 20), ("t10k", 10)):
        files[f"{name}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (count, 28, 28)))
        files[f"{name}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    published = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(clothes, "FASHION_MNIST", published)
    monkeypatch.setattr(clothes, "DEBIAN", tmp_path / "no Debian package")
    return files


def flat(folder: Path, files: dict[str, bytes]) -> FashionMnist:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return FashionMnist(path=str(folder))


def unpacked(folder: Path, files: dict[str, bytes]) -> FashionMnist:
    (folder / "FashionMNIST" / "raw").mkdir(parents=True)
    for name, content in files.items():
        (folder / "FashionMNIST" / "raw" / name).write_bytes(content)
    return FashionMnist(path=str(folder))


def test_fashion_mnist_in_every_layout(fashion: dict[str, bytes], tmp_path: Path) -> None:
    first, second = flat(tmp_path / "a", fashion)(), unpacked(tmp_path / "b", fashion)()
    assert first.images.shape == (30, 1, 28, 28) and first.part.tolist() == [TRAIN] * 20 + [TEST] * 10
    assert (first.labels == np.arange(30) % 10).all()
    pixels = fashion["train-images-idx3-ubyte"][16:] + fashion["t10k-images-idx3-ubyte"][16:]
    assert first.images.tobytes() == pixels == second.images.tobytes()


def test_the_debian_package_is_found(
    fashion: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat(tmp_path / "debian", fashion)
    monkeypatch.setattr(clothes, "DEBIAN", tmp_path / "debian")
    assert len(FashionMnist(path=str(tmp_path / "none"))().images) == 30


def test_a_whole_gz_is_read_where_its_unpacked_twin_is_cut_short(fashion: dict[str, bytes], tmp_path: Path) -> None:
    unpacked(tmp_path, {name: content[:-40] for name, content in fashion.items()})
    flat(tmp_path / "FashionMNIST" / "raw", fashion)
    assert len(FashionMnist(path=str(tmp_path))().images) == 30


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda packed: packed[: len(packed) // 2], "end-of-stream marker"),
        (lambda packed: b"no gz at all", "Not a gzipped file"),
        (lambda packed: packed[:30] + bytes([packed[30] ^ 255]) + packed[31:], "damaged"),
        (lambda packed: gzip.compress(idx(np.zeros((20, 28, 28)))), "wrong sha256"),
    ],
)
def test_a_damaged_fashion_mnist_names_the_file(
    fashion: dict[str, bytes], tmp_path: Path, spoil: Callable[[bytes], bytes], words: str
) -> None:
    source = flat(tmp_path, fashion)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(spoil(file.read_bytes()))
    text = refusal(source)
    assert text.startswith(str(file)) and words in text


# CIFAR-10, small


class Warns:
    """Unpickled, it warns as some releases of NumPy do of arrays that were pickled in 2009."""

    def __reduce__(self) -> tuple:
        return warnings.warn, ("old", np.exceptions.VisibleDeprecationWarning)


def old_pickle(content: dict[str, object]) -> bytes:
    """A pickle with the names that NumPy had in 2009."""
    text = pickle.dumps(content | {"old": Warns()}, protocol=2)
    return text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def publish(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], reader: type = datasets.CIFAR10) -> None:
    """Make these files' md5 the ones torchvision expects."""
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    if reader is datasets.SVHN:
        published = {part: [url, name, md5.get(name, "")] for part, (url, name, _) in reader.split_list.items()}
        monkeypatch.setattr(reader, "split_list", published)
        return
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(reader, part, [[name, md5[name]] for name, _ in getattr(reader, part)])
    if reader is not datasets.STL10:
        monkeypatch.setattr(reader, "meta", reader.meta | {"md5": md5[reader.meta["filename"]]})


CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Ten images a batch, by file name; these are what counts as published."""
    rng = np.random.default_rng(0)
    files = {"batches.meta": old_pickle({"label_names": CLASSES})}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
        files[name] = old_pickle({"data": pixels, "labels": rng.permutation(10).tolist()})
    publish(monkeypatch, files)
    return files


def written(folder: Path, files: dict[str, bytes], source: type[Published] = Cifar10) -> Published:
    home = folder / source.home
    home.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (home / name).write_bytes(content)
    return source(path=str(folder))


def test_cifar10_is_read_as_it_was_published(cifar: dict[str, bytes], tmp_path: Path) -> None:
    data = written(tmp_path, cifar)()
    assert data.images.shape == (60, 3, 32, 32) and data.classes == tuple(CLASSES)
    assert data.part.tolist() == [TRAIN] * 50 + [TEST] * 10
    with warnings.catch_warnings(action="ignore"):
        batches = [pickle.loads(cifar[name]) for name in Cifar10.files[:-1]]
    pixels = np.concatenate([batch["data"] for batch in batches])
    assert (data.images.reshape(60, -1) == pixels).all(), "planes: red, green, blue"
    assert data.labels.tolist() == [label for batch in batches for label in batch["labels"]]
    again = Cifar10(path=str(tmp_path / "cifar-10-batches-py"))()
    assert (again.images == data.images).all(), "the folder of the files itself will do"


class Opened:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("name", Cifar10.files)
def test_a_pickle_with_a_wrong_md5_is_never_opened(
    cifar: dict[str, bytes], tmp_path: Path, name: str, download: bool
) -> None:
    trap = pickle.dumps(Opened(tmp_path / "opened"))
    source = written(tmp_path / "data", cifar | {name: trap}).model_copy(update={"download": download})
    text = refusal(source)
    assert name in text and "wrong md5" in text
    assert not (tmp_path / "opened").exists()
    assert (tmp_path / "data" / "cifar-10-batches-py" / name).read_bytes() == trap, "nobody's file is written over"


def test_the_trap_of_the_test_above_would_work(
    cifar: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = cifar | {"test_batch": pickle.dumps(Opened(tmp_path / "opened"))}
    publish(monkeypatch, files)
    with pytest.raises(TypeError):
        written(tmp_path / "data", files)()
    assert (tmp_path / "opened").exists()


# CIFAR-100, SVHN and STL-10, small

READERS = {Cifar100: datasets.CIFAR100, Svhn: datasets.SVHN, Stl10: datasets.STL10}


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> dict[type[Published], dict[str, bytes]]:
    """Files by name of each set; these are what counts as published."""
    rng = np.random.default_rng(0)
    names = [f"thing {number:02}" for number in range(100)]
    fine = {"meta": old_pickle({"fine_label_names": names, "coarse_label_names": ["all"]})}
    house, photographs = {}, {"unlabeled_X.bin": rng.integers(0, 256, (5, 3, 96, 96), dtype=np.uint8).tobytes()}
    for part, count in (("train", 200), ("test", 100)):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = (np.arange(count) % 100).tolist()
        fine[part] = old_pickle({"data": pixels, "fine_labels": labels, "coarse_labels": [0] * count})
        digits = np.arange(count // 5) % 10 + 1  # a zero is called 10
        matrix = io.BytesIO()
        shape = (32, 32, 3, count // 5)
        savemat(matrix, {"X": rng.integers(0, 256, shape, dtype=np.uint8), "y": digits[:, None]}, do_compression=True)
        house[f"{part}_32x32.mat"] = matrix.getvalue()
        columns = rng.integers(0, 256, (count // 5, 3, 96, 96), dtype=np.uint8)  # by column, not by row
        photographs[f"{part}_X.bin"] = columns.tobytes()
        photographs[f"{part}_y.bin"] = digits.astype(np.uint8).tobytes()
    made = {Cifar100: fine, Svhn: house, Stl10: photographs}
    for source, files in made.items():
        publish(monkeypatch, files, READERS[source])
    return made


def test_cifar100_is_read_as_it_was_published_with_its_fine_labels(others: dict, tmp_path: Path) -> None:
    data = written(tmp_path, others[Cifar100], Cifar100)()
    assert data.images.shape == (300, 3, 32, 32) and data.part.tolist() == [TRAIN] * 200 + [TEST] * 100
    assert data.classes == tuple(f"thing {number:02}" for number in range(100))
    assert data.labels.tolist() == [*range(100)] * 3
    with warnings.catch_warnings(action="ignore"):
        batches = [pickle.loads(others[Cifar100][name]) for name in ("train", "test")]
    assert (data.images.reshape(300, -1) == np.concatenate([batch["data"] for batch in batches])).all()


def test_svhn_is_read_as_it_was_published_and_its_10_is_a_zero(others: dict, tmp_path: Path) -> None:
    data = written(tmp_path, others[Svhn], Svhn)()
    assert data.images.shape == (60, 3, 32, 32) and data.part.tolist() == [TRAIN] * 40 + [TEST] * 20
    assert data.classes == tuple("0123456789") and data.labels.tolist() == [*range(1, 10), 0] * 6
    columns = np.random.default_rng(0)
    columns.integers(0, 256, (5, 3, 96, 96), dtype=np.uint8), columns.integers(0, 256, (200, 3072), dtype=np.uint8)
    matrix = columns.integers(0, 256, (32, 32, 3, 40), dtype=np.uint8)  # row, column, colour, image
    assert (data.images[7, 2] == matrix[:, :, 2, 7]).all()


def test_stl10_is_read_as_it_was_published_by_column(others: dict, tmp_path: Path) -> None:
    files = others[Stl10]
    source = written(tmp_path, {name: files[name] for name in files if name != "unlabeled_X.bin"}, Stl10)
    data = source()
    assert data.images.shape == (60, 3, 96, 96) and data.part.tolist() == [TRAIN] * 40 + [TEST] * 20
    assert data.classes[0] == "airplane" and data.classes[9] == "truck" and data.labels.tolist() == [*range(10)] * 6
    columns = np.frombuffer(files["train_X.bin"], dtype=np.uint8).reshape(40, 3, 96, 96)
    assert (data.images[3, 1] == columns[3, 1].T).all()
    small = source.model_copy(update={"size": 32})()
    assert small.images.shape == (60, 3, 32, 32)
    means = data.images.reshape(60, 3, 32, 3, 32, 3).mean(axis=(3, 5))
    assert np.corrcoef(small.images.ravel(), means.ravel())[0, 1] > 0.8, "the whole image, smaller"


def test_the_unlabelled_images_of_stl10_come_where_they_are_asked_for(others: dict, tmp_path: Path) -> None:
    source = written(tmp_path, others[Stl10], Stl10).model_copy(update={"unlabelled": True})
    data = source()
    assert data.part.tolist() == [TRAIN] * 40 + [TEST] * 20 + [UNLABELLED] * 5
    assert (data.labels[60:] == -1).all() and (data.true_labels[60:] == -1).all()
    columns = np.frombuffer(others[Stl10]["unlabeled_X.bin"], dtype=np.uint8).reshape(5, 3, 96, 96)
    assert (data.images[64, 0] == columns[4, 0].T).all()
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").write_bytes(bytes(27648))
    assert "unlabeled_X.bin is damaged or not of STL-10" in refusal(source)
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").unlink()
    assert "test_y.bin and unlabeled_X.bin" in refusal(source)


@pytest.mark.parametrize("source", READERS)
def test_the_folder_of_the_files_itself_will_do(source: type[Published], others: dict, tmp_path: Path) -> None:
    written(tmp_path, others[source], source)
    assert len(source(path=str(tmp_path / source.home))().images)


@pytest.mark.parametrize("change", ["a byte changed", "cut short", "empty"])
@pytest.mark.parametrize("source", READERS)
def test_a_file_that_is_not_the_published_one_is_named_and_never_opened(
    source: type[Published], change: str, others: dict, tmp_path: Path
) -> None:
    for name in source(path="")._needed:
        content = others[source][name]
        changes = {"a byte changed": content[:9] + b"\0\1" + content[11:], "cut short": content[:-7], "empty": b""}
        text = refusal(written(tmp_path, others[source] | {name: changes[change]}, source))
        assert f"{name} is damaged or not of {source.title} (wrong md5); replace it, or delete it" in text


# What is missing


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Cifar10, ["cifar-10-batches-py", "data_batch_1", "batches.meta"]),
        (Cifar100, ["the folder cifar-100-python with train, test and meta", "169 MB"]),
        (Svhn, ["the files train_32x32.mat and test_32x32.mat", "246 MB"]),
        (Stl10, ["the folder stl10_binary with train_X.bin, train_y.bin, test_X.bin and test_y.bin", "2,640 MB"]),
        (FashionMnist, ["train-images-idx3-ubyte"]),
    ],
)
def test_missing_files_are_named_without_loading_torchvision(
    source: type, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clothes, "DEBIAN", tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    text = refusal(source(path=str(tmp_path / "none")))
    assert all(word in text for word in [*words, "download=true", source.title, str(tmp_path / "none")])


def test_one_missing_file_is_enough(
    cifar: dict[str, bytes], fashion: dict[str, bytes], others: dict, tmp_path: Path
) -> None:
    made = [written(tmp_path / kind.title, others[kind], kind) for kind in READERS]
    for source in (written(tmp_path / "c", cifar), flat(tmp_path / "f", fashion), *made):
        next(p for p in Path(source.path).rglob("*") if p.is_file() and "unlabeled" not in p.name).unlink()
        assert "download=true" in refusal(source)


def test_a_torchvision_that_cannot_be_loaded(
    cifar: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path, cifar)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert "torchvision, which reads this data set, cannot be loaded" in refusal(source)


def test_the_stamp_needs_neither_torch_nor_the_files(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from dpls.data import Cifar10, Cifar100, FashionMnist, Stl10, Svhn
        stamps = {source(path="none").stamp() for source in (Cifar10, Cifar100, FashionMnist, Stl10, Svhn)}
        print(len(stamps) == 1, "torch" in sys.modules)"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False"]


def test_on_the_command_line(
    cifar: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clothes, "DEBIAN", tmp_path)
    written(tmp_path / "bad", cifar | {"test_batch": b"junk"})
    monkeypatch.setattr(datasets.CIFAR10, "url", NOBODY)
    for settings, words in [
        (["kind=cifar10", f"path={tmp_path}"], "holds no CIFAR-10"),
        (["kind=fashion_mnist", f"path={tmp_path}"], "holds no Fashion-MNIST"),
        (["kind=cifar10", f"path={tmp_path / 'bad'}"], "test_batch is damaged"),
        (["kind=cifar10", f"path={tmp_path / 'new'}", "download=true"], "could not be downloaded"),
    ]:
        sets = [f"--set=data.source.{setting}" for setting in settings]
        assert main(["train", "demo", *sets, "--runs", str(tmp_path / "runs")]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


# Downloads, from a server in this process


class Server:
    """Serves ``files`` by name; cut: how many bytes of each are left out, as if the connection broke."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = 0
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/")
                server.asked.append(name)
                if name not in server.files:
                    self.send_error(404)
                    return
                content = server.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - server.cut])

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    found = Server()
    yield found
    found.close()


@pytest.fixture(params=["cifar10", "cifar100", "svhn", "stl10", "fashion_mnist"])
def offered(
    request: pytest.FixtureRequest,
    server: Server,
    cifar: dict[str, bytes],
    fashion: dict[str, bytes],
    others: dict[type[Published], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Component:
    """Each source, its files on the server and nowhere else."""
    path = str(tmp_path / "datasets")
    if request.param == "fashion_mnist":
        packed = {f"{name}.gz": gzip.compress(content) for name, content in fashion.items()}
        server.files = packed
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [server.url])
        md5 = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
        monkeypatch.setattr(datasets.FashionMNIST, "resources", md5)
        return FashionMnist(path=path, download=True)
    if request.param == "svhn":
        server.files = others[Svhn]
        there = {part: [server.url + name, name, md5] for part, (_, name, md5) in datasets.SVHN.split_list.items()}
        monkeypatch.setattr(datasets.SVHN, "split_list", there)
        return Svhn(path=path, download=True)
    source = next(source for source in (Cifar10, Cifar100, Stl10) if source(path="").kind == request.param)
    reader = READERS.get(source, datasets.CIFAR10)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in others.get(source, cifar).items():
            member = tarfile.TarInfo(f"{source.home}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    server.files = {reader.filename: buffer.getvalue()}
    monkeypatch.setattr(reader, "url", server.url + reader.filename)
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
    return source(path=path, download=True)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_download_shows_progress_and_happens_once(
    offered: Component, server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = Data(source=offered, validation=0.5, test=0.5)
    assert offered.downloaded() == 0
    _, fingerprint = data(tmp_path / "cache")
    assert "100%" in capfd.readouterr().err
    assert files_in(tmp_path / "datasets") == set(offered.files), "what is needed and no more"
    asked = len(server.asked)
    built = sorted((tmp_path / "cache" / "sources").iterdir())
    assert data(tmp_path / "cache")[1] == fingerprint
    assert sorted((tmp_path / "cache" / "sources").iterdir()) == built, "not decoded anew"
    offered()
    assert len(server.asked) == asked


def test_a_broken_download_is_refused_and_can_be_tried_again(
    offered: Component, server: Server, tmp_path: Path
) -> None:
    server.cut = 7
    text = refusal(offered)
    assert "could not be downloaded" in text and "corrupted" in text
    assert files_in(tmp_path / "datasets") == set()
    server.cut = 0
    offered()


def test_without_a_network_the_cause_is_said(
    offered: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(datasets.FashionMNIST, "mirrors", [NOBODY])
        for reader in (datasets.CIFAR10, datasets.CIFAR100, datasets.STL10):
            patch.setattr(reader, "url", NOBODY)
        nowhere = {part: [NOBODY, *rest] for part, (_, *rest) in datasets.SVHN.split_list.items()}
        patch.setattr(datasets.SVHN, "split_list", nowhere)
        assert "Connection refused" in refusal(offered)
    offered()


@pytest.mark.parametrize("where", ["_urlretrieve", "extract_archive"])
def test_a_download_that_is_stopped_can_be_tried_again(
    offered: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Stopped by Ctrl-C when a file is there, but not yet used."""
    if isinstance(offered, Svhn) and where == "extract_archive":
        pytest.skip("the files of SVHN are in no archive")
    true = getattr(datasets.utils, where)

    def stopped(*args, **options) -> None:
        true(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(datasets.utils, where, stopped)
        with pytest.raises(KeyboardInterrupt):
            offered()
    assert files_in(tmp_path / "datasets") == set()
    offered()


def test_a_folder_that_cannot_be_made(offered: Component, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = refusal(offered.model_copy(update={"path": str(tmp_path / "file" / "datasets")}))
    assert "Not a directory" in text
