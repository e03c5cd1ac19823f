"""The package keeps to the order that docs/design.md draws."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "mlbench"
ORDER = (
    *("common", "data", "ranking", "models", "measures", "reports"),
    *("runs", "evaluation", "comparing", "training", "leaderboard"),
    *("integrations", "commands"),
)
"""Packages from the lowest: each may import those before it."""
DEEPEST = 13
LONGEST_MODULE, LONGEST_FUNCTION = 450, 60


def name_of(path: Path) -> str:
    """``mlbench/data/task.py`` is ``mlbench.data.task``, and ``__init__.py`` its folder."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """The modules of mlbench that a file imports, anywhere in it; types alone do not count."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (named & FILES.keys()) or {str(node.module)}
        todo += ast.iter_child_nodes(node)
    return found & FILES.keys() - {"mlbench"}


SHOWN_BY = {
    "mlbench.reports.report": {"mlbench.reports.page", "mlbench.reports.tables"},
    "mlbench.reports.suite_report": {"mlbench.reports.suite_page"},
}
"""A report, of a task or a suite, shows itself: its methods import what shows it when called."""

GRAPH = {name: imported(path) - {name} - SHOWN_BY.get(name, set()) for name, path in FILES.items()}


def package_of(name: str) -> str:
    """``mlbench.data.task`` is of ``data``."""
    return name.split(".")[1] if "." in name else ""


def test_the_packages_are_those_of_the_design():
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert found == set(ORDER)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_lower_packages_never_import_upper_ones():
    upwards = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if package_of(name) in ORDER
        and ORDER.index(package_of(name)) < ORDER.index(package_of(other))
    ]
    assert upwards == []


def test_modules_do_not_import_each_other_in_a_circle():
    order = list(graphlib.TopologicalSorter(GRAPH).static_order())
    assert order.index("mlbench.common.errors") < order.index("mlbench.commands.run")


def test_how_deep_imports_go():
    depth: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(GRAPH).static_order():
        depth[name] = 1 + max((depth[other] for other in GRAPH[name]), default=0)
    assert {name: deep for name, deep in depth.items() if deep > DEEPEST} == {}


@pytest.mark.parametrize(
    "name", ["ranking.ranks", "measures.rank_measures", "measures.bias", "ranking.kernels"]
)
def test_the_core_opens_no_files(name):
    text = FILES[f"mlbench.{name}"].read_text(encoding="utf-8")
    assert "open(" not in text
    assert "pathlib" not in text


def test_a_module_whose_name_begins_with_an_underscore_is_its_package_s_own():
    strangers = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if other.rpartition(".")[2].startswith("_")
        and not name.startswith(other.rpartition(".")[0])
    ]
    assert strangers == []


@pytest.mark.parametrize("name", FILES)
def test_the_size_of_modules_and_functions(name):
    text = FILES[name].read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= LONGEST_FUNCTION, node.name
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert"
