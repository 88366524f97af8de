"""Which questions are held out together."""

from skills.folds import folds, folds_by_name, groups_of


def test_an_item_that_occurs_twice_is_in_one_fold() -> None:
    items = [f"q{i % 20}" for i in range(60)]
    found = folds(items, 5)
    assert all(found[i] == found[i + 20] == found[i + 40] for i in range(20))
    assert sorted(set(found.tolist())) == [0, 1, 2, 3, 4]


def test_folds_follow_the_seed_and_not_the_order() -> None:
    items = [f"q{i}" for i in range(50)]
    assert folds(items, 5, seed=1).tolist() == folds(items[::-1], 5, seed=1).tolist()[::-1]
    assert folds(items, 5, seed=1).tolist() != folds(items, 5, seed=2).tolist()


def test_groups_number_the_items() -> None:
    assert groups_of(["b", "a", "b"]).tolist() == [1, 0, 1]
    assert groups_of([]).tolist() == []


def test_folds_by_name_do_not_depend_on_what_else_there_is() -> None:
    items = [f"q{i}" for i in range(50)]
    found = folds_by_name(items, 5)
    assert folds_by_name(items[10:20], 5).tolist() == found[10:20].tolist()
    assert set(found.tolist()) == {0, 1, 2, 3, 4}
