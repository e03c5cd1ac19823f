from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mlbench.data.task import Kind
from mlbench.evaluation.clip_score import clip_score
from mlbench.measures.seeds import draw_seeds
from mlbench.measures.significance import question_clusters
from mlbench.models.encoding import Embedded
from mlbench.ranking.products import Limits
from mlbench.reports.report import Report
from mlbench.training.studies.figures import Figure, Reader, macro_figures, read_figure
from tests.support.image_collections import image_collection
from tests.support.reports import report_of
from tests.training.studies.made import made_report


def test_a_figure_is_read_and_written():
    figure = read_figure("multilingual:rank-distance")
    assert figure.text == "multilingual:rank-distance"
    assert (figure.title, figure.digits, figure.lower_is_better) == ("rank distance", 1, True)
    assert read_figure("crosslingual:AP").title == "mAP cross-lingual"
    assert read_figure("image-to-text:clip-score").title == "CLIPScore image to text"
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


def test_clip_score_is_a_figure_where_reports_have_it():
    report = image_report()
    table, clusters = report.table, question_clusters(report.table)
    reader = Reader.of(table, report.task.kinds, "AP", clusters, report.clip_values)
    names = [figure.text for figure in macro_figures(reader.figures)]
    assert names[-4:] == [
        "image-to-text:clip-score", "multilingual:clip-score", "text-to-image:clip-score",
        "text-to-image:judged-clip-score",
    ]  # fmt: skip
    arms = [
        reader.arm(["1"], [table], (), [report.clip_values]),
        reader.arm(["1"], [table], (), [None]),
    ]
    drawn = draw_seeds(arms, clusters.count, draws=20)
    clip = report.clip_score
    wanted = {
        Figure("text-to-image", "clip-score"): clip.first_image,
        Figure("image-to-text", "clip-score"): clip.first_caption,
        Figure("multilingual", "clip-score"): clip.first_mixed,
        Figure("crosslingual", "clip-score", "zxx"): clip.first_caption,
        Figure("crosslingual", "clip-score", "de"): clip.by_language["de"].first_image,
    }
    for figure, value in wanted.items():
        at = reader.figures.index(figure)
        assert drawn.observed[0][0, at] == pytest.approx(value, abs=1e-9)
        assert math.isnan(drawn.observed[1][0, at])


def test_an_image_is_of_no_language_that_is_seen_or_not():
    report = image_report()
    clusters = question_clusters(report.table)
    reader = Reader.of(report.table, report.task.kinds, "AP", clusters)
    assert {f.kind for f in reader.figures if f.over in ("seen", "unseen")} == {
        "crosslingual", "multilingual",
    }  # fmt: skip
    arm = reader.arm(["1"], [report.table], ("de",))
    observed = draw_seeds([arm], clusters.count, draws=20).observed[0][0]

    def value(*of: str) -> float:
        return float(observed[reader.figures.index(Figure(*of))])

    def settings(*languages: str) -> float:
        own = [s.measures["AP"] for s in report.settings if s.kind == "crosslingual"
               if {s.query_language, *s.passage_languages} & {*languages}]  # fmt: skip
        return sum(own) / len(own)

    assert value("crosslingual", "AP", "seen") == pytest.approx(settings("de"))
    assert value("crosslingual", "AP", "unseen") == pytest.approx(settings("en", "zh"))
    assert math.isnan(value("multilingual", "AP", "seen"))


def image_report() -> Report:
    data = image_collection(3)
    generator = np.random.default_rng(0)
    queries, passages = (
        generator.standard_normal((len(e), 5)).astype(np.float32)
        for e in (data.queries, data.passages)
    )
    report, _ = report_of(data, (queries, passages), measures=["AP"])
    clip, values = clip_score(
        data, Embedded(queries, passages, (), {}), report.model, Kind, Limits()
    )
    return replace(report, clip_score=clip, clip_values=values)
