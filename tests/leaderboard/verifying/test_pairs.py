"""Verification of a task of pairs: honest tables agree, forged ones do not, whatever was forged."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError
from mlbench.data.building import build_collection
from mlbench.data.catalog import find_task
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Roles
from mlbench.leaderboard.entries.entry import Level
from mlbench.leaderboard.verifying import agreement
from mlbench.leaderboard.verifying.agreement import (
    CELLS,
    FALSE_ALARM,
    FAMILIES_OF_PAIRS,
    SIDES,
    WEIGHTS,
    _stakes,
    compare,
    threshold,
)
from mlbench.leaderboard.verifying.betting import STAKES
from mlbench.leaderboard.verifying.checks import Names, population_names
from mlbench.leaderboard.verifying.claims import Vectors, see
from mlbench.leaderboard.verifying.samples import (
    cuts_of,
    draw,
    find_places,
    part_of,
    populations_of,
    searched_of,
)
from mlbench.leaderboard.verifying.verification import (
    Verdict,
    VerifiedTask,
    terminal_verification,
)
from mlbench.leaderboard.verifying.verify import Request, usual_queries, verify
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import rank_collection
from tests.leaderboard.sampled import FLOAT32, Known, loaded, lowered, sampled, subject_of
from tests.leaderboard.verifying.test_agreement import wealth_by_definition
from tests.support.pairs_task import write_pairs
from tests.support.reports import vectors

SEEDS = range(6)


@pytest.fixture(scope="module")
def bitext(tmp_path_factory):
    """A task of three pairs of 360, 280 and 440 lines, and its collection."""
    task = find_task(str(write_pairs(tmp_path_factory.mktemp("bitext"), times=40)))
    return task, read_collection(task, Locator(task.path.parent).of(task))


@pytest.fixture(scope="module")
def problem(bitext):
    """The collection, vectors of a middling model, and its table."""
    sides = vectors(bitext[1], noise=3.0, seed=1)
    return bitext[1], sides, rank_collection(bitext[1], *sides)[0]


def setting(ranks, asked, searched):
    """Which rows are of a setting, as a column."""
    own = (ranks.query_language[ranks.query] == ranks.languages.index(asked)) & (
        ranks.passage_language == ranks.languages.index(searched)
    )
    return own[:, None]


def into(ranks, searched):
    return (ranks.passage_language == ranks.languages.index(searched))[:, None]


def perfect(ranks, share):
    chosen = np.random.default_rng(5).random(len(ranks.query_ids)) < share
    return replace(ranks, above=np.where(chosen[ranks.query][:, None], 0, ranks.above))


def swapped(ranks):
    """The counts of each setting, dealt to other queries; all scores stay as they are."""
    above, generator = ranks.above.copy(), np.random.default_rng(2)
    for population in range(len(populations_of(ranks))):
        rows = np.flatnonzero(searched_of(ranks) == population)  # a row each
        above[rows] = above[generator.permutation(rows)]
    return replace(ranks, above=above)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_honest_table_agrees(problem, seed):
    found = sampled(*problem, seed, (120, 60))
    assert found.agrees
    assert not found.disorder.any()
    assert not found.exceeded.any()
    assert found.resolution.understated <= 0.1
    assert list(found.families) == list(FAMILIES_OF_PAIRS)
    assert all(worst.agrees for worst in found.plain.values())


FORGED = {
    "all 5% lower": lambda r: lowered(r, 0.05),
    "all 20% lower": lambda r: lowered(r, 0.2),
    "a pair 40% lower": lambda r: lowered(r, 0.4, setting(r, "de", "en") | setting(r, "en", "de")),
    "a setting perfect": lambda r: lowered(r, 1.0, setting(r, "en", "sw")),
    "a setting 40% lower": lambda r: lowered(r, 0.4, setting(r, "en", "sw")),
    "into English 20% lower": lambda r: lowered(r, 0.2, into(r, "en")),
    "5% of the queries perfect": lambda r: perfect(r, 0.05),
    "counts swapped": swapped,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_table_is_refused(problem, name, seed):
    collection, sides, ranks = problem
    assert not sampled(collection, sides, FORGED[name](ranks), seed, (300, 150)).agrees


@pytest.mark.parametrize(
    ("asked", "searched", "families"),
    [("en", "sw", {"passage language": "sw", "setting": "en to sw"}),
     ("sw", "en", {"query language": "sw", "setting": "sw to en"})],
)  # fmt: skip
def test_the_test_of_a_setting_names_it(problem, asked, searched, families):
    collection, sides, ranks = problem
    forged = lowered(ranks, 0.5, setting(ranks, asked, searched))
    found = sampled(collection, sides, forged, 1, (300, 150))
    names = Names(forged, np.zeros(0, np.int64), np.zeros(0, np.int64))
    for family, name in families.items():
        worst = found.families[family]
        assert (worst.agrees, worst.side) == (False, "above")
        assert names.group(family, worst.group) == f"{family} {name}"


def test_evidence_against_honest_tables_is_as_weak_as_promised(problem):
    found = [sampled(*problem, seed, (40, 25)) for seed in range(60)]
    for family in FAMILIES_OF_PAIRS:  # of 60, 0.6 may reach the evidence 10^2, all tests counted
        tests = found[0].families[family].tests
        strong = sum(each.families[family].evidence >= 2 + np.log10(tests) for each in found)
        assert strong <= 4


def test_all_tests_together_keep_the_false_alarm(problem):
    families = sampled(*problem, 0, (60, 25)).families
    assert [worst.tests for worst in families.values()] == [12, 48, 48, 72, 720]
    total = sum(worst.tests * 10**-worst.threshold for worst in families.values())
    assert total == pytest.approx(FALSE_ALARM)
    assert families["whole"].threshold == threshold(12, 5)


TRIANGLE = {("de", "en"): 4, ("de", "fr"): 3, ("en", "fr"): 3}


@pytest.fixture(scope="module")
def triangle():
    """Three pairs of three languages, none of which all pairs have."""
    records = Records()
    for pair, count in TRIANGLE.items():
        for line in range(count):
            id_ = f"{'-'.join(pair)}/{line}"
            for code, other in (pair, pair[::-1]):
                record = TextRecord(id_, code, f"{id_} {code}", "", pair=pair)
                records.queries.append(record)
                records.passages.append(record)
                records.judgements.append(Judgement(id_, code, id_, other, 1, ""))
    codes = ("de", "en", "fr")
    collection = build_collection(codes, records, Roles(codes, codes, tuple(TRIANGLE)))
    sides = vectors(collection, noise=4.0, seed=6)
    return collection, sides, rank_collection(collection, *sides)[0]


def test_populations_are_the_passages_of_each_pair_in_each_language(triangle):
    collection, _, ranks = triangle
    expected = [("en", "de", 4), ("fr", "de", 3), ("de", "en", 4), ("fr", "en", 3), ("de", "fr", 3),
                ("en", "fr", 3)]  # fmt: skip
    assert population_names(ranks) == [f"{asked} to {of}" for asked, of, _ in expected]
    populations, cuts = populations_of(ranks), cuts_of(collection)
    assert populations.size.tolist() == np.diff(cuts).tolist() == [size for *_, size in expected]
    for (asked, language, _), first, last in zip(expected, cuts[:-1], cuts[1:], strict=True):
        for passage in range(first, last):
            pair = collection.pairs[collection.passages.pair[passage]]
            assert collection.languages[collection.passages.language[passage]] == language
            assert {*pair} == {asked, language}
    for query, population in enumerate(searched_of(ranks).tolist()):
        asked, language, _ = expected[population]
        assert ranks.languages[ranks.query_language[query]] == asked
        assert {*ranks.query_ids[query].partition("/")[0].split("-")} == {asked, language}


def groups_of(ranks):
    """The populations that each test of a family is about, by plain loops."""
    names = [name.split(" to ") for name in population_names(ranks)]
    codes = ranks.languages
    return {
        "whole": [range(len(names))],
        "query language": [[i for i, n in enumerate(names) if n[0] == code] for code in codes],
        "passage language": [[i for i, n in enumerate(names) if n[1] == code] for code in codes],
        "setting": [[i] for i in range(len(names))],
    }


def slow_evidence(part, vectors_, populations, chosen):
    """The evidence of chosen populations of each kind, (sides, kinds), as powers of e, by the rule
    itself: every draw beside every row of the queries that are searched there."""
    wealth = np.ones((len(SIDES), len(CELLS) * len(WEIGHTS), len(STAKES)))
    looked = list(see(part.claims, vectors_, FLOAT32))
    for p in chosen:
        queries = np.flatnonzero(part.claims.searched == p)
        draws = int(np.diff(vectors_.edges)[p])
        column = populations.language[p]
        for side, kind in itertools.product(range(2), range(len(CELLS) * len(WEIGHTS))):
            values, total = [0.0] * draws, 0.0
            for query in queries:
                stakes, claimed = _stakes(part.claims, query)
                total += claimed[side, kind, column]
                for row, draw_ in np.ndindex(looked[query].hits.shape[1:]):
                    if looked[query].hits[side, row, draw_]:
                        values[draw_] += stakes[side, kind, row, column]
            for place, stake in enumerate(STAKES):
                size = int(populations.size[p])
                wealth[side, kind, place] *= wealth_by_definition(values, total, size, stake)
    return np.log(wealth.mean(-1))


@pytest.mark.parametrize("seed", range(3))
def test_evidence_is_that_of_a_slow_program(triangle, monkeypatch, seed):
    collection, sides, ranks = triangle
    forged = replace(ranks, above=np.maximum(ranks.above - (np.arange(20) % 3 == 0)[:, None], 0))
    found = []
    monkeypatch.setattr(agreement, "_worst", lambda each, count: found.append(each))
    part = part_of(forged, collection, draw(forged, collection, 15, 2, seed))
    vectors_ = part.vectors(Embedded(sides[0][part.queries], sides[1][part.passages], (), {}))
    monkeypatch.setattr(agreement, "_blur", lambda claims, seen: None)
    compare(part.claims, vectors_, FLOAT32)
    expected, populations = groups_of(forged), populations_of(forged)
    for family, groups in zip(FAMILIES_OF_PAIRS, expected.values(), strict=False):
        slow = [slow_evidence(part, vectors_, populations, chosen) for chosen in groups]
        np.testing.assert_allclose(found[list(expected).index(family)], slow, atol=1e-9)
    assert any(np.any(each > 0.05) for each in found)


def every_draw(collection, counts):
    """All that could be drawn of each population, in each order, side by side."""
    cuts = cuts_of(collection)
    ways = [
        list(itertools.permutations(range(first, last), count))
        for first, last, count in zip(cuts[:-1], cuts[1:], counts, strict=True)
    ]
    for drawn in itertools.product(*ways):
        yield [*itertools.chain(*drawn)], np.cumsum([0, *map(len, drawn)])


@pytest.mark.parametrize(("counts", "forged"), [
    ((2, 1, 0, 0, 1, 0), 0), ((0, 2, 2, 0, 0, 1), 0), ((1, 1, 1, 0, 0, 1), 1),
])  # fmt: skip
def test_over_all_draws_no_bet_wins_on_average(triangle, monkeypatch, counts, forged):
    """The false alarm is exact: with an honest table the mean of the capital over everything that
    could have been drawn is at most 1 (Ville); with counts too low it is more."""
    collection, sides, ranks = triangle
    claimed = replace(ranks, above=np.maximum(ranks.above - forged, 0))
    places = find_places(claimed, collection)
    part = part_of(claimed, collection, draw(claimed, collection, 20, 0, 0))
    found = []
    monkeypatch.setattr(agreement, "_worst", lambda each, count: found.append(each))
    monkeypatch.setattr(agreement, "_resolution", lambda *given: None)
    monkeypatch.setattr(agreement, "_blur", lambda *given: None)
    means, count = Counter(), 0
    for drawn, edges in every_draw(collection, counts):
        found.clear()
        given = Vectors(
            sides[0][places.query], sides[1], cuts_of(collection), places.passage,
            np.array(drawn, np.int64), edges,
        )  # fmt: skip
        compare(part.claims, given, FLOAT32)
        for family, each in zip(FAMILIES_OF_PAIRS, found, strict=False):
            means[family] = means[family] + np.exp(each)
        count += 1
    assert count == math.prod(
        math.perm(size, part) for size, part in zip([4, 3, 4, 3, 3, 3], counts, strict=True)
    )
    if not forged:
        for family, total in means.items():
            assert np.all(total / count <= 1 + 1e-9), family
    else:
        assert all(np.any(total / count > 1 + 1e-3) for total in means.values())


def test_each_setting_has_its_part_of_the_sample(problem):
    collection, _, ranks = problem
    sample = draw(ranks, collection, 62, 30, 3)
    shares = Counter(searched_of(ranks)[sample.queries].tolist())
    assert sorted(shares.values()) == [10, 10, 10, 10, 11, 11]
    assert sample.edges.tolist() == [*range(0, 181, 30)]
    cuts = cuts_of(collection)
    for number, (first, last) in enumerate(itertools.pairwise(sample.edges)):
        drawn = sample.drawn[first:last]
        assert len({*drawn.tolist()}) == 30
        assert np.all((cuts[number] <= drawn) & (drawn < cuts[number + 1]))
    whole = draw(ranks, collection, 10**6, 10**6, 1)
    assert whole.queries.tolist() == list(range(2160))
    assert sorted(whole.drawn.tolist()) == list(range(2160))


def test_every_query_and_passage_of_a_setting_has_the_same_chance(triangle):
    collection, _, ranks = triangle
    samples = [draw(ranks, collection, 6, 1, seed) for seed in range(900)]
    sizes, of = populations_of(ranks).size, searched_of(ranks)
    queries = Counter(np.concatenate([each.queries for each in samples]).tolist())
    for query, population in enumerate(of.tolist()):
        assert abs(queries[query] - 900 / sizes[population]) < 5 * math.sqrt(300)
    passages = Counter(np.concatenate([each.drawn for each in samples]).tolist())
    for passage in range(len(collection.passages)):
        size = sizes[np.searchsorted(cuts_of(collection), passage, "right") - 1]
        assert abs(passages[passage] - 900 / size) < 5 * math.sqrt(300)


def test_sizes_of_pairs_that_are_not_the_collections_are_refused(problem):
    collection, _, ranks = problem
    first = replace(ranks.pairs[0], passages=(361, 360))
    other = replace(ranks, pairs=(first, *ranks.pairs[1:]))
    with pytest.raises(
        IntegrityError, match="de and en: 360 and 360 queries, 361 and 360 passages;"
    ):
        find_places(other, collection)


def verified(bitext, problem, ranks=None, **request):
    task, collection = bitext
    _, sides, honest = problem
    subject = subject_of(honest if ranks is None else ranks, collection)
    subject = replace(
        subject, task=VerifiedTask(task.name, "1", collection.digest), measures=("RR",)
    )
    asked = {"queries": 200, "passages": 60, "seed": 3} | request
    return verify(subject, task, collection, loaded(Known(collection, sides)), Request(**asked))


def test_an_honest_entry_supports_the_level_sampled(bitext, problem):
    found = verified(bitext, problem)
    assert (found.verdict, found.level, found.exit_code) == (Verdict.AGREES, Level.SAMPLED, 0)
    assert found.recomputed.passages == dict.fromkeys(population_names(problem[2]), 60)
    assert [check.name for check in found.checks] == ["order", "bounds", *FAMILIES_OF_PAIRS]
    words = " ".join(terminal_verification(found).split())
    assert "200 of 2,160 queries; 60 drawn passages for each language of each pair" in words
    assert found.recomputed.altered == pytest.approx(0.023, abs=0.005)


def test_a_forged_entry_is_refused_and_the_whole_run_again_finds_a_single_count(bitext, problem):
    ranks = problem[2]
    forged = lowered(ranks, 0.5, setting(ranks, "fr", "en"))
    found = verified(bitext, problem, forged)
    assert (found.verdict, found.exit_code) == (Verdict.DISAGREES, 6)
    above = ranks.above.copy()
    row, column = np.argwhere(above > 2)[30]
    above[row, column] -= 1
    full = verified(bitext, problem, replace(ranks, above=above), full=True)
    assert (full.verdict, full.checks[0].differing) == (Verdict.DISAGREES, 1)
    assert verified(bitext, problem, full=True).level is Level.REPRODUCED


@pytest.mark.parametrize("request_", [{"queries": 5}, {"passages": 10}, {"queries": 40}])
def test_nothing_is_concluded_from_too_little(bitext, problem, request_):
    found = verified(bitext, problem, **request_)
    assert (found.verdict, found.level) == (Verdict.INCONCLUSIVE, None)
    assert "too small" in found.notes[-1]


def test_the_usual_sample_has_ten_queries_of_each_direction(problem):
    ranks = problem[2]
    assert usual_queries(ranks) == 200
    assert usual_queries(replace(ranks, pairs=ranks.pairs * 41)) == 10 * 2 * 3 * 41
    assert usual_queries(replace(ranks, pairs=())) == 200


def test_one_setting_that_is_too_close_to_call_is_named(bitext, problem):
    """Vectors that are nearly equal in one direction of a pair agree with any table of it."""
    collection, sides, ranks = problem
    passages = sides[1].copy()
    number = population_names(ranks).index("en to sw")
    inside = slice(*cuts_of(collection)[number : number + 2])
    same = passages[inside.start] + 1e-7 * passages[inside]
    passages[inside] = same / np.linalg.norm(same, axis=1, keepdims=True)
    blurred = rank_collection(collection, sides[0], passages)[0]
    found = verified(bitext, (collection, (sides[0], passages), blurred))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "of passage language sw) are too close to call" in found.notes[-1]
