"""The closed list of what a site may say of a failure."""

from __future__ import annotations

import pytest

from fedmce.site_errors import SITE_CODES, code_of_number, number_of, said_of_number

FLOWERS = range(1000)  # Flower's own codes are below


def test_every_code_has_a_number_of_its_own_beyond_flowers() -> None:
    numbers = {code: number_of(code) for code in SITE_CODES}
    assert len(set(numbers.values())) == len(SITE_CODES) == 13
    assert not set(numbers.values()) & set(FLOWERS)
    assert {code_of_number(number): number for number in numbers.values()} == numbers
    assert all(said_of_number(number) == code for code, number in numbers.items())


def test_C04_a_crash_says_its_signal_by_its_number() -> None:
    assert said_of_number(number_of("crashed", 11)) == "crashed by signal 11"
    assert code_of_number(number_of("crashed", 11)) == "crashed"
    assert said_of_number(number_of("crashed")) == "crashed"
    assert number_of("timeout", 9) == number_of("timeout")
    assert number_of("crashed", 10**6) == number_of("crashed", -3) == number_of("crashed")


@pytest.mark.parametrize("number", [0, 2, 8, 1000, 1014, 1100, 1165, -1001, True, 1001.0, "1001", None])
def test_other_numbers_say_nothing(number: object) -> None:
    assert code_of_number(number) is None
    assert said_of_number(number) is None
