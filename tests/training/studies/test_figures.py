from __future__ import annotations

from mlbench.data.task import Kind
from mlbench.measures.significance import question_clusters
from mlbench.training.studies.figures import Figure, Reader, macro_figures, read_figure
from tests.training.studies.made import made_report


def test_a_figure_is_read_and_written():
    figure = read_figure("multilingual:rank-distance")
    assert figure.text == "multilingual:rank-distance"
    assert (figure.title, figure.digits, figure.lower_is_better) == ("rank distance", 1, True)
    assert read_figure("crosslingual:AP").title == "mAP cross-lingual"
    assert read_figure("from-en:Success@1").title == "Success@1 from en"


def test_macro_figures_begin_with_the_kinds_of_settings():
    table = made_report(1.0, 1).table
    reader = Reader.of(table, list(map(str, Kind)), "AP", question_clusters(table))
    assert [figure.text for figure in macro_figures(reader.figures)] == [
        "monolingual:AP", "crosslingual:AP", "multilingual:AP", "multilingual:rank-distance",
        "multilingual:same-language",
    ]  # fmt: skip


def test_without_the_mixed_pool_there_is_no_bias():
    table = made_report(1.0, 1).table
    reader = Reader.of(table, ["monolingual"], "AP", question_clusters(table))
    assert {figure.kind for figure in reader.figures} == {"monolingual"}
    arm = reader.arm(["1"], [table], ())
    assert len(arm.parts) == 1
    assert Figure("monolingual", "AP", "de") in reader.figures
