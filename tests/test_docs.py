"""The documentation says what the program does."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from mlbench.cli import _parser
from mlbench.measures import MEASURES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def load_reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reference()


def test_the_reference_of_the_command_line_is_that_of_the_program():
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == load_reference(), "run: python docs/reference.py > docs/cli.md"


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def test_ci_runs_the_test_command_of_the_readme():
    blocks = "\n".join(code_blocks(ROOT / "README.md"))
    (line,) = [line for line in blocks.splitlines() if "pytest" in line]
    assert line in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_parses(page):
    refused = []
    for line in "\n".join(code_blocks(page)).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "mlbench" and "..." not in words:
                try:
                    _parser().parse_args(words[1:])
                except SystemExit:
                    refused.append(part)
    assert refused == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_measure_is_documented():
    text = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"`{name}" not in text] == []


def test_every_module_is_in_the_picture_of_the_design():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    parts = {path.name for path in (ROOT / "mlbench").iterdir() if not path.name.startswith("_")}
    parts -= {"py.typed"}
    names = {f"`{part.removesuffix('.py')}{'' if part.endswith('.py') else '/'}`" for part in parts}
    assert {name for name in names if name not in text} == set()


DATA_AND_MODELS = {"adapters", "encoding", "evaluate", "files", "readers"}
FORBIDDEN = {
    "task": {"collection", *DATA_AND_MODELS},
    "collection": DATA_AND_MODELS,
    "readers": {"adapters", "encoding", "evaluate", "report"},
    "adapters": {"task", "collection", "readers", "files", "report", "ranks"},
    "report": DATA_AND_MODELS,
    "rendering": {"comparing", "commands", *DATA_AND_MODELS},
    "explain": {"report", *DATA_AND_MODELS},
    "subset": DATA_AND_MODELS,
    **{
        name: {"collection", "report", "artefacts", *DATA_AND_MODELS}
        for name in (
            *("scoring", "ranks", "measures", "bias", "significance", "scores"),
            *("pools", "bias_figures", "bias_scores", "macro"),
        )
    },
}


def imports(path: Path) -> list[ast.ImportFrom]:
    """What a file imports by ``from``, anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def imported(path: Path) -> set[str]:
    """Modules of mlbench that a file imports, a folder counting as one."""
    found = set()
    for node in imports(path):
        if node.module and node.module.startswith("mlbench"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


def import_graph() -> dict[str, set[str]]:
    """Module of mlbench (a folder counts as one) -> modules it imports."""
    graph: dict[str, set[str]] = {}
    package = ROOT / "mlbench"
    for path in package.rglob("*.py"):
        name = path.relative_to(package).parts[0].removesuffix(".py")
        graph.setdefault(name, set()).update(imported(path) - {name, "__version__"})
    return graph


def test_imports_run_one_way():
    order = list(graphlib.TopologicalSorter(import_graph()).static_order())
    assert order.index("errors") < order.index("report") < order.index("commands")


def test_nor_do_modules_of_one_folder_import_each_other():
    package = ROOT / "mlbench"
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in package.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        named = {f"{node.module}.{alias.name}" for node in imports(path) for alias in node.names}
        graph[name] = (named | {node.module for node in imports(path)}) & set(files)
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("mlbench.commands.stream") < order.index("mlbench.commands.run")


def test_modules_do_not_know_what_they_must_not():
    graph = import_graph()
    assert {name: graph[name] & others for name, others in FORBIDDEN.items()} == {
        name: set() for name in FORBIDDEN
    }


@pytest.mark.parametrize("name", ["ranks", "measures", "bias", "significance", "scoring/kernels"])
def test_the_core_opens_no_files(name):
    text = (ROOT / "mlbench" / f"{name}.py").read_text(encoding="utf-8")
    assert "open(" not in text
    assert "pathlib" not in text


def test_the_size_of_modules_and_functions():
    for path in sorted((ROOT / "mlbench").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert path.read_text(encoding="utf-8").count("\n") <= 320, path.name
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path.name}: {node.name}"
            assert not isinstance(node, ast.Assert), f"{path.name}:{node.lineno}: assert"
