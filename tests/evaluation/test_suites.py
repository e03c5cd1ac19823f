"""Suite files: what they say, and every fault that one can have, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.common.errors import DataError, UsageError
from mlbench.data.suite import list_suites
from mlbench.data.task import Kind
from mlbench.evaluation.suites import load_suite
from tests.conftest import REPOSITORY

SOUND = """\
name = "mine"
title = "Mine"
mean = true

[tasks.xquad-r]
headline = "multilingual:map"
figures = ["monolingual:AP", "multilingual:AP", "multilingual:rank-distance"]

[tasks.miracl]
headline = "monolingual:nDCG@10"
"""


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path) -> dict[str, str]:
    """Field -> what is said of it."""
    with pytest.raises(DataError) as caught:
        load_suite(path)
    before = f"{path}, field "
    return {f.where.removeprefix(before): f"{f.found} {f.mend}" for f in caught.value.faults}


@pytest.mark.parametrize("name", list_suites())
def test_every_built_in_suite_is_sound(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.citation
    assert all(each.headline in each.figures for each in suite.tasks)


def test_the_suite_of_the_paper_has_its_columns() -> None:
    suite = load_suite("paper")
    assert [each.task.name for each in suite.tasks] == ["xquad-r", "mlqa-r", "miracl"]
    assert not suite.mean
    columns = [f"{kind}:AP" for kind in Kind] + ["multilingual:rank-distance"]
    for each in suite.tasks[:2]:
        assert [*map(str, each.figures)] == columns
        assert str(each.headline) == "multilingual:AP"
    assert [*map(str, suite.tasks[2].figures)] == ["monolingual:nDCG@10", "monolingual:R@100"]


def test_the_suite_of_xquad_has_a_mean() -> None:
    suite = load_suite("xquad")
    assert suite.mean
    names = ["xquad-r", "xquad-r-context", "xquad-paragraph"]
    assert [each.task.name for each in suite.tasks] == names
    assert {str(each.headline) for each in suite.tasks} == {"multilingual:AP"}


def test_names_are_canonical_and_the_headline_is_among_the_figures(tmp_path: Path) -> None:
    first, second = load_suite(written(tmp_path, SOUND)).tasks
    assert str(first.headline) == "multilingual:AP"
    assert [*map(str, first.figures)] == [
        "monolingual:AP",
        "multilingual:AP",
        "multilingual:rank-distance",
    ]
    assert second.figures == (second.headline,)


def test_a_task_can_be_a_file_beside_the_suite(tmp_path: Path) -> None:
    for code in ("de", "en"):
        (tmp_path / f"{code}.txt").write_text("a\nb\n")
    task = 'name="small"\nversion="1"\ntitle="t"\nlanguages=["de","en"]\nlicence="l"\n'
    task += 'citation="c"\n[source]\nreader="lines"\n[source.files]\ntext="{language}.txt"\n'
    written(tmp_path, task, "small")
    suite = 'name="mine"\ntitle="t"\n[tasks."small.toml"]\nheadline="crosslingual:RR"\n'
    path = written(tmp_path, suite)
    assert load_suite(path).tasks[0].task.path == tmp_path / "small.toml"
    again = suite + '[tasks."./small.toml"]\nheadline="crosslingual:RR"\n'
    assert "a second time" in faults(written(tmp_path, again))["tasks../small.toml"]


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("tasks.xquad-r]", "tasks.xqad-r]", "tasks.xqad-r: task 'xqad-r'", "'xquad-r'"),
        ("nDCG@10", "nDGC@10", "tasks.miracl.headline", "did you mean 'nDCG@10'"),
        ("nDCG@10", "R", "tasks.miracl.headline", "cutoff"),
        ("nDCG@10", "rank-distance", "tasks.miracl.headline", "monolingual:rank-distance"),
        ("monolingual:nDCG", "crosslingual:nDCG", "tasks.miracl.headline", "does not have"),
        ("multilingual:map", "multilingal:map", "tasks.xquad-r.headline", "'multilingual'"),
        ("multilingual:map", "map", "tasks.xquad-r.headline", "'map'"),
        ("multilingual:map", "multilingual:", "tasks.xquad-r.headline", "'multilingual:'"),
        ("multilingual:map", "multilingual:rank-distance", "tasks.xquad-r.headline", "rank"),
        ('["mono', '["multilingual:AP", "mono', "tasks.xquad-r.figures", "more than once"),
        ("headline = \"mono", "headlines = \"mono", "tasks.miracl.headlines", "'headline'"),
        ("mean = true", "mean = 1", "mean", "1"),
        ("mean = true", "maen = true", "maen", "did you mean 'mean'"),
        ('name = "mine"', 'name = "other"', "name", "other.toml"),
        ('name = "mine"', "", "name", "missing"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, field: str, said: str
) -> None:
    assert old in SOUND
    found = faults(written(tmp_path, SOUND.replace(old, new, 1)))
    assert field in found
    assert said in found[field]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = SOUND.replace("xquad-r]", "xqad-r]").replace("nDCG@10", "nDGC@10")
    found = faults(written(tmp_path, text.replace('"monolingual:AP"', '"monolingual:AAP"')))
    assert {"tasks.xqad-r.figures", "tasks.miracl.headline"} <= set(found)
    assert len(found) == 3


def test_a_kind_that_there_is_not_hides_no_other_fault(tmp_path: Path) -> None:
    text = SOUND.replace("xquad-r]", "xqad-r]").replace("nDCG@10", "nDGC@10")
    found = faults(written(tmp_path, text.replace('"monolingual:AP"', '"monolingal:AP"')))
    assert len(found) == 3
    (said,) = [told for field, told in found.items() if field.endswith("xqad-r.figures")]
    assert "'monolingal:AP'" in said
    assert "did you mean 'monolingual'" in said


def test_a_task_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND.replace("tasks.miracl", "tasks.xquad-r"))
    with pytest.raises(DataError, match=r"twice \(at line 9"):
        load_suite(path)


def test_no_tasks(tmp_path: Path) -> None:
    assert "no task" in faults(written(tmp_path, 'name="mine"\ntitle="t"\n[tasks]\n'))["tasks"]


def test_the_example_of_the_documentation_is_sound(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "suites.md").read_text(encoding="utf-8")
    readme = (REPOSITORY / "tasks" / "README.md").read_text(encoding="utf-8")
    for text, name in ((page, "mine"), (readme, "hotels")):
        written(tmp_path, text.split("```toml\n", 1)[1].split("```", 1)[0], name)
    suite = load_suite(tmp_path / "mine.toml")
    assert [each.task.name for each in suite.tasks] == ["xquad-r", "hotels"]
    for name in list_suites():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        for each in load_suite(name).tasks:
            assert f"`{each.task.name}`" in row


def test_a_suite_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        load_suite("papr")
    with pytest.raises(UsageError, match="for the built-in suite write 'paper'"):
        load_suite(tmp_path / "paper.toml")
    with pytest.raises(UsageError, match="an object of type int"):
        load_suite(7)  # type: ignore[arg-type]
