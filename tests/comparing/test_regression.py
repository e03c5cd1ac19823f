from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import UsageError
from mlbench.comparing.baseline import baseline_bytes
from mlbench.comparing.check_texts import (
    junit_check,
    markdown_check,
    terminal_check,
)
from mlbench.comparing.differences import NOT_SHOWN, Difference
from mlbench.comparing.judgements import INCONCLUSIVE, PASS, REGRESSED, judge, questions_needed
from mlbench.comparing.quantities import RANK_DISTANCE, Quantity
from mlbench.comparing.regression import check, check_json, random_distance
from tests.comparing.test_comparison import model

AP, DISTANCE = Quantity("monolingual", "AP"), Quantity("multilingual", RANK_DISTANCE)


def judged(
    low: float, middle: float, high: float, margin=0.005, questions=100, quantity=AP, **more
):
    difference = Difference("B", "A", quantity, middle, low, high, 1, 1, 0, NOT_SHOWN)
    return judge(difference, (0.5, 0.5 + middle), margin, questions, **more)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.001, 0.002, 0.003), PASS),
        ((-0.004, 0.0, 0.004), PASS),
        ((-0.005, 0.0, 0.005), PASS),
        ((-0.004, -0.002, -0.001), PASS),
        ((-0.006, 0.0, 0.006), INCONCLUSIVE),
        ((-0.006, -0.003, 0.0), INCONCLUSIVE),
        ((-0.006, -0.003, -0.001), REGRESSED),
        ((-0.03, -0.02, -0.01), REGRESSED),
    ],
)
def test_verdicts_go_by_the_interval_and_the_margin(interval, verdict):
    assert judged(*interval).verdict == verdict
    low, middle, high = interval
    turned = judged(-high, -middle, -low, quantity=DISTANCE)
    assert turned.verdict == verdict, "where lower is better the same holds, turned round"
    assert turned.beyond == judged(*interval).beyond == (high < -0.005)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0, 0.5))
def test_every_interval_has_exactly_one_verdict(ends, margin):
    low, middle, high = sorted(ends)
    verdict = judged(low, middle, high, margin).verdict
    passes, regressed = low >= -margin, high < 0 and low < -margin
    assert not (passes and regressed)
    assert verdict == (PASS if passes else REGRESSED if regressed else INCONCLUSIVE)


@pytest.mark.parametrize("questions", [1, 2, 5])
def test_too_few_questions_are_inconclusive_whatever_the_interval(questions):
    assert judged(0.1, 0.1, 0.1, questions=questions).verdict == INCONCLUSIVE
    assert judged(-0.1, -0.1, -0.1, questions=questions).verdict == INCONCLUSIVE
    assert judged(-0.1, -0.1, -0.1, questions=questions).more_questions == 6 - questions
    same = judged(0, 0, 0, questions=questions, same=True)
    assert same.verdict == (INCONCLUSIVE if questions == 1 else PASS)


@given(st.floats(-0.1, 0.1), st.floats(0.001, 0.2), st.floats(0.001, 0.05))
def test_the_questions_needed_would_decide(middle, half, margin):
    now = judged(middle - half, middle, middle + half, margin, questions=1000)
    if now.verdict != INCONCLUSIVE:
        assert now.more_questions is None
        return
    needed = questions_needed(middle, middle - half, middle + half, margin, 1000)
    if needed is None:
        return
    shrink = (1000 / (needed * 1.001 + 1)) ** 0.5
    then = judged(middle - half * shrink, middle, middle + half * shrink, margin, questions=10**6)
    assert then.verdict != INCONCLUSIVE
    fewer = (1000 / (needed * 0.98)) ** 0.5
    if needed * 0.98 > 1000:
        before = judged(middle - half * fewer, middle, middle + half * fewer, margin)
        assert before.verdict == INCONCLUSIVE


def test_no_number_of_questions_decides_what_stays_on_the_border():
    assert questions_needed(0.0, -0.01, 0.01, 0.0, 100) is None


def test_a_worse_model_regressed_a_better_one_passes_and_itself_passes():
    assert check(model(2.0), model(1.0)).verdict == REGRESSED
    assert check(model(1.0), model(2.0)).verdict == PASS
    itself = check(model(1.0), model(1.0), ["AP", RANK_DISTANCE], margin=0)
    assert itself.verdict == PASS
    assert all(j.difference == 0 == j.low == j.high for j in itself.judgements)
    assert "no difference" in terminal_check(itself)


def test_rank_distance_is_judged_the_right_way_round():
    worse = check(model(2.0), model(1.0), [RANK_DISTANCE])
    assert worse.judgements[0].difference > 0
    assert worse.verdict == REGRESSED
    assert check(model(1.0), model(2.0), [RANK_DISTANCE]).verdict == PASS
    expected = 0.005 * (3 * 64 + 1) * 2 / 4
    assert worse.judgements[0].margin == pytest.approx(expected)
    assert random_distance(model(1.0).ranks) == pytest.approx(193 / 2)


def test_the_worst_verdict_is_that_of_the_check():
    mixed = check(model(1.2, seed=5), model(1.2, seed=3), ["AP"], margin=0.0001)
    order = [PASS, INCONCLUSIVE, REGRESSED]
    assert mixed.verdict == max((j.verdict for j in mixed.judgements), key=order.index)


def test_one_question_is_inconclusive():
    result = check(model(2.0, questions=1), model(0.5, questions=1))
    assert result.verdict == INCONCLUSIVE
    assert "1 question cannot show" in terminal_check(result)


def test_an_inconclusive_check_says_how_many_questions_would_decide():
    result = check(model(1.5, seed=4), model(1.5, seed=3), margin=0.001)
    assert result.verdict == INCONCLUSIVE
    assert "more questions would decide" in terminal_check(result)


def test_no_spread_no_nan():
    result = check(model(0.0), model(0.0, seed=4), ["AP", "R@1", RANK_DISTANCE])
    assert result.verdict == PASS
    assert "NaN" not in check_json(result)
    assert json.loads(check_json(result))["schema"] == "mlbench/check/1"


def test_outputs_say_the_verdict_and_stay_what_they_are():
    result = check(model(2.0), model(1.0), ["AP", RANK_DISTANCE])
    text = terminal_check(result)
    assert max(map(len, text.splitlines())) <= 80
    assert text.endswith("REGRESSED")
    assert "These query languages are worse" in text
    page = markdown_check(result)
    assert page.startswith("### ❌ mlbench: regressed")
    assert "all of it beyond the margin" in page
    suite = ElementTree.fromstring(junit_check(result)).find("testsuite")
    assert suite.attrib["tests"] == "4"
    assert suite.attrib["failures"] == str(len(suite.findall("testcase/failure"))) == "4"
    table = json.loads(check_json(result))
    assert {row["verdict"] for row in table["judgements"]} == {"regressed"}


def test_inconclusive_is_skipped_in_junit_and_an_error_where_strict():
    result = check(model(2.0, questions=1), model(0.5, questions=1))
    loose, strict = (ElementTree.fromstring(junit_check(result, s))[0] for s in (False, True))
    assert (loose.attrib["skipped"], loose.attrib["errors"]) == ("3", "0")
    assert (strict.attrib["skipped"], strict.attrib["errors"]) == ("0", "3")
    assert strict.attrib["failures"] == "0"


def test_identities_on_the_page_show_the_part_that_differs():
    def identified(identity: str):
        one = model(1.5)
        return replace(one, model=replace(one.model, identity=identity))

    for one, other in (
        ("derived: sha256 " + 64 * "a", "derived: sha256 " + 64 * "b"),
        ("declared: mine, " + 60 * "x" + "1" + 60 * "y", "declared: mine, " + 60 * "x" + "2" * 61),
    ):
        page = markdown_check(check(identified(one), identified(other)))
        (line,) = [line for line in page.splitlines() if "Identity" in line]
        before, after = line.partition("Identity ")[2].partition(";")[0].split(" to ")
        assert before != after
    page = markdown_check(check(identified(one), identified(one)))
    assert "as the baseline's" in page


def test_a_name_cannot_break_the_page_or_the_xml():
    good, bad = (
        replace(each, task=replace(each.task, name="a\x07&<b>"))
        for each in (model(1.0), model(2.0))
    )
    bad = replace(bad, model=replace(bad.model, name="</td>\x00|*x*"))
    result = check(bad, good)
    assert "</td>" not in markdown_check(result)
    ElementTree.fromstring(junit_check(result))
    assert "\x07" not in terminal_check(result)


def test_a_baseline_file_is_a_result_by_its_path(tmp_path):
    file = tmp_path / "baseline.parquet"
    file.write_bytes(baseline_bytes(model(0.9)))
    for result in (file, str(file)):
        assert check(result, model(0.9), "AP").verdict == PASS


@pytest.mark.parametrize("path", [Path, str])
def test_a_path_that_holds_no_report_names_a_model(path, tmp_path):
    (tmp_path / "model.py").write_text("")
    with pytest.raises(UsageError, match="no 'make' in"):
        check(path(tmp_path / "model.py:make"), model(0.9), "AP", task="sample")


@pytest.mark.parametrize(
    ("choices", "where"), [({"margin": -1}, "margin"), ({"progres": False}, "'progress'")]
)
def test_choices_are_checked_where_a_report_is_given_too(choices, where):
    with pytest.raises(UsageError, match=where):
        check(model(0.9), model(1.5), "AP", **choices)
