from __future__ import annotations

import pytest

from mlbench.common.errors import DataError, UsageError
from mlbench.training.studies.form import Relation, parse_study, study_path
from tests.training.studies.made import STUDY, write_study


def test_a_study_file_is_read(tmp_path):
    form = parse_study(write_study(tmp_path))
    assert form.question == "Is less noise better?"
    assert form.grid == {"noise": [0.8, 1.0, 1.6]}
    assert form.seeds == (1, 2, 3)
    assert form.claims["less"].paper == {"one task": (0.7, 0.5), "another": (0.5, 0.6)}
    assert form.claims["alike"].relation is Relation.SAME


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('name = "made"', 'name = "other"', "field name"),
        ("noise = [0.8, 1.0, 1.6]", "noise = []", "field grid.noise: []"),
        ("seeds = [1, 2, 3]", "seeds = [1, 1]", "a list of distinct whole numbers"),
        ('tasks = ["parallel"]', "tasks = []", "field tasks: []"),
        ("[grid]", "[grid]\nseed = [1, 2]", "the list `seeds` of the study"),
        ("[grid]", '[grid]\ndata = ["a"]', "field grid.data: given in [train], too"),
        ("multilingual:AP", "mixed:AP", "one of monolingual, crosslingual, multilingual"),
        ("multilingual:AP", "monolingual:rank-distance", "which is of the mixed pool alone"),
        ("multilingual:AP", "multilingual:APP", "did you mean"),
        ("within = 0.0001", "", "field claims.alike.within: missing"),
        ('relation = "same"', "", "field claims.alike.within: given"),
        ('relation = "same"', 'relation = "equal"', "one of higher, lower, same"),
        ("[grid]", "[elsewhere.theirs]\n[grid]", "field elsewhere.theirs: no model"),
        ("question =", "asks =", "unknown field"),
        ("seeds =", "reach = 0.2\nseeds =", "field train.evaluate: missing"),
        ("seeds =", "reach = 0\nseeds =", "field reach: 0"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(tmp_path, before, after, said):
    assert before in STUDY
    path = write_study(tmp_path, STUDY.replace(before, after))
    with pytest.raises((DataError, UsageError)) as error:
        parse_study(path)
    assert said in str(error.value)


def test_all_faults_are_said_at_once(tmp_path):
    text = STUDY.replace("seeds = [1, 2, 3]", 'seeds = "3"').replace("tasks =", "task =")
    with pytest.raises(DataError) as error:
        parse_study(write_study(tmp_path, text))
    assert {"field seeds", "field task:"} <= {
        part for part in ("field seeds", "field task:") if part in str(error.value)
    }


def test_a_study_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        study_path(tmp_path / "none.toml")
