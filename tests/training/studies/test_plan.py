from __future__ import annotations

import pytest

from mlbench.common.errors import DataError
from mlbench.training.studies.plan import _names_on, load_study, part_of
from tests.training.studies.made import STUDY, write_study


def study(folder, grid: str, more: str = "", text: str = STUDY):
    head = text[: text.index("[claims")].replace("noise = [0.8, 1.0, 1.6]", grid)
    return load_study(write_study(folder, head + more))


def test_cells_are_all_arms_with_all_seeds_seed_by_seed(tmp_path):
    plan = load_study(write_study(tmp_path))
    assert [arm.label for arm in plan.arms] == ["noise 0.8", "noise 1", "noise 1.6"]
    assert [cell.name for cell in plan.cells][:4] == [
        "noise-0.8/seed-1", "noise-1/seed-1", "noise-1.6/seed-1", "noise-0.8/seed-2",
    ]  # fmt: skip
    assert plan.cells[4].config == {
        "data": "made-data", "languages": ["ar", "de", "el"], "noise": 1.0, "seed": 2,
    }  # fmt: skip
    assert [arm.x for arm in plan.arms] == [0.8, 1.0, 1.6]


def test_several_axes_make_their_product_and_a_table_sets_several_fields(tmp_path):
    plan = study(tmp_path, "batch_size = [32, 64]\nlong = [{pairs = 100}, {seconds = 3, a = 1}]")
    assert [(arm.label, arm.x, arm.series) for arm in plan.arms] == [
        ("batch size 32, pairs 100", 32, "pairs 100"),
        ("batch size 32, seconds 3 a 1", 32, "seconds 3 a 1"),
        ("batch size 64, pairs 100", 64, "pairs 100"),
        ("batch size 64, seconds 3 a 1", 64, "seconds 3 a 1"),
    ]
    fixed = {"data": "made-data", "languages": ["ar", "de", "el"]}
    assert dict(plan.arms[1].config) == fixed | {"batch_size": 32, "seconds": 3, "a": 1}
    assert plan.arms[0].folder == "batch-size-32-pairs-100"


def test_lists_stand_on_the_axis_by_their_length_unless_two_are_as_long(tmp_path):
    one = study(tmp_path, 'codes = [["de"], ["de", "en"]]')
    assert [(arm.label, arm.x) for arm in one.arms] == [("1 codes", 1), ("2 codes", 2)]
    two = study(tmp_path, 'codes = [["de", "zh"], ["de", "en"]]')
    assert [(a.label, a.x) for a in two.arms] == [
        ("2 codes: de zh", None),
        ("2 codes: de en", None),
    ]


def test_proportions_are_a_field_of_their_own(tmp_path):
    plan = study(tmp_path, "proportions = [{mono = 1}, {mono = 0.5, mixed = 0.5}]")
    assert [arm.label for arm in plan.arms] == ["mono 1", "mono 0.5 mixed 0.5"]
    assert plan.arms[1].config["proportions"] == {"mono": 0.5, "mixed": 0.5}
    assert plan.arms[1].x is None


def test_more_arms_seeds_and_claims_leave_a_study_the_same_and_other_training_does_not(tmp_path):
    first = load_study(write_study(tmp_path / "a"))
    more = STUDY.replace("[0.8, 1.0", "[0.8, 0.9, 1").replace("[1, 2, 3]", "[1, 2, 3, 4]")
    grown = load_study(write_study(tmp_path / "b", more.replace("Little", "Some")))
    assert grown.digest == first.digest
    cells = {cell.name: grown.cell_digest(cell) for cell in grown.cells}
    shared = [cell for cell in first.cells if cell.name in cells]
    assert [cells[cell.name] for cell in shared] == [first.cell_digest(cell) for cell in shared]
    other = load_study(write_study(tmp_path / "c", STUDY.replace("made-data", "other-data")))
    assert other.digest != first.digest
    assert len({first.cell_digest(cell) for cell in first.cells}) == len(first.cells)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('arm = "noise 1.6"', 'arm = "noise 1.7"', "did you mean"),
        ('than = ["noise 1.6"]', 'than = ["noise 0.8"]', "is held against itself"),
        ("[0.7, 0.5]", "[0.7]", "1 figure\n"),
        ("[0.8, 1.0, 1.6]", "[0.8, 0.8]", "two arms are 'noise 0.8'"),
    ],
)
def test_claims_name_arms_that_there_are(tmp_path, before, after, said):
    with pytest.raises(DataError) as error:
        load_study(write_study(tmp_path, STUDY.replace(before, after)))
    assert said in str(error.value)


def test_claims_about_arms_that_a_change_leaves_out_are_not_tested(tmp_path):
    path = write_study(tmp_path)
    whole, some = load_study(path), load_study(path, {"noise": [0.8, 1.0]})
    lost = {name for name, c in whole.form.claims.items() if "noise 1.6" in (c.arm, *c.than)}
    assert lost
    assert some.form.claims.keys() == whole.form.claims.keys() - lost
    assert len(some.form.notes) == len(whole.form.notes) + len(lost)
    assert all("noise 1.6 is not trained here" in note for note in some.form.notes[-len(lost) :])
    assert load_study(path, {"noise": [0.8, 1.0, 1.6]}).form == whole.form


def claimed(study):
    """The arms of each claim of a study."""
    return {name: (claim.arm, *claim.than) for name, claim in study.form.claims.items()}


def test_claims_name_arms_by_their_place_whatever_the_values_are():
    whole = load_study("batch-size")
    assert claimed(whole)["larger-at-equal-pairs"] == (
        "batch size 512, pairs 65536",
        "batch size 32, pairs 65536",
    )
    changes = {"batch_size": [128, 16, 64], "budget": [{"pairs": 100}, {"seconds": 2}]}
    other = load_study("batch-size", changes)
    assert claimed(other) == {
        "larger-at-equal-pairs": ("batch size 128, pairs 100", "batch size 16, pairs 100"),
        "larger-at-equal-seconds": ("batch size 128, seconds 2", "batch size 16, seconds 2"),
        "larger-across": ("batch size 128, seconds 2", "batch size 16, seconds 2"),
    }
    assert other.form.notes == whole.form.notes
    pairs_alone = load_study("batch-size", {"budget": [{"pairs": 100}]})
    assert [*claimed(pairs_alone)] == ["larger-at-equal-pairs"]
    assert [note for note in pairs_alone.form.notes if "largest batch size, seconds" in note]
    one = load_study("batch-size", {"batch_size": [64]})
    assert not one.form.claims
    assert "batch size 64, seconds 15 would be held against itself" in one.form.notes[-1]
    two_budgets = load_study("batch-size", {"budget": [{"pairs": 100}, {"pairs": 200}]})
    assert not two_budgets.form.claims


def test_the_ends_of_an_axis_of_lists_and_of_one_that_has_none():
    lists = [["de"], ["de", "en", "fr"], ["de", "en"]]
    names = _names_on("languages", lists)
    assert names["most languages"] == "3 languages"
    assert names["fewest languages"] == "1 languages"
    assert [*_names_on("base", ["a", "b"])] == ["base a", "base b"]
    assert [*_names_on("languages", [["de"], ["en"]])] == ["1 languages: de", "1 languages: en"]


def test_parts_of_the_cells_add_up(tmp_path):
    cells = load_study(write_study(tmp_path)).cells
    parts = [part_of(cells, (i, 4)) for i in (1, 2, 3, 4)]
    assert sorted(cell.name for part in parts for cell in part) == sorted(c.name for c in cells)
    assert {len(part) for part in parts} <= {2, 3}
