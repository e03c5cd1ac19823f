from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.seeds import draw_seeds
from mlbench.measures.significance import question_clusters
from mlbench.training.studies.entrants import BASELINE, TRAINED, Entrant
from mlbench.training.studies.figures import SEEN, UNSEEN, Figure, Reader
from mlbench.training.studies.findings import (
    FAILS,
    HOLDS,
    NOT_SHOWN,
    ONE_SEED,
    Pair,
    agrees,
    claim_verdict,
    task_findings,
)
from mlbench.training.studies.form import OUTRANKING, Claim, Relation
from tests.training.studies.made import made_report

SEEDS = ("1", "2", "3", "4")
DRAWS = 600
MULTI = Figure("multilingual", "AP")
NOISE = (0.8, 1.0, 1.6)


def entrant(noise: float, seeds=SEEDS, role=TRAINED, languages=(), series="") -> Entrant:
    def read(seed: str):
        return made_report(noise, int(seed))

    return Entrant(f"noise {noise:g}", role, tuple(seeds), read, languages, noise, series)


def found(entrants=(), **claims: Claim):
    entrants = entrants or [entrant(noise) for noise in NOISE]
    return task_findings(entrants, claims, "AP", draws=DRAWS)


def claim(arm: str, *than: str, relation=Relation.HIGHER, within=None, figure="multilingual:AP"):
    return Claim("It is so.", figure, arm, relation, than or ("all",), within)


def test_the_values_of_an_arm_are_the_means_of_its_reports():
    for value in found().values:
        noise = float(value.arm.split()[1])
        of = [made_report(noise, int(seed)).scores for seed in SEEDS]
        figure = value.figure
        if figure.measure == OUTRANKING:
            each = [
                scores.bias.outranking[figure.over][figure.over]
                if figure.over
                else scores.bias.same_language
                for scores in of
            ]
        elif figure.measure == RANK_DISTANCE:
            each = [
                scores.bias.by_language[figure.over].value
                if figure.over
                else scores.bias.rank_distance.value
                for scores in of
            ]
        elif figure.over:
            each = [s.per_language[figure.kind]["AP"][figure.over].value for s in of]
        else:
            each = [scores.macro[figure.kind]["AP"].value for scores in of]
        assert value.value == pytest.approx(np.mean(each))
        assert value.over_seeds == pytest.approx(np.std(each, ddof=1))
        assert value.low < value.value < value.high


def test_every_figure_of_every_arm_is_there():
    findings = found()
    macro = {figure.text for figure in findings.figures if not figure.over}
    assert macro == {
        "monolingual:AP", "crosslingual:AP", "multilingual:AP", "multilingual:rank-distance",
        "multilingual:same-language",
    }  # fmt: skip
    assert len(findings.values) == 3 * 5 * (1 + 3)


def test_pairs_are_of_all_arms_corrected_together():
    findings = found()
    of = [pair for pair in findings.pairs if pair.figure == MULTI]
    assert [(pair.arm, pair.against) for pair in of] == [
        ("noise 1", "noise 0.8"), ("noise 1.6", "noise 0.8"), ("noise 1.6", "noise 1"),
    ]  # fmt: skip
    ordered = sorted(pair.p for pair in of)
    holm = list(itertools.accumulate((p * (3 - i) for i, p in enumerate(ordered)), max))
    assert sorted(pair.corrected for pair in of) == pytest.approx([min(1, p) for p in holm])
    worst = next(pair for pair in of if pair.arm == "noise 1.6" and pair.against == "noise 0.8")
    assert worst.difference < 0
    assert worst.shown
    assert worst.low < worst.difference < worst.high < 0
    assert 0 < worst.least < 1


def test_a_pair_has_the_spread_of_the_difference_of_its_arms():
    ranks = [[made_report(noise, int(seed)).table for seed in SEEDS] for noise in NOISE[:2]]
    clusters = question_clusters(ranks[0][0])
    kinds = made_report(0.8, 1).task.kinds
    reader = Reader.of(ranks[0][0], kinds, "AP", clusters)
    drawn = draw_seeds([reader.arm(SEEDS, r, ()) for r in ranks], clusters.count, draws=DRAWS)
    spread = drawn.difference(1, 0)
    at = reader.figures.index(MULTI)
    pair = next(p for p in found().pairs if p.figure == MULTI)
    assert (pair.low, pair.high) == (spread.low[at], spread.high[at])
    assert pair.least == spread.least(3)[at]


def test_a_claim_holds_fails_or_is_not_shown():
    findings = found(
        less=claim("noise 0.8", "noise 1.6"),
        more=claim("noise 1.6"),
        lower=claim("noise 1.6", relation=Relation.LOWER, figure="monolingual:AP"),
        alike=claim("noise 0.8", "noise 1.6", relation=Relation.SAME, within=0.01),
        near=claim("noise 0.8", "noise 1.6", relation=Relation.SAME, within=0.9),
    )
    verdicts = {result.name: result.verdict for result in findings.claims}
    assert verdicts == {
        "less": HOLDS, "more": FAILS, "lower": HOLDS, "alike": FAILS, "near": HOLDS,
    }  # fmt: skip
    more = findings.claims[1]
    assert [pair.against for pair in more.pairs] == ["noise 0.8", "noise 1"]
    assert list(more.ours) == ["noise 1.6", "noise 0.8", "noise 1"]
    assert more.least == max(pair.least for pair in more.pairs)


def pair(difference: float, half: float, shown: bool) -> Pair:
    low, high = difference - half, difference + half
    return Pair("a", "b", MULTI, difference, low, high, 0.0, 0.0, 0.1, shown)


@pytest.mark.parametrize(
    ("relation", "pairs", "verdict"),
    [
        (Relation.HIGHER, [pair(0.1, 0.05, True)], HOLDS),
        (Relation.HIGHER, [pair(0.1, 0.05, True), pair(0.1, 0.2, False)], NOT_SHOWN),
        (Relation.HIGHER, [pair(0.1, 0.05, True), pair(-0.1, 0.05, True)], FAILS),
        (Relation.LOWER, [pair(-0.1, 0.05, True)], HOLDS),
        (Relation.LOWER, [pair(0.1, 0.05, True)], FAILS),
        (Relation.LOWER, [pair(0.1, 0.05, False)], NOT_SHOWN),
        (Relation.SAME, [pair(0.01, 0.01, False)], HOLDS),
        (Relation.SAME, [pair(0.05, 0.01, True)], FAILS),
        (Relation.SAME, [pair(0.03, 0.01, True)], NOT_SHOWN),
    ],
)
def test_the_verdict_on_a_claim(relation, pairs, verdict):
    within = 0.03 if relation is Relation.SAME else None
    assert claim_verdict(claim("a", "b", relation=relation, within=within), pairs)[0] == verdict


def test_published_figures_are_held_against_the_claim_themselves():
    best = claim("hybrid", "mono", "cross")
    assert agrees(best, (0.682, 0.652, 0.679))
    assert not agrees(best, (0.5927, 0.547, 0.5934))
    same = claim("a", "b", relation=Relation.SAME, within=0.01)
    assert agrees(same, (0.5, 0.505))
    assert not agrees(same, (0.5, 0.52))


def test_one_seed_shows_nothing_of_a_way_to_train():
    findings = found((entrant(0.8), entrant(1.6, ("1",))), less=claim("noise 0.8", "noise 1.6"))
    assert (findings.claims[0].verdict, findings.claims[0].why) == (NOT_SHOWN, ONE_SEED)
    assert not any(pair.shown for pair in findings.pairs)
    assert findings.value("noise 1.6", MULTI).over_seeds is None


def test_a_baseline_is_one_model_and_compared_where_a_claim_names_it():
    arms = (entrant(0.8), entrant(1.0), entrant(1.6, ("1",), BASELINE))
    findings = found(arms, trained=claim("noise 0.8", "noise 1.6"))
    compared = {(pair.arm, pair.against) for pair in findings.pairs}
    assert compared == {("noise 1", "noise 0.8"), ("noise 1.6", "noise 0.8")}
    assert findings.claims[0].verdict == HOLDS


def test_arms_that_differ_in_two_axes_are_not_compared():
    arms = [replace(entrant(n, series=s), label=f"{n} {s}") for n in NOISE[:2] for s in "ab"]
    pairs = {(pair.arm, pair.against) for pair in found(arms).pairs}
    assert pairs == {("0.8 b", "0.8 a"), ("1.0 a", "0.8 a"), ("1.0 b", "0.8 b"), ("1.0 b", "1.0 a")}


def test_languages_of_training_are_told_from_the_others():
    arms = (entrant(0.8, languages=("ar", "de")), entrant(1.6, languages=("ar", "de", "el")))
    findings = found(arms)
    reports = [made_report(0.8, int(seed)) for seed in SEEDS]
    for kind, fits in (
        ("monolingual", lambda q, p: q != "el"),
        ("crosslingual", lambda q, p: "el" not in (q, p)),
        ("multilingual", lambda q, p: q != "el"),
    ):
        for over, wanted in ((SEEN, True), (UNSEEN, False)):
            each = [
                np.mean([
                    s.measures["AP"]
                    for s in report.settings
                    if s.kind == kind and fits(s.query_language, s.passage_languages[0]) is wanted
                ])
                for report in reports
            ]  # fmt: skip
            value = findings.value("noise 0.8", Figure(kind, "AP", over))
            assert value.value == pytest.approx(np.mean(each))
            assert findings.value("noise 1.6", Figure(kind, "AP", over)) is None


def test_other_data_is_refused():
    def read(seed: str):
        return made_report(0.8, int(seed), questions=41 if seed == "2" else 40)

    with pytest.raises(IntegrityError, match="seed 2, digest"):
        found((replace(entrant(0.8), read=read), entrant(1.0)))


def test_a_figure_that_the_task_has_not_makes_no_claim():
    findings = found(pairs=claim("noise 0.8", figure="from-en:AP"))
    assert findings.claims == ()


def test_chance_is_taken_for_a_finding_in_few_studies():
    """Arms that do not differ in truth: one figure, one pair, many studies."""
    wrong = 0
    trials = 24
    for trial in range(trials):
        seeds = [str(4 * trial + i) for i in range(8)]
        arms = [
            Entrant(name, TRAINED, own, lambda s: made_report(1.0, int(s), 30, 2))
            for name, own in (("a", tuple(seeds[:4])), ("b", tuple(seeds[4:])))
        ]
        of = task_findings(arms, {}, "AP", draws=200).pairs
        wrong += any(p.shown for p in of if p.figure == MULTI)
    assert wrong <= 4
    assert not math.isnan(of[0].p)
