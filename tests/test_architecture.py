"""Who may import whom. The dict is the rule of docs/architecture.md; the imports are parsed, wherever they stand."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = {"errors", "component"}
FAMILIES = {"data", "models", "attacks", "objectives", "targets", "difficulty", "subsets", "device"}
MAY_IMPORT = {
    "errors": set(),
    "component": set(),
    "randomness": set(),
    "device": {"errors"},
    "data": BASE | {"randomness"},
    "models": BASE,
    "attacks": BASE | {"randomness", "models", "data"},
    "targets": BASE,
    "difficulty": BASE,
    "subsets": BASE,
    "objectives": BASE | {"attacks", "models", "data", "randomness"},
    "dynamics": BASE | {"models", "data"},
    "runs": BASE,
    "config_errors": BASE,
    "config": BASE | FAMILIES | {"config_errors", "presets"},
    "presets": set(),
    "statistics": set(),
    "evaluation": BASE | {"attacks", "data", "models", "randomness", "runs", "statistics"},
    "examples": BASE | {"config", "data", "difficulty", "runs", "subsets"},
    "checkpoints": BASE | {"config", "dynamics", "runs"},
    "training": BASE | FAMILIES | {"config", "checkpoints", "dynamics", "evaluation", "examples", "randomness", "runs"},
    "submission": BASE | {"checkpoints", "config", "data", "device", "examples", "runs"},
    "worker": BASE | {"attacks", "config", "checkpoints", "data", "device", "doctor", "estimate", "evaluation", "examples", "jobs", "progress", "runs", "slots", "training"},
    "doctor": {"device", "runs"},
    "report": BASE | {"difficulty", "runs", "statistics"},
    "slots": {"errors"},
    "progress": {"runs"},
    "sidecar": {"data", "errors"},
    "scores": {"difficulty", "errors", "runs", "sidecar"},
    "jobs": {"errors", "runs", "slots"},
    "verdict": {"difficulty"},
    "charts": set(),
    "estimate": BASE | {"attacks", "config", "data", "device", "models", "runs"},
    "experiments": BASE | FAMILIES | {"charts", "config", "config_errors", "dynamics", "estimate", "evaluation", "examples", "jobs", "runs", "statistics", "submission", "training"},
    "recorded": {"config", "data", "examples", "experiments", "runs"},
    "ui": BASE | {"charts", "config", "data", "difficulty", "estimate", "experiments", "jobs", "report", "runs", "scores", "submission", "verdict"},
    "bench": BASE | FAMILIES | {"config", "config_errors", "doctor", "dynamics", "evaluation", "randomness", "runs", "training"},
    "cli": BASE | {"bench", "config", "doctor", "experiments", "jobs", "report", "runs", "scores", "sidecar", "submission", "worker"},
    "__main__": {"cli"},
    "__init__": {"dynamics", "sidecar", "targets"},
}  # fmt: skip


def module_of(path: Path) -> str:
    return path.relative_to(ROOT / "dpls").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Top-level modules of dpls that a file imports, and outside packages as 'package!'."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "dpls" else [node.module]
        for name in names:
            parts = name.split(".")
            found.add(parts[1] if parts[0] == "dpls" and len(parts) > 1 else f"{parts[0]}!")
    return found


MAY_IMPORT_PAGES = BASE | {
    "charts",
    "data",
    "difficulty",
    "jobs",
    "report",
    "runs",
    "sidecar",
    "targets",
    "ui",
    "verdict",
}
FILES = sorted((ROOT / "dpls").rglob("*.py"))
PAGE_FILES = sorted((ROOT / "pages").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_plan(path: Path) -> None:
    module = module_of(path)
    assert module in MAY_IMPORT, f"say in MAY_IMPORT what {module} may import"
    inside = {name for name in imports(path) if not name.endswith("!")} - {module}
    assert inside <= MAY_IMPORT[module], f"{module} imports {inside - MAY_IMPORT[module]}"


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda p: p.stem)
def test_pages_import_what_they_may_and_draw_themselves(path: Path) -> None:
    inside = {name for name in imports(path) if not name.endswith("!")}
    assert inside <= MAY_IMPORT_PAGES, path
    assert not {"torch!", "torchvision!"} & imports(path)
    assert "with page(" in path.read_text(), f"{path.name} draws no page of its own; helpers live in dpls/ui"


def test_the_app_lists_every_page() -> None:
    text = (ROOT / "app.py").read_text()
    assert all(f"pages/{path.name}" in text for path in PAGE_FILES)


def test_the_plan_has_no_dead_entries() -> None:
    assert {module_of(path) for path in FILES} == set(MAY_IMPORT)


def test_streamlit_is_imported_by_pages_only() -> None:
    for path in FILES:
        if "ui" not in path.parts:
            assert "streamlit!" not in imports(path), path


@pytest.mark.parametrize(
    "module",
    [
        "dpls.runs",
        "dpls.difficulty",
        "dpls.targets",
        "dpls.subsets",
        "dpls.data",
        "dpls.data.cache",
        "dpls.report",
        "dpls.jobs",
        "dpls.slots",
        "dpls.charts",
        "dpls.verdict",
        "dpls.ui.selection",
        "dpls.ui.inspector",
        "dpls.ui.manage",
        "dpls.ui.live",
        "dpls.ui.form",
        "dpls.ui.address",
        "dpls.ui.experiment_view",
        "dpls.experiments.stored",
        "dpls.experiments.results",
        "dpls.experiments.charts",
        "dpls.statistics",
        "dpls.cli",
    ],
)
def test_imported_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_torchvision_is_never_imported_at_the_top() -> None:
    for path in FILES:
        top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        assert not any("torchvision" in ast.dump(node) for node in top), path
