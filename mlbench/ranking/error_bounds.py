"""How far a float32 product may be from the exact score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
UNIT_ROUNDOFF_32, UNIT_ROUNDOFF_64 = 2.0**-24, 2.0**-53


def error_bound(dimension: int) -> float:
    """Return c such that a float32 product differs from the exact score by at most c |q| |p|.

    A sum of d float32 products, added in any order and with or without fused multiply-adds,
    differs from its true value by at most gamma_d times the sum of the products' magnitudes,
    gamma_d = d u / (1 - d u), u = 2**-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.1), and that sum is at most |q| |p| (Cauchy-Schwarz). The second
    term covers the float64 score, norms and thresholds.
    """
    single, double = dimension * UNIT_ROUNDOFF_32, (dimension + 8) * UNIT_ROUNDOFF_64
    return single / (1 - single) + 4 * double / (1 - double)


def underflow_bound(dimension: int, largest: float) -> float:
    """Return how far a float32 product may be off beside that, because numbers vanish.

    A product or a coordinate that is scaled down loses at most 2**-126, also where the processor
    takes subnormal numbers for 0: d products lose d times that, and the d coordinates of a query
    as much times |p|, which is at most ``largest``. What the coordinates of a passage lose lies
    within ``error_bound``, as the scaled norm of the longest is at least 2**-40.
    """
    return dimension * 2.0**-125 * (1 + largest)


def largest_norm(vectors: Floats) -> float:
    """Return an upper bound of the rows' norms, within a part in a thousand of the largest.

    From float32 sums of squares where these neither overflow nor vanish, else from float64.
    """
    from mlbench.ranking import kernels

    square = float(kernels.largest_square(vectors))
    if 1e-30 < square < 1e30:
        return float(np.sqrt(square * (1 + 2 * vectors.shape[1] * UNIT_ROUNDOFF_32)))
    return float(kernels.norms(vectors).max(initial=0.0))


def largest_whole(vectors: Floats) -> float:
    """Return the largest magnitude of the coordinates, infinity where one is no whole number."""
    from mlbench.ranking import kernels

    return float(kernels.largest_whole(vectors))


def rounded_up(norm: float) -> float:
    """Return ``norm`` or up to a 32nd part more: tiles of like norms share their bands, and those
    of normalised vectors lose nothing to speak of."""
    mantissa, exponent = np.frexp(norm)
    return float(np.ldexp((np.ceil(mantissa * 64 - 2.0**-10) + 2.0**-10) / 64, exponent))


def exponent_of(largest: float) -> int:
    """Return 0, or the power of two that brings an extreme norm near 1 (no float32 overflow)."""
    return int(np.frexp(largest)[1]) if largest and not 2.0**-40 < largest < 2.0**40 else 0


def scaled(vectors: Floats, exponent: int) -> Floats:
    """Divide vectors by 2 to that exponent."""
    return np.ldexp(vectors, -exponent) if exponent else vectors
