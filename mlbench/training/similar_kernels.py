"""The compiled loop that finds similar sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlbench.ranking.kernels import jit

ROOM = 1024
"""Pairs that are found before more room is made."""


@jit
def common_members(a: Any, b: Any, least: int) -> Any:
    """Return how many members two ascending arrays share, or -1 if fewer than ``least``."""
    i, j, common = 0, 0, 0
    while i < a.shape[0] and j < b.shape[0]:
        if common + min(a.shape[0] - i, b.shape[0] - j) < least:
            return -1
        if a[i] == b[j]:
            common += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return common if common >= least else -1


@jit
def similar_pairs(
    starts: Any, holders: Any, own: Any, own_sizes: Any, other: Any, other_sizes: Any, limit: Any
) -> Any:
    """Return the pairs of sets whose Jaccard similarity is ``limit[1]`` or more, and how many.

    ``own`` and ``other`` are (ends, members): members ascend from the rarest, and those that no own
    set has are left out, though they count in ``other_sizes``. The own sets in which a member is
    among those that a similar set must share one of are ``holders[starts[m]:starts[m + 1]]``;
    ``limit[0]`` is how many of such members each other set has. The pairs are (n, 3): own, other,
    number of common members; int64, of which only as many as are returned count.
    """
    own_ends, own_members = own
    other_ends, other_members = other
    leading, threshold = limit
    pairs = np.empty((ROOM, 3), np.int64)
    found = 0
    seen = np.full(own_sizes.shape[0], -1, np.int64)
    for text in range(other_sizes.shape[0]):
        members = other_members[other_ends[text] : other_ends[text + 1]]
        for member in members[: leading[text]]:
            for holder in holders[starts[member] : starts[member + 1]]:
                if seen[holder] == text:
                    continue
                seen[holder] = text
                one, two = own_sizes[holder], other_sizes[text]
                if min(one, two) < threshold * max(one, two) - 1e-9:
                    continue
                least = int(np.ceil(threshold / (1 + threshold) * (one + two) - 1e-9))
                mine = own_members[own_ends[holder] : own_ends[holder + 1]]
                common = common_members(mine, members, least)
                if common >= 0 and common / (one + two - common) >= threshold:
                    if found == pairs.shape[0]:
                        pairs = np.concatenate((pairs, np.empty_like(pairs)))
                    pairs[found, 0], pairs[found, 1], pairs[found, 2] = holder, text, common
                    found += 1
    return pairs, found
