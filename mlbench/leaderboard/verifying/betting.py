"""Evidence against a claimed sum, by betting on values that are drawn at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
ROUNDING = 1e-12


def log_wealth(drawn: Floats, claimed: Floats, sizes: Ints, edges: Ints) -> Floats:
    """Return the logarithm of the wealth that each stake ends with in each population.

    This is evidence against a claimed total, by betting on values drawn at random. A population of
    N values, none negative, is claimed to have the sum S. Values are drawn one by one without
    replacement, and before each draw someone who starts with 1 stakes a share c of all they have
    on the claim being too small:

        wealth <- wealth * (1 + c * (x / mean - 1)),   mean = (S - what was drawn) / (N - drawn)

    If the sum is S or less, no stake wins on average, so the chance that the wealth ever reaches W
    is at most 1 / W (Ville's inequality): it is a test that holds for any population and any
    sample size. Populations drawn from independently multiply (here those of a language, or of a
    pair in a language); several c are played side by side, each with an equal part of the 1.

    I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting",
    Journal of the Royal Statistical Society B 86 (2024), section 5 (without replacement); used for
    auditing elections by P. B. Stark, "ALPHA: audit that learns from previously hand-audited
    ballots", Annals of Applied Statistics 17 (2023).

    ``drawn`` (..., draws) are the values in the order drawn, one population after the other, cut
    by ``edges`` (populations + 1,); ``claimed`` (..., populations) are the sums, ``sizes`` the
    numbers of values. Returns float64 (..., populations, stakes): infinite where what was drawn
    exceeds the claim, 0 where nothing was drawn.
    """
    found = np.zeros((*claimed.shape, len(STAKES)))
    for number, size in enumerate(sizes.tolist()):
        value = drawn[..., edges[number] : edges[number + 1]]
        total = claimed[..., number, None]
        remaining = total - np.cumsum(value, -1) + value
        slack = ROUNDING * (1 + np.abs(total))
        mean = remaining / (size - np.arange(value.shape[-1]))
        ratio = np.where(value > remaining + slack, np.inf, 1.0)
        np.divide(value, mean, out=ratio, where=np.isfinite(ratio) & (remaining > slack))
        for place, stake in enumerate(STAKES):
            found[..., number, place] = np.log1p(stake * (ratio - 1)).sum(-1)
    return found


def evidence(wealth: Floats) -> Floats:
    """Return the logarithm of the wealth of all stakes together: (..., stakes) -> (...)."""
    most = wealth.max(-1, keepdims=True)
    finite = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(over="ignore"):
        joined: Floats = np.log(np.exp(wealth - finite).mean(-1)) + finite[..., 0]
    return joined
