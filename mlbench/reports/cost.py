"""What a model costs, as far as a report tells: its speed, its size, and the hardware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlbench.common.counts import plural
from mlbench.common.hardware import gpus_in_words
from mlbench.common.sizes import short_number, short_size, three_digits
from mlbench.reports.provenance import Encoded, ModelInfo, RunInfo
from mlbench.reports.report import Report

LEAST_SECONDS = 0.001
"""Reports give seconds to three decimals; less is no time that anything could take."""


@dataclass(frozen=True)
class Cost:
    """What a model costs; None where it is not known. ``speeds`` are texts encoded a second by
    role, and images ("image"), ``bytes`` those of a passage's vectors, the mean, and memory is in
    bytes."""

    parameters: int | None
    dimension: int | None
    bytes: float | None
    speeds: dict[str, float | None]
    peak_memory: int | None
    peak_gpu_memory: int | None
    hardware: str


def cost_of(model: ModelInfo, run: RunInfo | None) -> Cost:
    """Return what a model costs by what is known of it and of a run with it."""
    size, encoded = model.sizes.get("passage"), run.encoded if run else {}
    return Cost(
        parameters=model.parameters,
        dimension=model.dimension,
        bytes=size.bytes if size else None,
        speeds={role: speed_of(encoded.get(role)) for role in (*ROLES, *encoded)},
        peak_memory=run.peak_memory if run else None,
        peak_gpu_memory=run.peak_gpu_memory if run else None,
        hardware=hardware_of(run) if run else "",
    )


def speed_of(encoded: Encoded | None) -> float | None:
    """Return how many texts of a role, or images, were encoded a second; None where that is not
    known, or half of them or more came from the embedding cache: the rest tells too little."""
    if encoded is None or encoded.seconds is None or encoded.seconds < LEAST_SECONDS:
        return None
    fresh = encoded.distinct - encoded.cached
    return fresh / encoded.seconds if 2 * fresh > encoded.distinct else None


def hardware_of(run: RunInfo) -> str:
    """Return what a run was made on, in words."""
    cores = f"{plural(run.cores, 'core')}" if run.cores else ""
    gpus = gpus_in_words(run.gpus) if run.gpus else ""
    return ", ".join(filter(None, (run.processor, cores, gpus)))


def cost_facts(report: Report) -> list[tuple[str, str]]:
    """Return what is known of a model's cost, as (what it is, the figure); nothing where that is
    the hardware alone."""
    cost, sizes = cost_of(report.model, report.run), report.model.sizes
    speeds = {
        f"{PLURALS[role]} encoded a second": three_digits(speed)
        for role, speed in cost.speeds.items()
        if speed is not None
    }
    taken = {f"bytes a {role}": f"{of.bytes:,.0f}" for role, of in sorted(sizes.items())}
    number, size = _or_nothing(short_number), _or_nothing(short_size)
    found = {
        **speeds,
        "parameters": number(cost.parameters),
        "dimension": f"{cost.dimension:,}" if cost.dimension else "",
        **taken,
        "peak memory": size(cost.peak_memory),
        "peak GPU memory": size(cost.peak_gpu_memory),
        "device": report.model.device or "",
    }
    told = [(what, said) for what, said in found.items() if said]
    return [*told, ("hardware", cost.hardware)] if told else []


ROLES = ("query", "passage")
PLURALS = {"query": "queries", "passage": "passages", "image": "images"}


def _or_nothing(write: Callable[[int], str]) -> Callable[[int | None], str]:
    return lambda value: "" if value is None else write(value)


def cost_line(report: Report) -> str:
    """Say in a line what the model cost; "" where that is not known."""
    listed = "; ".join(f"{what}: {said}" for what, said in cost_facts(report))
    return listed and f"Cost: {listed}."
