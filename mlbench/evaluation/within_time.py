"""A part of a task that a model encodes within a given time, for a quick look with a slow model."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.progress import Step, duration
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE, Images
from mlbench.data.sampling import Draw, cut_to_languages
from mlbench.models.boundary import calling
from mlbench.models.encoding import METHODS, plan_for
from mlbench.models.images import ROLE, cost_of
from mlbench.models.inputs import learns
from mlbench.models.pace import Pace
from mlbench.models.plan import Distinct, Plan

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options
    from mlbench.models.registry import LoadedModel

PASSAGES_A_QUESTION = 4
"""Passages of each language beside the judged ones, for each question that is drawn."""
MEASURING_SECONDS = 4.0
MEASURING_SHARE = 0.1
"""How long a model's pace is measured: so long, and no more than this share of the time."""


def within_time(
    name: str, whole: Collection, model: LoadedModel, options: Options, languages: tuple[str, ...]
) -> Options:
    """Return the options with a sample that the model encodes in ``options.max_seconds``.

    The samples to choose from are the same for every model: 2^k questions, k at least 3, and four
    times as many passages of each language beside the judged ones. The largest that fits is taken,
    nothing is drawn where the whole of ``languages`` fits. A model that learns from a collection is
    quick, and gets all of it. Raises ModelError where the model fails.
    """
    if options.max_seconds is None or learns(model.adapter):
        return options
    with Step(f"{name}: measuring the model's pace", 1, "texts", quiet=not options.progress):
        part = cut_to_languages(whole, languages)
        plan = plan_for(model, part)
        seconds = min(MEASURING_SECONDS, MEASURING_SHARE * options.max_seconds)
        rate = _bytes_a_second(model, plan, whole.images, seconds)
    room = rate * options.max_seconds
    cost, draw = _cost(plan, whole.images), Draw()
    if cost > room:
        for draw in _draws(len(set(whole.queries.ids))):
            part = cut_to_languages(draw.of(whole), languages)
            cost = _cost(plan_for(model, part), whole.images)
            if cost <= room:
                break
    if options.progress:
        takes = f"encoding it takes {duration(cost / rate)}, less what is in the cache"
        print(f"{name}: {_told(draw)}; {takes}", file=sys.stderr)
    return replace(options, sample_questions=draw.questions, sample_passages=draw.passages)


def _told(draw: Draw) -> str:
    if draw.questions is None:
        return "all of it fits into --max-seconds"
    return (
        f"--max-seconds picks --sample-questions {draw.questions} --sample-passages {draw.passages}"
    )


def _draws(questions: int) -> Iterator[Draw]:
    """Yield the samples to choose from, largest first."""
    for k in range(max(questions - 1, 8).bit_length() - 1, 2, -1):
        yield Draw(2**k, PASSAGES_A_QUESTION * 2**k)


def _cost(plan: Plan, images: Images | None) -> int:
    """Return the bytes of all distinct texts, and what images count as."""
    return sum(_size(text, images) for group in _groups(plan) for text in group.texts)


def _size(text: str, images: Images | None) -> int:
    """Return the bytes of a text, or what the image that it stands for counts as."""
    return cost_of(images.size(text)) if images and text in images else len(text.encode())


def _groups(plan: Plan) -> tuple[Distinct, ...]:
    return (*plan.queries, *plan.passages, *plan.images[:1])


def _bytes_a_second(
    model: LoadedModel,
    plan: Plan,
    images: Images | None,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Encode some texts and images, more and more at once, for about so many seconds.

    The first batch is not counted, as many models do more than encode when they are first called.
    """
    texts = [(group, place) for group in _groups(plan) for place in range(len(group.texts))]
    step = max(1, len(texts) // 4096)
    chosen = texts[::step]  # of both roles and all languages
    order = np.random.default_rng(0).permutation(len(chosen))
    chosen = [chosen[i] for i in order.tolist()]
    sizes = np.array([_size(group.texts[place], images) for group, place in chosen], np.int64)
    began, done, counted_from = clock(), 0, 0.0
    for number, part in enumerate(Pace().cut(sizes, np.arange(1, len(sizes) + 1))):
        _encode(model, chosen[part], images)
        if number == 0:
            counted_from = clock()
        else:
            done += int(sizes[part].sum())
        if number and clock() - began > seconds:
            break
    return max(done, int(sizes[:1].sum())) / max(clock() - counted_from, 1e-6)


def _encode(model: LoadedModel, texts: list[tuple[Distinct, int]], images: Images | None) -> None:
    """Let the model encode texts, of each role and language at once, and images."""
    together: dict[tuple[str, str], list[str]] = {}
    for group, place in texts:
        together.setdefault((group.role, group.language), []).append(group.texts[place])
    for (role, language), some in together.items():
        given: tuple[Any, ...] = (some, language)
        name = METHODS[role]
        if language == IMAGE and images is not None:
            name, given = METHODS[ROLE], ([images.open(each) for each in some],)
        with calling(model.spec, name):
            getattr(model.adapter, name)(*given)
