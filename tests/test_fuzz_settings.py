"""A seeded fuzzer over settings, configuration files, score files and arrays: success, or one sentence and exit code 2.

Everything runs in this process. Nothing is trained: where a run would start, its images are looked for and it ends.
"""

import io
import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpls.cli.main import main
from dpls.data.own.npz import Npz
from dpls.errors import MOST, UserError
from dpls.recipe import RunConfig, make_config, override, preset_names, read_settings
from dpls.recipe.listing import settings_of
from dpls.runs.scores import read_scores
from tests.made_runs import make_run

SEED = 13
VALUES, CONFIGURATIONS, FILES, TABLES, ARRAYS = 600, 300, 150, 250, 150
LONGEST = 3000
"""Characters of a sentence: every choice of a preset or a setting, beside shortened values."""

NUMBERS: list[Any] = [0, -1, 1, 1.5, -0.0, 1e308, 1e-320, 2**31, 2**63, 10**30, float("inf"), float("nan"), True, False]
TEXTS = [
    "", " ", "none", "null", "true", "8/255", "1/0", "1_000", "٨", "²", "0x10", "1e400", "+1e400", "1e-400", "1e99999999", "nan",
    "-inf", "\0", "a\0b", "\ud800", "\udcff", "\u202e", "é", "a\nb", "~nosuchuser", "~", "/", "..", "../..", "/dev/null", "x" * 5000,
    "x y " * 2000, "demo", "[[[[", "{", '{"a":', "pgd20", "cpu", "cuda:٨", "cuda:99999999999999999999", "'", '"', "\\", "%s", "{0}",
]  # fmt: skip


class Fuzz:
    """What comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.config = make_config(read_settings("demo"))
        listed = settings_of(self.config)
        self.own = {row.path: row.value for row in listed if row.chosen}
        self.paths = sorted({row.path for row in listed})
        self.kinds = sorted({str(row.value) for row in listed if row.path.endswith("kind")})

    def value(self, depth: int = 3) -> Any:
        pick = self.random.choice
        match self.random.randrange(8 if depth else 6):
            case 0 | 1:
                return pick(NUMBERS)
            case 2 | 3:
                return pick(TEXTS)
            case 4:
                return pick([None, [], {}, self.random.uniform(-2, 300), self.random.randrange(-5, 10**6)])
            case 5:
                return pick(self.kinds)
            case 6:
                return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        names = [*{p.rsplit(".", 1)[-1] for p in self.paths}, "kind", "nope", *TEXTS[:3]]
        return {pick(names): self.value(depth - 1) for _ in range(self.random.randrange(4))}

    def deep(self) -> str:
        opening, closing, many = self.random.choice(
            [("[", "]", 40), ('{"a":', "}", 400), ("[", "]", 90_000), ("[", "", 50)]
        )
        return opening * many + "1" + closing * many

    def text(self) -> str:
        """JSON, nearly JSON, or anything."""
        pick = self.random.randrange(10)
        if pick == 0:
            return self.deep()
        if pick == 1:
            return "".join(self.random.choices(string.printable, k=self.random.randrange(30)))
        if pick == 2:
            return str(self.random.choice(TEXTS))
        return json.dumps(self.value(), ensure_ascii=self.random.random() < 0.5)

    def near(self) -> str:
        """A setting there is, with a value like its own."""
        path, value = self.random.choice([*self.own.items()])
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = self.random.choice([value, value + 1, value * 2, value / 2, -value, 0, f"{value}/3", 10**6])
        return f"{path}={json.dumps(value)}"

    def assignment(self) -> str:
        if self.random.random() < 0.4:
            return self.near()
        path = self.random.choice(self.paths)
        if self.random.random() < 0.3:
            steps = path.split(".")
            steps[self.random.randrange(len(steps))] = self.random.choice(
                ["0", "1", "7", "٢", "-1", "kind", "", "nope", "x" * 3000]
            )
            path = ".".join(steps)
        return f"{path}={self.text()}" if self.random.random() < 0.97 else path

    def settings(self) -> dict[str, Any]:
        """A whole configuration with a few things wrong."""
        found = self.config.model_dump(mode="json")
        for _ in range(self.random.randrange(1, 4)):
            node: Any = found
            for _ in range(self.random.randrange(4)):
                inside = list(node.values()) if isinstance(node, dict) else node
                node = self.random.choice([n for n in inside if isinstance(n, dict | list) and n] or [node])
            place = self.random.choice([*node] if isinstance(node, dict) else range(len(node)))
            node[place] = self.value()
        return found

    def torn(self, content: bytes) -> bytes:
        """Cut, or with some bytes changed, put in or repeated; one in four stays whole."""
        data = bytearray(content)
        match self.random.randrange(4):
            case 0:
                return bytes(data[: self.random.randrange(len(data) + 1)])
            case 1:
                for _ in range(self.random.randrange(1, 12)):
                    data[self.random.randrange(len(data))] = self.random.randrange(256)
            case 2:
                place = self.random.randrange(len(data))
                data[place:place] = self.random.randbytes(self.random.randrange(1, 40)) * self.random.choice([1, 1, 50])
        return bytes(data)


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    return Fuzz(SEED + len(request.node.name))


def is_sentence(text: str) -> bool:
    """One line that can be shown, short enough to be read."""
    return text.isprintable() and len(text) < LONGEST and not any(len(word) > MOST for word in text.split())


def check(what: object, act: Any) -> bool:
    """Whether it worked; anything but success and a sentence is a failure that names the input."""
    try:
        act()
    except UserError as error:
        assert is_sentence(str(error)), (what, str(error))
        return False
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {str(what)[:400]!r}") from error
    return True


def test_values_of_settings(fuzz: Fuzz) -> None:
    base = read_settings("demo")
    worked = 0
    for _ in range(VALUES):
        given = [fuzz.assignment() for _ in range(fuzz.random.randrange(1, 3))]
        worked += check(given, lambda given=given: look(make_config(override(base, given))))
    assert VALUES // 10 < worked < VALUES // 2, "some are right, most are wrong"


def test_configurations(fuzz: Fuzz) -> None:
    worked = 0
    for _ in range(CONFIGURATIONS):
        settings = fuzz.settings()
        worked += check(settings, lambda settings=settings: look(make_config(settings)))
    assert worked > 5


def look(config: RunConfig) -> None:
    """What is done with a checked configuration before a run of it starts."""
    source = config.data.source
    assert make_config(json.loads(config.model_dump_json())) == config
    if source.kind in ("folder", "npz"):
        source.found()
    source.stamp()


def written(fuzz: Fuzz) -> tuple[str, bytes]:
    """The end of a file's name, and what may be a configuration."""
    name = fuzz.random.choice([".json", ".toml"])
    whole: Any = {"base": "demo", "data": {"source": {"kind": "npz", "path": "nowhere.npz"}}}
    for _ in range(fuzz.random.randrange(3)):
        whole[fuzz.random.choice(["base", "config", "eps", "phases", "seed", "data", "net"])] = fuzz.value()
    if fuzz.random.random() < 0.2:
        whole = {"config": whole}
    if fuzz.random.random() < 0.1:
        return name, fuzz.deep().encode()
    if name == ".json":
        return name, fuzz.torn(json.dumps(whole).encode())
    lines = [f"{key} = {json.dumps(value)}" for key, value in whole.items() if not isinstance(value, dict)]
    tables = [
        f"[{key}]\n" + "\n".join(f"{n} = {json.dumps(v)}" for n, v in value.items())
        for key, value in whole.items()
        if isinstance(value, dict)
    ]
    return name, fuzz.torn("\n".join([*lines, *tables]).encode())


def test_configuration_files(
    fuzz: Fuzz, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    for _ in range(FILES):
        ending, content = written(fuzz)
        (tmp_path / f"mine{ending}").write_bytes(content)
        more = [f"--set={fuzz.assignment()}"] if fuzz.random.random() < 0.3 else []
        command = ["train", f"mine{ending}", *more, "--set", "data.source.kind=npz", "--runs", str(tmp_path / "runs")]
        code = main(command)
        said = capsys.readouterr().err.removeprefix("dpls: ").removesuffix("\n")
        assert code == 2 and is_sentence(said), (content[:300], more, said)
    assert not (tmp_path / "runs").exists()


def saved(table: pd.DataFrame, ending: str) -> bytes:
    file = io.BytesIO()
    match ending:
        case ".csv" | ".tsv":
            table.to_csv(file, index=False, sep="," if ending == ".csv" else "\t")
        case ".json" | ".jsonl":
            table.to_json(file, orient="records", lines=ending == ".jsonl")
        case ".parquet":
            table.to_parquet(file, index=False)
        case ".npy":
            np.save(file, table["score"].to_numpy() if "score" in table else np.zeros(3))
        case _:
            np.savez_compressed(file, **{str(n): np.array(c.tolist()) for n, c in table.items()})
    return file.getvalue()


def tables(fuzz: Fuzz, examples: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Files of scores with a few things wrong."""
    for _ in range(TABLES):
        table = examples[["id", "hash", "label"]].head(fuzz.random.randrange(1, len(examples) + 1)).copy()
        table["score"] = [fuzz.random.random() for _ in range(len(table))]
        if fuzz.random.random() < 0.5:
            column = fuzz.random.choice(["score", "id", "hash", "label"])
            table[column] = table[column].map(str)
            table.loc[fuzz.random.randrange(len(table)), column] = (
                str(fuzz.random.choice([*TEXTS[:30], *NUMBERS])).encode("utf-8", "replace").decode()
            )
        if fuzz.random.random() < 0.2:
            old, new = (
                fuzz.random.choice(["score", "id", "hash"]),
                fuzz.random.choice(["Score", "x", "", "path", "id "]),
            )
            table = table.rename(columns={old: new})
        ending = fuzz.random.choice([".csv", ".tsv", ".json", ".jsonl", ".parquet", ".npz", ".npy"])
        yield ending, fuzz.torn(saved(table, ending))


@pytest.mark.filterwarnings("ignore")  # of what other programs' readers think of damaged files
def test_files_of_scores(fuzz: Fuzz, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs", train=20, others=5)
    examples = run.examples()
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    worked = 0
    for number, (ending, content) in enumerate(tables(fuzz, examples)):
        file = tmp_path / f"mine{ending}"
        file.write_bytes(content)
        if number % 5:
            worked += check(content, lambda file=file: read_scores(file, examples))
        else:
            code = main(["scores", run.id, str(file), "--runs", str(tmp_path / "runs")])
            said = capsys.readouterr().err.removeprefix("dpls: ").removesuffix("\n")
            assert code == 0 or (code == 2 and is_sentence(said)), (content[:300], said)
    assert worked > TABLES // 50
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before, "no table changed"


@pytest.mark.filterwarnings("ignore")
def test_arrays_of_ones_own(fuzz: Fuzz, tmp_path: Path) -> None:
    worked = 0
    for _ in range(ARRAYS):
        count, some = fuzz.random.randrange(1, 40), fuzz.random.random() < 0.6
        shapes = [
            (count, 8, 8),
            (count, 8, 8, 3),
            (count, 3, 8, 8),
            (count, 5, 9),
            (count, 8),
            (),
            (0, 8, 8),
            (count, 2, 0),
        ]
        shape = fuzz.random.choice(shapes[: 4 if some else None])
        kind = "u1" if some else fuzz.random.choice(["f4", "i8", "?", "U3", "c8", "M8[s]", "O", "f2", "V0"])
        x: Any = (np.arange(int(np.prod(shape))) % 7).reshape(shape)
        y: Any = np.arange(count) % fuzz.random.choice([1, 2, 3])
        x = np.zeros(shape, kind) if kind == "V0" else x.astype(kind)
        y = y.astype("i8" if some else fuzz.random.choice(["f4", "U3", "S2", "O", "?", "c8"]))
        names = fuzz.random.choice([("x_train", "y_train"), ("x", "y"), ("train_images", "train_labels"), ("x", "z")])
        file = io.BytesIO()
        np.savez_compressed(file, **dict(zip(names, (x, y), strict=True)))
        path = tmp_path / "mine.npz"
        path.write_bytes(fuzz.torn(file.getvalue()))

        def read(source: Npz) -> None:
            source.found()
            source()

        worked += check((shape, kind, y.dtype, names), lambda path=path: read(Npz(path=str(path))))
    assert worked > ARRAYS // 20


def test_at_least_a_thousand_inputs() -> None:
    assert VALUES + CONFIGURATIONS + FILES + TABLES + ARRAYS >= 1000
    assert "demo" in preset_names()
