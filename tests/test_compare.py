"""``dpls compare``: methods side by side, tiny and real, and what its table says of outcomes that were made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_outcomes import Truth, World, of_kind
from test_combinations import SMALL

from dpls import intervals
from dpls.cli.main import main
from dpls.experiments.kinds.methods import METHODS, as_text, table
from dpls.experiments.outcomes import ALL
from dpls.recipe import override
from dpls.runs.folder import list_runs
from dpls.runs.scores import kept


@pytest.fixture
def base(tmp_path: Path) -> str:
    file = tmp_path / "base.json"
    file.write_text(json.dumps(override(SMALL, ["eps=0.02"])))
    return str(file)


def compare(base: str, runs: Path, *more: str) -> int:
    return main(["compare", base, "--runs", str(runs), "--seeds", "1", *more])


def test_methods_of_two_eps_end_in_one_table(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, asked = tmp_path / "runs", ("--methods", "dpls,swa,awp,dpls_awp", "--measures", "el2n", "--eps", "0.02,8/255")
    assert compare(base, runs, *asked, "--to", str(tmp_path / "table.csv")) == 0
    out = capsys.readouterr().out
    found = pd.read_csv(tmp_path / "table.csv")
    names = ["hard labels", "DPLS 0.5", "DPLS 0.5 by EL2N", "SWA", "AWP", "DPLS 0.5 + AWP"]
    assert found["method"].tolist() == 2 * names and found["eps"].tolist() == ["0.02"] * 6 + ["8/255"] * 6
    assert found["clean, average"].notna().tolist() == 2 * [False, False, False, True, False, False]
    passes = found.set_index("method")["passes an image"].groupby(level=0).mean()
    assert passes["AWP"] == passes["DPLS 0.5 + AWP"] > passes["SWA"] == passes["hard labels"] > 0
    assert "What the article reports" in out and "not measured here" in out
    made = {run.label().removeprefix("methods: "): run for run in list_runs(runs) if run.recipe().eps == 0.02}
    parents = {name: run.config()["parent"] for name, run in made.items()}
    branched = [name for name, parent in parents.items() if parent]
    assert len(made) == 6 and len(branched) == 4, "hard labels and AWP alone begin at the beginning"
    before = len(list_runs(runs))
    assert compare(base, runs, *asked, "--to", str(tmp_path / "table.md")) == 0
    assert len(list_runs(runs)) == before, "nothing is trained twice"
    text = (tmp_path / "table.md").read_text()
    assert text.count("| hard labels |") == 2 + 3 and "| 54.03 |" in text


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--methods", "dpls,magic"], "methods.1 = 'magic' is unknown; choose from pruning, uniform"),
        (["--measures", "magic"], "measures: 'magic' is none; choose from zero_one"),
        (["--to", "table.xlsx"], "--to 'table.xlsx': tables are written as .csv or .md"),
        (
            ["--to", "nowhere/table.md"],
            "--to 'nowhere/table.md': tables are written as .csv or .md into a folder that is",
        ),
        (["--methods", ""], "methods = [] is too short"),
        (["--eps", "2/255,far"], "base.eps = 'far'"),
        (["--seeds", "0"], "seeds = 0 is not allowed"),
        (["--set", "base.objective.kind=awp"], "base.objective is AWP already"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    more: list[str], sentence: str, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(base, tmp_path / "runs", *more) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"dpls: {sentence}") and len(err.splitlines()) == 1, err
    assert not (tmp_path / "runs").exists()


def test_dpls_by_scores_is_bound_to_their_content(base: str, tmp_path: Path) -> None:
    runs, asked = tmp_path / "runs", ("--methods", "dpls", "--measures", "", "--scores", "mine")
    assert compare(base, runs, "--methods", "dpls", "--measures", "") == 0
    first = list_runs(runs)[0]
    count, fingerprint = len(first.examples()), first.config()["fingerprint"]
    kept.keep(runs, fingerprint, "mine", np.arange(count, dtype=float))
    table = tmp_path / "table.csv"
    assert compare(base, runs, *asked, "--to", str(table)) == 0
    assert pd.read_csv(table)["method"].tolist() == ["hard labels", "DPLS 0.5", "DPLS 0.5 by mine"]
    before = len(list_runs(runs))
    assert before == 3, "hard labels and DPLS are those that were there"
    assert compare(base, runs, *asked) == 0 and len(list_runs(runs)) == before, "nothing is trained twice"
    kept.keep(runs, fingerprint, "mine", -np.arange(count, dtype=float))
    assert compare(base, runs, *asked) == 0 and len(list_runs(runs)) == before + 1, "by other scores it is another run"


def test_every_method_is_planned_and_uniform_hardest_and_permuted_have_the_mean_of_dpls() -> None:
    experiment = of_kind("methods", methods=list(METHODS), measures=["el2n"])
    plan = {run.arm: run.config.phases[-1] for run in experiment.plan()}
    assert len(plan) == 1 + len(METHODS) + 1
    difficulty = np.linspace(0, 1, 101) ** 2
    means = {name: phase.factors(difficulty, 10).mean() for name, phase in plan.items()}
    for name in ("uniform 0.5", "hardest 0.5", "permuted 0.5", "DPLS 0.5 + SWA", "DPLS 0.5 + AWP"):
        assert means[name] == pytest.approx(means["DPLS 0.5"])
    assert means["SWA"] == means["AWP"] == means["pruned 10%"] == 1


def test_the_table_says_what_the_outcomes_are() -> None:
    o = World(train=100, test=400, seeds=3).outcomes({ALL: Truth(), "SWA": Truth(gain=0.1)})
    o.outcomes["attacked_average"] = o.outcomes["attacked_last"].where(o.outcomes["arm"] == "SWA")
    o.outcomes.attrs["cost"] = {ALL: [90.0, 1234.0]}
    found = table(o, [ALL, "SWA", "AWP"]).set_index("method")
    assert found.index.tolist() == ["hard labels", "SWA"], "what is not there yet has no row"
    right = intervals.mean(o.right("SWA", "attacked_last"))
    assert found.loc["SWA", "judge, average"] == found.loc["SWA", "judge, last"]
    assert found.loc["SWA", "judge, last"] == f"{100 * right.value:.1f} [{100 * right.low:.1f}, {100 * right.high:.1f}]"
    assert found.loc["hard labels", "judge, average"] == ""
    assert found.loc["hard labels", ["minutes", "passes an image"]].tolist() == ["1.5", "1,234"]
    assert "PGD, average" not in found, "a column of which nothing is known"
    assert as_text({0.1: {"own": found.reset_index()}}, True).splitlines()[0].startswith("eps,method,mean factor")
    lines = of_kind("methods", seeds=3, methods=["swa"], measures=[]).summarise(o).lines
    mean = next(line for line in lines if line.quantity == "attacked, average")
    last = next(line for line in lines if line.quantity == "attacked, last" and line.arm == "SWA")
    assert mean.difference == last.difference, "against hard labels' last epoch"
