from __future__ import annotations

import gc

import pytest

from mlbench.common.collector import uncollected


def test_nothing_is_searched_meanwhile_and_again_afterwards_whatever_happens():
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()


def test_it_is_a_decorator():
    @uncollected()
    def searching() -> bool:
        return gc.isenabled()

    assert [searching(), searching(), gc.isenabled()] == [False, False, True]
