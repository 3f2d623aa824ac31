"""The cheapest closed set against trying every set."""

import random
from itertools import product

import pytest

from migdoctor.mincut import cheapest


def brute(weights: list[int], before: list[list[int]]) -> tuple[frozenset[int], frozenset[int]]:
    """The least and the greatest cheapest closed set, by looking at all sets."""
    best: dict[int, list[frozenset[int]]] = {}
    for choice in product((False, True), repeat=len(weights)):
        chosen = frozenset(n for n, taken in enumerate(choice) if taken)
        if all(set(before[n]) <= chosen for n in chosen):
            best.setdefault(sum(weights[n] for n in chosen), []).append(chosen)
    sets = best[min(best)]
    return frozenset.intersection(*sets), frozenset.union(*sets)


@pytest.mark.parametrize("seed", range(60))
def test_equals_trying_every_set(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.randint(1, 8)
    weights = [dice.randint(-3, 3) for _ in range(size)]
    before = [[p for p in range(n) if dice.random() < 0.3] for n in range(size)]
    assert cheapest(weights, before) == brute(weights, before)


def test_nothing_to_choose() -> None:
    assert cheapest([], []) == (frozenset(), frozenset())


def test_a_long_line_needs_no_recursion() -> None:
    size = 1500
    before = [[n - 1] if n else [] for n in range(size)]
    least, most = cheapest([1] * (size - 1) + [-size], before)
    assert len(least) == len(most) == size
