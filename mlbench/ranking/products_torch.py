"""The dense products on a GPU, through torch: the same integers as on the processor.

The product is true float32 (no TF32), so the error bound of ``products`` holds; what lies within
it is decided by the exact score on the processor.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import Any

import numpy as np

from mlbench.common.errors import EnvironmentFault, Fault, UsageError
from mlbench.ranking.error_bounds import Floats, scaled
from mlbench.ranking.maxsim import MaxSim, slices_by_tokens
from mlbench.ranking.products import Bounded, Counts32, Dense, Limits
from mlbench.ranking.tiles import Ints, Rows, Tile, cut_tiles, slices

GPU_QUERY_TILE, GPU_PASSAGE_TILE = 4096, 8192
GPU_QUERY_TOKENS, GPU_PASSAGE_TOKENS = 8192, 32768


def gpu_at_hand() -> bool:
    """Say whether the model brought torch with it and torch sees a CUDA device."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


def check_device(name: str) -> None:
    """Raise UsageError for a device that torch does not know, EnvironmentFault for one that it
    cannot use here, or where torch is not installed."""
    where = f"option device {name!r}"
    try:
        import torch
    except ImportError:
        found, mend = "torch is not installed", "pip install torch, or device 'cpu'"
        raise EnvironmentFault(Fault(where, found, "torch", mend)) from None
    try:
        device = torch.device(name)
    except RuntimeError:
        expected = "'auto', 'cpu', 'cuda' or another device of torch"
        raise UsageError(Fault(where, "no such device", expected)) from None
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = f"cannot be used: {str(error).splitlines()[0]}"
        raise EnvironmentFault(Fault(where, found, "a device of this machine")) from None


class OnTorch(Bounded):
    """Fast scores from a torch device; ``cpu`` serves the tests."""

    def __init__(self, queries: Any, passages: Any, starts: Ints, device: str = "cuda") -> None:
        import torch

        super().__init__(queries, passages, starts)  # type: ignore[call-arg]
        torch.backends.cuda.matmul.allow_tf32 = False
        self.device = torch.device(device)

    @abstractmethod
    def on_device(self, queries: slice, passages: slice, exponent: int) -> Any:
        """Return what ``product`` does as a tensor of the device."""

    def sent(self, array: Floats | Ints) -> Any:
        """Return an array as a tensor of the device."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """Add a tile's counts to its rows' part of the table; return how many were recomputed."""
        import torch

        own = rows.of(tile.queries)
        starts = rows.within(tile.queries)
        bands = self.bands(tile, rows)
        low, high = bands.edges["low"].copy(), bands.edges["high"].copy()
        scores = self.on_device(tile.queries, tile.passages, bands.exponent)
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        column = rows.passage[own] - tile.passages.start
        inside = (column >= 0) & (column < scores.shape[1])
        scores[torch.from_numpy(owner[inside]), torch.from_numpy(column[inside])] = -torch.inf
        position = np.arange(len(owner)) - starts[owner]
        recomputed = 0
        for place in range(int(position.max(initial=-1)) + 1):
            chosen = np.flatnonzero(position == place)
            recomputed += self._count_thresholds(
                scores, chosen, owner[chosen], (low[chosen], high[chosen]), tile.edges,
                (rows.threshold[own], tile, above, tied),
            )  # fmt: skip
        return recomputed

    def _count_thresholds(
        self, scores: Any, chosen: Ints, owner: Ints, band: tuple[Floats, Floats], edges: Ints,
        target: tuple[Any, Tile, Counts32, Counts32],
    ) -> int:  # fmt: skip
        """Count one threshold of each query that has one: ``chosen`` rows of the table."""
        import torch

        threshold, tile, above, tied = target
        part = scores[torch.from_numpy(owner).to(self.device)]
        low, high = (torch.from_numpy(edge).to(self.device)[:, None] for edge in band)
        over = part > high
        for language in np.flatnonzero(np.diff(edges)):
            counted = over[:, edges[language] : edges[language + 1]].sum(1, dtype=torch.int32)
            above[chosen, language] += counted.cpu().numpy()
        near = torch.nonzero((part >= low) & ~over).cpu().numpy()
        row, column = chosen[near[:, 0]], near[:, 1]
        exact = self.exact(tile.queries.start + owner[near[:, 0]], tile.passages.start + column)
        cells = (row, np.searchsorted(edges, column, "right") - 1)
        np.add.at(above, cells, (exact > threshold[row]).astype(np.int32))
        np.add.at(tied, cells, (exact == threshold[row]).astype(np.int32))
        return len(near)


class TorchDense(OnTorch, Dense):
    """Scores of float32 arrays, a row a text, on a torch device."""

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work into the device's tiles; the host holds counts of one tile at a time."""
        parts = slices(self.passages.shape[0], GPU_PASSAGE_TILE)
        return cut_tiles(slices(len(self.queries), GPU_QUERY_TILE), parts, self.starts)

    def on_device(self, queries: slice, passages: slice, exponent: int) -> Any:
        """Return the float32 product as a tensor of the device."""
        return (
            self.sent(self.fast[queries]) @ self.sent(scaled(self.passages[passages], exponent)).T
        )


class TorchMaxSim(OnTorch, MaxSim):
    """Scores of texts of several vectors each, on a torch device."""

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work into the device's tiles; the host holds counts of one tile at a time."""
        parts = slices(self.passages.shape[0], GPU_PASSAGE_TILE)
        queries = slices_by_tokens(self.queries.starts, GPU_QUERY_TOKENS)
        return cut_tiles(queries, parts, self.starts)

    def on_device(self, queries: slice, passages: slice, exponent: int) -> Any:
        """Return the sums of maxima as a tensor of the device: in float64, in any order."""
        import torch

        asked, counts = self.sent(self.fast[self.queries.tokens(queries)]), self.queries.counts
        owner = np.repeat(np.arange(queries.stop - queries.start), counts[queries])
        sums = []
        for part in slices_by_tokens(self.passages.starts, GPU_PASSAGE_TOKENS, passages):
            others = self.sent(scaled(self.passages[part].vectors, exponent))
            best = torch.segment_reduce(
                others @ asked.T, "max", lengths=self.sent(self.passages.counts[part]), axis=0
            )
            total = torch.zeros(
                (queries.stop - queries.start, len(best)), dtype=torch.float64, device=self.device
            )
            total.index_add_(0, self.sent(owner), best.T.double())
            sums.append(total.float())
        return torch.cat(sums, 1)
