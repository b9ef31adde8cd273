"""Who may import whom: each room only rooms below it, and no two files each other, however long the ring.

The order is the rule of docs/architecture.md. Imports are parsed wherever they stand: at the top, inside functions, under
TYPE_CHECKING, and by ``import_module``.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    "app",
    "pages",
    "__main__",
    "cli",
    "bench",
    "doctor",
    "ui",
    "recorded",
    "experiments",
    "jobs",
    "elsewhere",
    "training",
    "reports",
    "runs",
    "recipe",
    "evaluations",
    "methods",
    "attacks",
    "diffusion",
    "difficulty",
    "nets",
    "data",
    "charts",
    "machine",
    "device",
    "intervals",
    "randomness",
    "fields",
    "component",
    "disk",
    "errors",
    "text",
)
"""From the top to the ground. ``dpls/__init__.py`` is above all: it names the public interface."""
GROUND = ("machine", "device", "intervals", "randomness", "fields", "component", "disk", "errors", "text")
MOST_LINES, MOST_FILES, LONGEST_FUNCTION = 300, 12, 50
FILES = sorted([ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "dpls").rglob("*.py")])
PAGE_FILES = sorted((ROOT / "pages").glob("*.py"))


def module_of(path: Path) -> str:
    """dpls/runs/directory.py -> dpls.runs.directory; a package is its ``__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room a module belongs to; the package itself is 'dpls'."""
    parts = module.split(".")
    return parts[0] if parts[0] != "dpls" or len(parts) == 1 else parts[1]


MODULES = {module_of(path): path for path in FILES}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file names in an import, outside ones too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = names & MODULES.keys()
            found |= modules | ({node.module} if len(modules) < len(names) else set())
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


IMPORTS = {module: imported(path) for module, path in MODULES.items()}
INSIDE = {module: {name for name in names if name in MODULES} for module, names in IMPORTS.items()}


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    if module == "dpls":
        return
    room = room_of(module)
    assert room in ROOMS, f"give {room} its place in the order of rooms"
    for other in INSIDE[module]:
        below = room_of(other)
        assert below == room or (below in ROOMS and ROOMS.index(below) > ROOMS.index(room)), f"{module} imports {other}"


@pytest.mark.parametrize("room", GROUND)
def test_the_ground_stands_alone(room: str) -> None:
    assert INSIDE[f"dpls.{room}"] <= {"dpls.text", "dpls.errors", "dpls.component"}


def test_no_ring_of_imports() -> None:
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a ring: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for other in sorted(INSIDE[module] - {module}):
                walk(other, (*way, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


def test_the_order_has_no_dead_entries() -> None:
    assert {room_of(module) for module in MODULES} - {"dpls"} == set(ROOMS)


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda p: p.stem)
def test_pages_draw_themselves(path: Path) -> None:
    assert "with page(" in path.read_text(), f"{path.name} draws no page of its own; helpers live in dpls/ui"


def test_the_menu_lists_every_page() -> None:
    text = (ROOT / "dpls" / "ui" / "menu.py").read_text()
    assert all(f"pages/{path.name}" in text for path in PAGE_FILES)


def test_streamlit_is_imported_by_pages_only() -> None:
    for module, names in IMPORTS.items():
        if room_of(module) not in ("app", "pages", "ui"):
            assert not any(name.split(".")[0] == "streamlit" for name in names), module


def test_torchvision_is_never_imported_at_the_top() -> None:
    for path in FILES:
        top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        assert not any("torchvision" in ast.dump(node) for node in top), path


LIGHT = (
    "dpls.recipe",
    "dpls.runs.report",
    "dpls.runs.choice",
    "dpls.runs.examples",
    "dpls.jobs.launchers",
    "dpls.jobs.estimate",
    "dpls.experiments.stored",
    "dpls.experiments.figures",
    "dpls.difficulty.verdict",
    "dpls.charts",
    "dpls.reports",
    "dpls.cli.main",
)
"""What pages and commands use without torch. One interpreter imports them all, in turn, and names the first that brings it."""


def test_settings_results_and_pages_load_no_torch() -> None:
    modules = ["dpls.recipe", *LIGHT, *(m for m in MODULES if room_of(m) == "ui")]
    code = f"""
import sys, json
from importlib import import_module
for name in {json.dumps(modules)}:
    import_module(name)
    heavy = {{"torch", "torchvision", *(("pandas", "scipy", "pyarrow") if name == "dpls.recipe" else ())}}
    if heavy & sys.modules.keys():
        sys.exit(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"loads what is heavy, or cannot be imported: {done.stderr}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.is_relative_to(ROOT / "dpls")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_and_its_functions_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES, f"{path.name} has grown; give it a room"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert (node.end_lineno or 0) - first.lineno < LONGEST_FUNCTION, f"{path.name}: {node.name}"


def test_rooms_are_small() -> None:
    for folder in {path.parent for path in FILES if path.is_relative_to(ROOT / "dpls")} - {ROOT / "dpls" / "ui"}:
        assert len(list(folder.glob("*.py"))) <= MOST_FILES + 1, f"{folder.name} holds too much"
