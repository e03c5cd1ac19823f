from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError, UsageError
from mlbench.comparing.baseline import Saved, saved_report
from mlbench.comparing.compare import compare, default_measures, standings, verdict
from mlbench.comparing.comparison import (
    comparison_json,
    csv_comparison,
    latex_comparison,
    markdown_comparison,
    terminal_comparison,
)
from mlbench.comparing.comparison_plots import comparison_plots
from mlbench.comparing.comparison_tables import blocks_of, pairs_that_matter
from mlbench.comparing.differences import BETTER, NOT_SHOWN, WORSE, Difference, Value
from mlbench.comparing.places import group_letters, label
from mlbench.comparing.quantities import RANK_DISTANCE, Quantity, chosen_names
from mlbench.data.task import Kind
from mlbench.reports.cost import Cost
from mlbench.reports.retrieved import Depth, Retrieved
from tests.support.reports import (
    collection_of,
    equal_vectors,
    example,
    languages,
    renamed,
    report_of,
    vectors,
)

MEASURES = ("AP", "R@1", RANK_DISTANCE)


@cache
def model(noise: float, seed: int = 3, questions: int = 60, count: int = 3) -> Saved:
    collection = collection_of(languages(count), questions)
    report, _ = report_of(collection, vectors(collection, noise, seed=seed), measures=["AP", "R@1"])
    return saved_report(renamed(report, f"noise-{noise}"), f"results/noise-{noise}")


def macro(comparison, measure="AP", kind="multilingual", model="B", against="A"):
    (found,) = [
        d for d in comparison.differences
        if (d.model, d.against, d.quantity) == (model, against, Quantity(kind, measure))
    ]  # fmt: skip
    return found


def test_the_better_model_is_better_in_both_directions_of_a_measure():
    comparison = compare([model(1.5), model(0.9)], MEASURES)
    ap, distance = macro(comparison), macro(comparison, RANK_DISTANCE)
    assert ap.difference > 0
    assert distance.difference < 0
    assert (ap.verdict, distance.verdict) == (BETTER, BETTER)
    turned = compare([model(0.9), model(1.5)], MEASURES)
    assert macro(turned).verdict == macro(turned, RANK_DISTANCE).verdict == WORSE
    assert macro(turned).difference == pytest.approx(-ap.difference)
    assert macro(turned).p == ap.p


def test_scores_are_those_of_the_report_and_differences_are_theirs():
    saved = [model(1.5), model(0.9)]
    comparison = compare(saved, MEASURES)
    for letter, each in zip("AB", saved, strict=True):
        values = {v.quantity: v for v in comparison.scores if v.model == letter}
        collection = collection_of(languages(3), 60)
        noise = float(each.model.name.removeprefix("noise-"))
        report, _ = report_of(collection, vectors(collection, noise), measures=["AP", "R@1"])
        for kind, scores in report.scores.macro.items():
            for name, score in scores.items():
                found = values[Quantity(kind, name)]
                assert found.value == pytest.approx(score.value, abs=1e-12)
                assert (found.low, found.high) == pytest.approx((score.low, score.high))
        distance = report.scores.bias.rank_distance
        assert values[Quantity("multilingual", RANK_DISTANCE)].value == pytest.approx(
            distance.value
        )
        settings = [s for s in report.scores.settings if s.query_language == "ar"]
        mono = next(s for s in settings if s.kind == "monolingual")
        assert values[Quantity("monolingual", "AP", "ar")].value == pytest.approx(
            mono.measures["AP"]
        )
        cross = [s.measures["AP"] for s in settings if s.kind == "crosslingual"]
        assert values[Quantity("crosslingual", "AP", "ar")].value == pytest.approx(np.mean(cross))
    at = {(v.model, v.quantity): v.value for v in comparison.scores}
    for d in comparison.differences:
        expected = at[d.model, d.quantity] - at[d.against, d.quantity]
        assert d.difference == pytest.approx(expected, abs=1e-9)
        assert d.low <= d.difference <= d.high
        assert 0 < d.p <= d.corrected <= 1


def test_a_model_against_itself_has_no_difference_and_no_nan():
    comparison = compare([model(1.5), model(1.5)], MEASURES)
    for d in comparison.differences:
        assert (d.difference, d.low, d.high, d.p, d.verdict) == (0, 0, 0, 1, NOT_SHOWN)
    assert "NaN" not in comparison_json(comparison)


def test_a_small_difference_is_not_shown_and_the_smallest_that_would_be_is_larger():
    comparison = compare([model(1.5, seed=3), model(1.5, seed=4)], ["AP"])
    d = macro(comparison, kind="monolingual")
    assert d.verdict == NOT_SHOWN
    assert d.least > abs(d.difference)


@pytest.mark.parametrize("questions", [1, 2, 5])
def test_a_handful_of_questions_shows_nothing(questions):
    comparison = compare([model(9.0, questions=questions), model(0.0, questions=questions)], ["AP"])
    assert {d.verdict for d in comparison.differences} == {NOT_SHOWN}
    assert '"least": null' in comparison_json(comparison)


def test_by_language_p_is_corrected_and_by_kind_it_is_not_for_two_models():
    for correction in ("max-t", "holm"):
        comparison = compare([model(1.2), model(1.0)], ["AP"], correction=correction)
        for d in comparison.differences:
            assert (d.corrected == d.p) if d.quantity.level == 0 else (d.corrected >= d.p)
    assert any(d.corrected > d.p for d in comparison.differences)


def test_many_models_have_rank_intervals_and_groups():
    saved = [model(3.0), model(1.5, seed=3), model(1.5, seed=4), model(0.5)]
    comparison = compare(saved, MEASURES)
    places = {
        s.model: s for s in comparison.standings if s.quantity == Quantity("multilingual", "AP")
    }
    assert (places["D"].best, places["D"].worst, places["D"].groups) == (1, 1, "a")
    assert (places["A"].best, places["A"].worst) == (4, 4)
    assert {places["B"].best, places["C"].best} == {2}
    assert places["B"].groups == places["C"].groups == "b"
    distance = [s.model for s in comparison.standings if s.quantity.measure == RANK_DISTANCE]
    assert (distance[0], distance[-1]) == ("D", "A")


def test_overlapping_groups_have_several_letters():
    letters = group_letters("ABCD", {("A", "B"), ("B", "C")})
    assert letters == {"A": "a", "B": "ab", "C": "b", "D": "c"}


def test_rank_intervals_follow_the_verdicts_not_the_order():
    quantity = Quantity("monolingual", "AP")
    scores = [Value(m, quantity, v, v, v) for m, v in zip("ABC", (0.5, 0.6, 0.7), strict=True)]
    shown = {("B", "A"): NOT_SHOWN, ("C", "A"): BETTER, ("C", "B"): NOT_SHOWN}
    differences = [Difference(*pair, quantity, 0, 0, 0, 1, 1, 0, v) for pair, v in shown.items()]
    found = {s.model: (s.best, s.worst, s.groups) for s in standings(scores, differences)}
    assert found == {"C": (1, 2, "a"), "B": (1, 3, "ab"), "A": (2, 3, "b")}


def test_labels_and_verdicts():
    assert [label(i) for i in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
    ap, distance = Quantity("multilingual", "AP"), Quantity("multilingual", RANK_DISTANCE)
    assert verdict(ap, 0.1, 0.2, 0.01) == verdict(distance, -20, -10, 0.01) == BETTER
    assert verdict(ap, -0.2, -0.1, 0.01) == verdict(distance, 10, 20, 0.01) == WORSE
    for low, high, p in ((0.1, 0.2, 0.06), (-0.1, 0.2, 0.01), (0, 0.2, 0.01), (np.nan, 1, 0.01)):
        assert verdict(ap, low, high, p) == NOT_SHOWN


def test_the_run_with_whole_paragraphs_has_wider_intervals_where_they_are_alike():
    def grouped(saved: Saved) -> Saved:
        groups = tuple(str(int(id_[1:]) // 6) for id_ in saved.ranks.query_ids)
        return replace(saved, ranks=replace(saved.ranks, query_groups=groups))

    comparison = compare([grouped(model(1.5)), grouped(model(0.9))], MEASURES)
    assert comparison.method.paragraphs == 10
    assert {d.quantity.level for d in comparison.sensitivity} == {0}
    assert len(comparison.sensitivity) == 3 + 3 + 1
    assert "10 paragraphs as clusters" in " ".join(terminal_comparison(comparison).split())


def test_measures_are_checked_and_chosen():
    assert chosen_names(["MRR@10", RANK_DISTANCE, "RR@10"]) == ("RR@10", RANK_DISTANCE)
    for name, offered in (("foo", True), ("bpref", True), ("hits", False), ("R@0", False)):
        with pytest.raises(UsageError) as caught:
            chosen_names(name)
        assert (RANK_DISTANCE in caught.value.faults[0].expected) == offered
    with pytest.raises(UsageError, match="rank-distance"):
        chosen_names(["nDGC@10", "AP", "bpref"])
    assert default_measures([model(1.5), model(0.9)]) == ("AP", "R@1", RANK_DISTANCE)
    assert default_measures([model(1.5, count=1)]) == ("AP", "R@1")
    with pytest.raises(UsageError, match="two or more"):
        compare([model(1.5)], ["AP"])
    with pytest.raises(UsageError, match="one that this task has a value for"):
        compare([model(1.5, count=1), model(0.9, count=1)], [RANK_DISTANCE])


def test_what_is_printed_fits_a_terminal_and_says_what_counts():
    two = terminal_comparison(compare([model(1.5), model(0.9)], MEASURES))
    many = terminal_comparison(compare([model(1.5), model(0.9), model(0.5)], MEASURES))
    for text in (two, many):
        assert max(map(len, text.splitlines())) <= 80
        assert "noise-1.5" in text
        assert "lower is better" in text
    assert "B is" in two
    assert "common letter" in many
    one = terminal_comparison(compare([model(1.5, count=1), model(0.9, count=1)], ["AP"]))
    assert "rank" not in one.replace("ranks", "")


@cache
def collapsed() -> Saved:
    collection = collection_of(languages(3), 60)
    report, _ = report_of(collection, equal_vectors(collection), measures=["AP", "R@1"])
    return saved_report(renamed(report, "collapsed"), "results/collapsed")


def test_ties_are_told_beside_the_scores_and_differences_that_they_move():
    saved = [model(1.5), collapsed()]
    comparison = compare(saved, MEASURES)
    collection = collection_of(languages(3), 60)
    report, _ = report_of(collection, equal_vectors(collection), measures=["AP", "R@1"])
    for value in (v for v in comparison.scores if v.model == "B" and not v.quantity.level):
        bias, q = report.scores.bias.rank_distance, value.quantity
        score = bias if q.measure == RANK_DISTANCE else report.scores.macro[q.kind][q.measure]
        assert value.optimistic == pytest.approx(score.optimistic, abs=1e-12)
        assert value.ties_matter == score.ties_matter
    untied = [v for v in comparison.scores if v.model == "A"]
    assert {v.optimistic == v.value for v in untied} == {True}
    d = macro(comparison)
    a, b = ({v.quantity: v for v in comparison.scores if v.model == m}[d.quantity] for m in "AB")
    assert (d.ties_low, d.ties_high) == (b.value - a.value, b.optimistic - a.value)
    assert d.verdict == WORSE
    assert d.ties_decide
    for text in (terminal_comparison(comparison), markdown_comparison(comparison)):
        said = " ".join(text.replace("\\", "").split())
        assert f"B multilingual mAP {b.value:.4f} to {b.optimistic:.4f}" in said
        assert "worse~" in said
    assert "~" not in terminal_comparison(compare([model(1.5), model(0.9)], MEASURES))


def as_runs(saved: Saved, depth: int | None = None, pool: str = "") -> Saved:
    """The same result as run files would give it: the values of each query, nothing else."""
    settings = saved.task.roles.settings(list(Kind))
    report = replace(example(3)[0], task=saved.task, ranks=saved.table, measures=saved.measures)
    values = report.per_query(measures=saved.measures, kind=pool or None)
    assert len(values.settings) == (3 if pool else len(settings))
    depths = {kind: Depth(depth, 3, 0, 0, 0, 9, 0, ("AP",)) for kind in saved.task.kinds if depth}
    return replace(
        saved, ranks=None, values=values, retrieved=Retrieved({}, depths, None) if depth else None
    )


def test_a_report_on_run_files_is_compared_like_the_table_that_it_is_from():
    one, other = model(1.5), model(0.9)
    expected = compare([one, other], ["AP", "R@1"])
    for pair in ([as_runs(one), other], [one, as_runs(other)], [as_runs(one), as_runs(other)]):
        found = compare(pair, ["AP", "R@1"])
        for d, same in zip(found.differences, expected.differences, strict=True):
            assert d.quantity == same.quantity
            assert (d.difference, d.low, d.high, d.p) == pytest.approx(
                (same.difference, same.low, same.high, same.p)
            )
    assert compare([as_runs(one), other]).measures == ("AP", "R@1")
    with pytest.raises(UsageError, match="score the run files"):
        compare([as_runs(one), other], ["P@5"])


def test_what_run_files_lack_is_told():
    one, other = model(1.5), model(0.9)
    found = compare([one, as_runs(other, depth=10, pool="multilingual")])
    assert {d.quantity.kind for d in found.differences} == {"multilingual"}
    said = " ".join(terminal_comparison(found).split())
    assert "Only 3 of 12 settings are compared" in said
    assert "B is from run files with at most 10 passages for each query, so its mAP can be" in said
    table = json.loads(comparison_json(found))
    assert list(found.remarks) == table["remarks"]
    parts = [as_runs(one, pool=kind) for kind in ("monolingual", "multilingual")]
    with pytest.raises(UsageError, match="no setting is in all of them"):
        compare(parts)


def test_run_files_of_other_queries_under_one_digest_are_refused():
    one, other = model(1.5), as_runs(model(0.9))
    part = other.values.settings[0]
    fewer = replace(
        part,
        query_ids=part.query_ids[1:],
        values={name: column[1:] for name, column in part.values.items()},
    )
    values = replace(other.values, settings=(fewer, *other.values.settings[1:]))
    with pytest.raises(IntegrityError, match="not those of A"):
        compare([one, replace(other, values=values)])


def test_the_first_measure_leads():
    comparison = compare([model(3.0), model(1.5), model(0.9)], ["rank distance", "hit@1", "map"])
    assert comparison.measures == (RANK_DISTANCE, "Success@1", "AP")
    assert comparison.headline == "Success@1"
    text = terminal_comparison(comparison)
    assert text.index("Success@1") < text.index("mAP")
    assert "read it beside Success@1" in text
    assert {d.quantity.measure for d in comparison.differences if d.quantity.level == 2} == {
        "Success@1"
    }


def test_measures_that_cannot_differ_are_not_repeated_in_tables():
    collection = collection_of(languages(3), 60)
    saved = []
    for noise in (1.5, 0.9):
        report, _ = report_of(
            collection, vectors(collection, noise), measures=["AP", "RR", "R@1", "Success@1"]
        )
        saved.append(saved_report(report, "here"))
    comparison = compare(saved)
    alike = {(each.kind, each.measure, each.same_as) for each in comparison.repeated}
    assert alike == {
        (kind, *pair)
        for kind in ("monolingual", "crosslingual")
        for pair in (("RR", "AP"), ("Success@1", "R@1"))
    }
    assert len([d for d in comparison.differences if not d.quantity.level]) == 3 * 4 + 1
    text = terminal_comparison(comparison)
    assert text.count("\nRR ") == text.count("\nSuccess@1 ") == 1
    assert text.count("RR is mAP") == 2
    table = json.loads(comparison_json(comparison))
    assert {tuple(row.values()) for row in table["repeated"]} == alike


def test_four_models_are_one_page_with_every_pair():
    saved = [model(3.0), model(1.5), model(1.5, seed=4), model(0.9)]
    text = terminal_comparison(compare(saved, MEASURES))
    lines = text.splitlines()
    assert len(lines) < 60
    for pair in ("B - A", "C - A", "D - A", "C - B", "D - B", "D - C"):
        assert sum(line.startswith(pair) for line in lines) == 1
    page = markdown_comparison(compare(saved, MEASURES))
    assert page.count("| D - C ") == 4
    assert "least" in page
    assert "least" not in text.casefold()


def test_many_models_show_the_pairs_with_the_first_and_with_the_next_best():
    saved = [model(noise) for noise in (2.0, 3.0, 0.5, 1.5, 0.9, 1.2, 5.0)]
    comparison = compare(saved, ["AP"], draws=200)
    pairs = set(pairs_that_matter(comparison))
    assert {(letter, "A") for letter in "BCDEFG"} <= pairs
    order = [s.model for s in comparison.standings if s.quantity == Quantity("monolingual", "AP")]
    near = {tuple(sorted(pair, reverse=True)) for pair in itertools.pairwise(order)}
    assert pairs == {(letter, "A") for letter in "BCDEFG"} | near
    text = terminal_comparison(comparison)
    assert f"{21 - len(pairs)} other pairs" in text
    assert max(map(len, text.splitlines())) <= 80


def test_names_that_are_cut_stay_different():
    names = [f"organisation/a-model-with-a-long-name-{i}-and-more-of-it" for i in range(4)]
    saved = [
        replace(each, model=replace(each.model, name=name))
        for each, name in zip([model(n) for n in (3.0, 1.5, 0.9, 0.5)], names, strict=True)
    ]
    text = terminal_comparison(compare(saved, MEASURES))
    table = text[text.index("model") :].splitlines()[3:7]
    assert len({line[2:].split("  ")[0] for line in table}) == 4
    assert max(map(len, text.splitlines()[6:])) <= 80


def test_the_forms_hold_the_same_numbers():
    comparison = compare([model(1.5), model(0.9)], MEASURES)
    d = macro(comparison)
    rows = list(csv.DictReader(io.StringIO(csv_comparison(comparison))))
    assert len(rows) == len(comparison.differences)
    (row,) = [r for r in rows if (r["kind"], r["measure"], r["query_language"]) ==
              ("multilingual", "AP", "")]  # fmt: skip
    assert float(row["difference"]) == d.difference
    table = json.loads(comparison_json(comparison))
    assert table["schema"] == "mlbench/comparison/1"
    assert len(table["differences"]) == len(comparison.differences)
    for text in (markdown_comparison(comparison), latex_comparison(comparison)):
        assert f"{d.difference:+.4f}" in text
        assert "no difference shown" in text or "better" in text
    assert "\\toprule" in latex_comparison(comparison)


def test_names_of_models_are_shown_and_never_interpreted():
    bad = model(1.5)
    bad = replace(bad, model=replace(bad.model, name="*x*\x1b[2J|<b>"), where="a_b_c")
    comparison = compare([bad, model(0.9)], ["AP"])
    assert "\x1b" not in terminal_comparison(comparison)
    assert "<b>" not in markdown_comparison(comparison)
    assert "*x*" not in markdown_comparison(comparison).replace("\\*x\\*", "")


def test_plots_are_svg_the_same_each_time_and_a_series_has_its_axis():
    saved = [model(2.0), model(1.5), model(0.9)]
    plain = comparison_plots(compare(saved, MEASURES))
    assert set(plain) == {"difference-B.svg", "difference-C.svg", "trade-off.svg"}
    comparison = compare(saved, MEASURES, xs=[0, 0.5, 1], axis="mixing")
    series = comparison_plots(comparison)
    assert set(series) == {*plain, "series.svg"}
    for content, alt in series.values():
        ElementTree.fromstring(content)
        assert alt
    assert comparison_plots(comparison) == series
    assert "mixing 0.5" in terminal_comparison(comparison)


def costing(saved, **changes):
    plain = Cost(22_700_000, 384, 1536.0, {"query": 300.0, "passage": 31.2}, 2**30, None, "a chip")
    return replace(saved, cost=replace(plain, **changes))


def test_what_models_cost_stands_in_a_table_and_a_plot():
    saved = [costing(model(2.0)), costing(model(1.5), bytes=192.0, parameters=None)]
    comparison = compare(saved, MEASURES)
    (block,) = [b for b in blocks_of(comparison, whole=False) if b.title == "Cost"]
    assert [" ".join(header.split()) for header in block.table.headers] == [
        "model", "queries a second", "passages a second", "bytes a passage", "parameters",
        "peak memory",
    ]  # fmt: skip
    assert block.table.rows == (
        ("A noise-2.0", "300", "31.2", "1,536", "22.7M", "1.00 GiB"),
        ("B noise-1.5", "300", "31.2", "192", "-", "1.00 GiB"),
    )
    assert block.notes == ("Hardware: A, B on a chip.",)
    assert "Hardware: A, B on a chip." in terminal_comparison(comparison)
    assert "## Cost" in markdown_comparison(comparison)
    assert json.loads(comparison_json(comparison))["models"][1]["cost"]["bytes"] == 192
    ElementTree.fromstring(comparison_plots(comparison)["cost.svg"][0])


def test_speeds_of_different_hardware_are_told_apart():
    saved = [costing(model(2.0)), costing(model(1.5), hardware="another")]
    (block,) = [b for b in blocks_of(compare(saved, MEASURES), whole=True) if b.title == "Cost"]
    assert block.notes == (
        "Hardware: A on a chip; B on another.",
        "Speeds on different hardware cannot be compared.",
    )


def test_costs_that_are_not_known_have_no_table():
    saved = [replace(model(2.0), cost=None), replace(model(1.5), cost=None)]
    comparison = compare(saved, MEASURES)
    assert all(block.title != "Cost" for block in blocks_of(comparison, whole=True))
    assert "cost.svg" not in comparison_plots(comparison)


def test_plots_of_one_language_are_left_out():
    assert comparison_plots(compare([model(1.5, count=1), model(0.9, count=1)], ["AP"])) != {}


@pytest.mark.parametrize(
    ("reports", "choices", "where"),
    [
        (model(1.5), {}, "1 given"),
        ([model(1.5), None], {}, "NoneType"),
        ([model(1.5), model(0.9)], {"xs": [1.0]}, "xs"),
        ([model(1.5), model(0.9)], {"correction": "bonferroni"}, "correction"),
        ([model(1.5), model(0.9)], {"draws": 0}, "draws"),
    ],
)
def test_what_cannot_be_compared_is_refused(reports, choices, where):
    with pytest.raises(UsageError, match=where):
        compare(reports, ["AP"], **choices)


def test_a_single_measure_and_any_iterable_are_taken():
    comparison = compare((model(noise) for noise in (1.5, 0.9)), "AP")
    assert comparison.measures == ("AP",)
    assert len(repr(comparison)) < 200


def test_measures_together_are_compared_as_each_alone() -> None:
    """All measures are taken on each draw at once; which others there are changes nothing."""
    collection = collection_of(languages(3), questions=12)
    saved = [
        saved_report(report, str(seed))
        for seed in (1, 2, 3)
        for report in [report_of(collection, vectors(collection, 1.0, seed=seed))[0]]
    ]
    together = compare(saved, ["AP", "R@10", RANK_DISTANCE], draws=500)
    alone = [compare(saved, [name], draws=500) for name in together.measures]
    assert [(d.model, d.quantity) for d in together.differences if d.quantity.measure == "AP"] == [
        (d.model, d.quantity) for d in alone[0].differences
    ]
    by_row = {(d.model, d.against, d.quantity): d for d in together.differences}
    for each in (d for comparison in alone for d in comparison.differences):
        same = by_row.get((each.model, each.against, each.quantity))
        if same is None:  # a single setting, which only the first measure is looked at in
            assert each.quantity.level == 2
            continue
        assert (same.p, same.corrected, same.verdict) == (each.p, each.corrected, each.verdict)
        assert (same.difference, same.low, same.high) == pytest.approx(
            (each.difference, each.low, each.high), abs=1e-12
        )
