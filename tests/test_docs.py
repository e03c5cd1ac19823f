"""The documentation says what the program does."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import re
import shlex
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

import mlbench
from mlbench.commands.cli import parser_of
from mlbench.commands.doctor import GIVES, _data, _data_in_words
from mlbench.measures.rank_measures import MEASURES

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


def test_every_page_is_in_the_navigation_of_the_site_once():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        below = entry if isinstance(entry, list) else entry.values()
        return [page for part in below for page in pages(part)]

    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert len(named) == len(set(named))
    docs = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert docs == {page for page in named if (ROOT / "docs" / page).exists()}
    notebooks = {path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    docs |= {f"notebooks/{name}.md" for name in notebooks}
    assert docs <= {*named}
    elsewhere = {page for page in named if page not in docs}
    shown = {page for page in elsewhere if page.startswith("source/")}  # as a listing
    paths = elsewhere - shown | {page[len("source/") : -len(".md")] for page in shown}
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_page_of_functions_names_all_that_users_import():
    text = (ROOT / "docs" / "api-reference.md").read_text(encoding="utf-8")
    places = re.findall(r"^::: ([\w.]+)\.(\w+)$", text, re.M)
    assert sorted(name for _module, name in places) == sorted(mlbench.__all__)
    for module, name in places:
        assert getattr(importlib.import_module(module), name) is getattr(mlbench, name)


PARAGRAPH = 7
"""Lines of a paragraph that a docstring on the page of functions may have."""


def test_fields_and_long_lists_of_arguments_are_read_one_by_one():
    public = [getattr(mlbench, name) for name in mlbench.__all__]
    fields = {of: [each.name for each in dataclasses.fields(of)]
              for of in public if dataclasses.is_dataclass(of)}  # fmt: skip
    assert len(fields) > 2
    for of, names in fields.items():
        listed = re.findall(r"^    (\w+): ", inspect.getdoc(of).partition("Attributes:\n")[2], re.M)
        assert listed == names, of
    for of in public:
        paragraphs = inspect.getdoc(of).partition("\n    ")[0].split("\n\n")
        assert max(len(each.splitlines()) for each in paragraphs) <= PARAGRAPH, of


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
                    parser_of().parse_args([*takewhile(lambda w: w != ">", words)][1:])
                except SystemExit:
                    refused.append(part)
    assert refused == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_name_in_angle_brackets_is_lost_as_a_tag(page):
    text = re.sub(r"^```.*?^```|^    .*?$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    outside = re.sub(r"(`+).+?\1", "", text, flags=re.S)
    assert re.findall(r"<[a-z][^>\n]*>", outside) == []


def test_the_readme_leads_to_every_page_of_the_docs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    reached = set(re.findall(r"\(docs/(\w[\w-]*\.md)", text))
    assert pages - reached == {"index.md", "api-reference.md"}  # both are made for the site


def test_what_doctor_says_of_extras_is_what_the_page_shows():
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^([\w-]+) {2,}(?:yes|no) {2,}(.+)$", text, re.M))
    assert shown == GIVES


def test_the_screen_of_doctor_on_the_page_is_that_of_a_fresh_machine(monkeypatch, tmp_path):
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    for name in ("MLBENCH_CACHE", "HF_HOME", "HF_HUB_CACHE", "IR_DATASETS_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (screen,) = re.findall(r"```text\n(mlbench .*?)```", text, re.S)
    facts, _, extras = screen.partition("\n\n")
    assert f"mlbench {mlbench.__version__}, " in " ".join(facts.split())
    assert _data_in_words(_data(None)) in " ".join(facts.split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["optional-dependencies"]
    lacking = dict(re.findall(r"^([\w-]+) +no +.*\n((?: {10}.*\n)+)", extras, re.M))
    assert lacking
    for extra, lines in lacking.items():
        wanted = {line.replace("[python]", "") for line in needed[extra]}
        assert {*re.findall(r"[\w-]+>=[\d.]+", lines)} <= wanted


def test_a_folder_given_to_the_container_is_written_as_its_owner():
    lines = [
        line
        for page in (ROOT / "Containerfile", ROOT / "docs" / "install.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if "--volume" in line
    ]
    assert len(lines) == 2
    assert all("--userns keep-id" in line for line in lines)


def test_every_measure_is_documented():
    text = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"`{name}" not in text] == []


def test_every_package_is_in_the_picture_of_the_design():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    folders = [path.name for path in (ROOT / "mlbench").iterdir() if path.is_dir()]
    packages = [name for name in folders if not name.startswith("_")]
    assert [name for name in packages if f"`{name}/`" not in text] == []


@pytest.mark.parametrize(
    "path",
    [p for p in sorted((ROOT / "mlbench").rglob("*.py")) if ">>> " in p.read_text("utf-8")],
    ids=lambda path: path.stem,
)
def test_examples_in_docstrings_run(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    done = doctest.testmod(importlib.import_module(name))
    assert (done.failed, done.attempted > 0) == (0, True)


def test_nothing_installs_the_package_of_another_project() -> None:
    """On the package index "mlbench" is another project, so no text may say to install that."""
    wrong = re.compile(r"pip3? install(?:\s+-\S+)*\s+['\"]?mlbench(?!-retrieval)\b")
    assert wrong.search("pip install 'mlbench[ray]'")
    assert not wrong.search("pip install mlbench-retrieval")
    folders = ("mlbench", "tasks", "leaderboards", "docs", "benchmarks", "tests", ".github", ".ci")
    paths = [p for folder in folders for p in (ROOT / folder).rglob("*")] + [*ROOT.glob("*.*")]
    kinds = {".py", ".md", ".toml", ".yml", ".jinja", ".txt", ""}
    texts = [p for p in paths if p.is_file() and p.suffix in kinds and p != Path(__file__)]
    assert len(texts) > 200
    assert [p for p in texts if wrong.search(p.read_text("utf-8", errors="replace"))] == []
