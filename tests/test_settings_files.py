"""Settings that are none, files of settings that are damaged or hostile: one sentence and exit code 2, never a trace."""

from pathlib import Path

import pytest

from dpls.cli.main import main
from dpls.component import parse_fraction
from dpls.errors import MOST, UserError, short
from dpls.recipe import fitting, make_config, override, read_settings
from dpls.recipe.parsing import DEEPEST, from_json, from_toml
from dpls.training.checkpoints import find_checkpoint
from tests.made_runs import make_run

DEEP = 800


def source(kind: str, path: str) -> str:
    """A configuration file with images from there; ``path`` as JSON writes it."""
    return f'{{"base": "demo", "data": {{"source": {{"kind": "{kind}", "path": "{path}"}}}}}}'


FILES: dict[str, tuple[str, str | bytes, str]] = {
    "base is a number": ("n.toml", "base = 3", "base = 3 is not the name of a preset or a file; choose from cifar10-quick, classroom"),
    "base is a list": ("l.toml", 'base = ["demo"]', 'base = ["demo"] is not the name'),
    "base is a table": ("d.json", '{"base": {"a": 1}}', 'base = {"a": 1} is not the name'),
    "base is itself": ("self.toml", 'base = "HERE/self.toml"', "takes itself over; choose from cifar10-quick, classroom"),
    "base is a ring": ("ring.toml", 'base = "HERE/other.toml"', "takes itself over; choose from cifar10-quick, classroom"),
    "base is deep": ("b.json", '{"base":' + "[" * DEEP + "]" * DEEP + "}", "b.json cannot be read as JSON: tables and lists"),
    "base has no home": ("h.json", '{"base": "~nosuchuser/x.toml"}', "there is no file '~nosuchuser/x.toml'"),
    "base has a zero byte": ("z.json", r'{"base": "a\u0000.toml"}', r"a\x00.toml cannot be read as TOML"),
    "base has a surrogate": ("s.json", r'{"base": "a\ud800.toml"}', r"a\ud800.toml cannot be read as TOML"),
    "config is a list": ("cl.json", '{"config": [1]}', "must hold a table of settings, but config is [1]"),
    "config is text": ("ct.json", '{"config": "x"}', "must hold a table of settings, but config is 'x'"),
    "config is null": ("cn.json", '{"config": null}', "must hold a table of settings, but config is null"),
    "config is a number": ("c.toml", "config = 3", "must hold a table of settings, but config is 3"),
    "all is a list": ("a.json", "[1]", "must hold a table of settings, but all of it is [1]"),
    "lists too deep to parse": ("p.json", "[" * 100_000, "more than 32 deep"),
    "tables too deep": ("t.json", '{"a":' * DEEP + "1" + "}" * DEEP, "more than 32 deep"),
    "a value too deep": ("v.json", '{"base": "demo", "eps":' + "[" * DEEP + "]" * DEEP + "}", "more than 32 deep"),
    "toml too deep": ("t.toml", "a=" + "[" * DEEP + "]" * DEEP, "t.toml cannot be read as TOML: tables and lists"),
    "toml keys too deep": ("k.toml", ".".join("a" * 3000) + "=1", "more than 32 deep"),
    "a zero byte": ("n.toml", 'a = "\0"', r"cannot be read as TOML: Illegal character '\x00'"),
    "not UTF-8, toml": ("u.toml", b'device = "caf\xe9"', "cannot be read as TOML: 'utf-8' codec can't decode byte 0xe9"),
    "not UTF-8, json": ("u.json", b'{"device": "caf\xe9"}', "cannot be read as JSON: 'utf-8' codec can't decode byte 0xe9"),
    "UTF-16": ("w.json", '{"base": "demo"}'.encode("utf-16"), "cannot be read as JSON"),
    "empty": ("e.json", "", "cannot be read as JSON"),
    "a number too long": ("g.json", '{"base": "demo", "seed": ' + "9" * 5000 + "}", "cannot be read as JSON"),
    "a number too small": ("0.json", '{"base": "demo", "eps": 1e-400}', "eps = '1e-400' is not allowed: input is too small to"),
    "too small in toml": ("0.toml", 'base = "demo"\neps = 1e-400', "eps = '1e-400' is not allowed: input is too small to"),
    "a base too long": ("x.json", '{"base": "' + "x" * 5000 + '"}', "File name too long: 'xxx"),
    "a name too long": ("y.json", '{"base": "demo", "' + "k y" * 3000 + '": 1}', "a run has no setting 'k yk y"),
    **{
        f"{kind}: {what}": ("p.json", source(kind, path), expected)
        for kind in ("folder", "parquet", "npz", "cifar10", "cifar100", "svhn", "stl10", "fashion_mnist")
        for what, path, expected in (
            ("nobody's home", "~nosuchuser/x", "there is no home folder for '~nosuchuser' in '~nosuchuser/x'"),
            ("a zero byte", r"a\u0000b", r"the path 'a\x00b' holds a zero byte"),
            ("a surrogate", r"a\ud800b", r"the path 'a\ud800b' is not UTF-8 text"),
            ("too long", "a/ " * 3000, "File name too long: 'a/ a/"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_settings_that_is_none_is_one_sentence(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPLS_DATA", str(tmp_path / "data"))
    name, content, expected = FILES[case]
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.replace("HERE", str(tmp_path)).encode())
    (tmp_path / "other.toml").write_text(f'base = "{tmp_path}/ring.toml"')
    assert main(["train", str(file), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert expected in said and said.count("\n") == 1
    assert len(said) < 250 + 2 * MOST
    assert not (tmp_path / "runs").exists()


SETTINGS = {
    "seed=true": "seed = true is not allowed: input should be a number, in plain digits",
    "seed=1_000": "seed = '1_000' is not allowed: input should be a number, in plain digits",
    "seed=٨": "seed = '٨' is not allowed",
    "eps=true": "eps = true is not allowed",
    "eps=٨/255": "eps = '٨/255' is not allowed",
    "eps=1e-400": "eps = '1e-400' is not allowed: input is too small to be told from 0",
    'eps="1e-400"': "eps = '1e-400' is not allowed: input is too small to be told from 0",
    'eps="1e99999999"': "eps = '1e99999999' is not allowed",
    "optimiser.lr=1_0.5": "optimiser.lr = '1_0.5' is not allowed",
    "schedule.decays=[true]": "schedule.decays = [true] is not allowed",
    "evaluations.0.steps=true": "evaluations.0.steps = true is not allowed",
    'data.source={"kind":"folder","path":"x","channels":true}': "data.source.channels = true is not allowed",
    "phases.٢.until=3": "phases has no entry '٢'",
    "device=cuda:٨": "device = 'cuda:٨' is not allowed",
    "eps=" + "[" * DEEP + "]" * DEEP: "eps = '[[[",
    "a." * 3000 + "b=1": "leads 3000 deep; settings go no deeper than 32",
    "x" * 5000 + "=1": "a run has no setting 'xxx",
    "schedule.decays=" + str(list(range(9999, 1, -1))): "schedule.decays must rise, got [9999, 9998",
}


@pytest.mark.parametrize("assignment", SETTINGS, ids=lambda text: text[:30])
def test_what_only_looks_like_a_setting_is_refused_with_its_value(assignment: str) -> None:
    with pytest.raises(UserError) as refused:
        make_config(override(read_settings("demo"), [assignment]))
    assert SETTINGS[assignment] in str(refused.value)
    assert len(str(refused.value)) < 250 + MOST


def test_numbers_in_plain_digits_are_read() -> None:
    config = make_config(
        override(read_settings("demo"), ["seed=1e3", 'eps="8 / 255"', 'optimiser.lr=" .5"', "data.seed=7.0"])
    )
    assert (config.seed, config.eps, config.optimiser.lr, config.data.seed) == (1000, 8 / 255, 0.5, 7)
    assert [parse_fraction(text) for text in ("8/255", "-1.", "0e5", "1/0", "0x10")] == [8 / 255, -1, 0, "1/0", "0x10"]


def test_settings_may_be_as_deep_as_any_are() -> None:
    assert from_json("[" * DEEPEST + "1" + "]" * DEEPEST)
    assert from_toml("a=" + "[" * (DEEPEST - 1) + "0.5" + "]" * (DEEPEST - 1))
    for text in ("[" * (DEEPEST + 1) + "1" + "]" * (DEEPEST + 1), "[" * 10**5):
        with pytest.raises(ValueError, match="more than 32 deep"):
            from_json(text)


def test_a_sentence_quotes_at_most_200_characters_of_a_value() -> None:
    long = "x " * 5000
    for value in (repr(long), repr(long + "'"), "y" * 5000, str([*range(5000)]), f"({long!r}, or none)"):
        said = str(UserError(f"the runs' label {value} isn't known; choose from 'a', 'b'"))
        assert "…" in said and len(said) < MOST + 80
        assert said.startswith("the runs' label ") and said.endswith(" isn't known; choose from 'a', 'b'")
    whole = f"run {'x' * 100!r} is {'y' * (MOST - 1)}; choose from {', '.join(map(str, range(500)))}"
    assert short(whole) == whole


def test_a_sentence_is_one_line_that_any_terminal_shows() -> None:
    assert str(UserError("no run a\nb\x1b[1m\u202ec\ud800 é 日")) == r"no run a\nb\x1b[1m\u202ec\ud800 é 日"


def test_the_command_line_quotes_as_little(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["x" * 5000])
    assert len(capsys.readouterr().err) < 250 + MOST


def test_a_checkpoint_has_one_name(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", train=20, others=10)
    for ending in ("safetensors", "state.pt"):
        (run.checkpoints / f"epoch_0008.{ending}").write_bytes(b"")
    assert find_checkpoint(run, "8")[1] == 8
    for name in ("٨", "08", "+8", "²", ""):
        with pytest.raises(UserError, match="has no checkpoint"):
            find_checkpoint(run, name)


def test_a_link_quotes_as_little() -> None:
    _, refused = fitting(read_settings("demo"), ["x" * 3000 + "=1", "seed=true"])
    assert len(refused) == 2 and all(len(sentence) < 250 + MOST for sentence in refused)
