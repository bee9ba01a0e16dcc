import pytest

from benchmarks.study import best_step, mean, paired


def test_the_paired_interval_is_that_of_the_differences_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, t(.975, 2) = 4.302653, half = 4.302653 / sqrt(3).
    found = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found.mean == pytest.approx(2.0)
    assert found.high - found.mean == pytest.approx(4.302652730 / 3**0.5)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert not found.is_clear
    assert paired([2.0, 4.0, 6.1], [1.0, 3.0, 5.0]).is_clear
    assert paired([1.0, 3.0, 5.0], [2.0, 4.0, 6.1]).is_clear


def test_one_pair_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        paired([1.0], [2.0])


def test_the_best_step_has_the_best_mean_and_all_of_its_runs() -> None:
    assert best_step({0.1: [0.5, 0.7], 0.2: [0.9, 0.2]}) == 0.1
    assert best_step({0.1: [0.5, 0.7], 0.2: [0.99]}) == 0.1
    assert best_step({0.1: [], 0.2: []}) is None
    assert best_step({}) is None


def test_a_mean_leaves_out_what_is_unknown() -> None:
    assert mean([1.0, None, 3.0]) == 2.0
    assert mean([None]) is None
