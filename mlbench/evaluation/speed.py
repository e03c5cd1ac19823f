"""How fast a model encodes: the same text for every model, so that figures can be compared.

The text is that of the task ``sample``, which comes with mlbench: its queries as they are, and its
passages joined, so that the passages are about as long as paragraphs. It is encoded in two halves
in turn, so that a model which remembers what it was given last has nothing to gain by that. A model
of images is given images, too, which are made here.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mlbench.common.errors import Fault, UsageError
from mlbench.common.hardware import Hardware, hardware, peak_gpu_memory, peak_memory
from mlbench.evaluation.describing import model_facts
from mlbench.evaluation.loading import load_collection
from mlbench.models.boundary import Vectors, attribute, calling, check_vectors
from mlbench.models.encoding import METHODS
from mlbench.models.images import ROLE, made_image, takes_images
from mlbench.models.inputs import Inputs
from mlbench.models.plan import longest_first
from mlbench.models.protocol import Bound, Fitted, Metered
from mlbench.models.registry import LoadedModel
from mlbench.ranking.vectors import TextSize, joined, text_size

if TYPE_CHECKING:
    from PIL.Image import Image

JOINED = 6
"""Passages of the task that make one text: about as long as a paragraph of XQuAD."""
HALVES = 2
ROUNDS = 5
LEAST_SECONDS = 0.5
"""A round encodes the texts as often as it takes to last so long."""


IMAGES, SIDE = 64, 224
"""How many images there are, and their width and height in pixels."""


class Part(NamedTuple):
    """Texts, or images, that are given to the model in one call; ``language`` is "" where it is
    not told."""

    language: str
    texts: list[Any]


@dataclass(frozen=True)
class RoleSpeed:
    """How fast the texts of a role, or images, are encoded.

    ``texts`` is how many there are, ``characters`` and ``tokens`` how many these have in the mean,
    as the model reads them, tokens with prompts and special ones (None where it does not say).
    Images have ``pixels`` in place of these.
    ``seconds`` are those of each round for all texts once; ``size`` is what a text's vectors take.
    """

    texts: int
    characters: float | None
    tokens: float | None
    seconds: tuple[float, ...]
    size: TextSize
    pixels: int | None = None

    @property
    def texts_per_second(self) -> float:
        """The median of the rounds."""
        return self.texts / statistics.median(self.seconds)

    @property
    def tokens_per_second(self) -> float | None:
        """The median of the rounds; None where the model's tokens are not known."""
        return None if self.tokens is None else self.tokens * self.texts_per_second

    @property
    def range(self) -> tuple[float, float]:
        """Texts a second in the slowest and in the fastest round."""
        return self.texts / max(self.seconds), self.texts / min(self.seconds)


@dataclass(frozen=True)
class Speed:
    """What encoding with a model costs. ``roles`` are "query", "passage" and, of a model that takes
    images, "image"; ``text`` is the SHA-256 of all texts that were encoded, memory is in bytes."""

    model: str
    spec: str
    parameters: int | None
    dimension: int
    dtype: str | None
    device: str | None
    roles: dict[str, RoleSpeed]
    peak_memory: int | None
    peak_gpu_memory: int | None
    hardware: Hardware
    text: str

    def values(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        table = asdict(self)
        for role, of in self.roles.items():
            table["roles"][role] |= {
                "texts_per_second": of.texts_per_second,
                "tokens_per_second": of.tokens_per_second,
            }
        return table


def measure_speed(
    model: LoadedModel, rounds: int = ROUNDS, advance: Callable[[int], None] = lambda count: None
) -> Speed:
    """Encode fixed text ``rounds`` times, after once that does not count, and time it.

    What is timed is what a run does with a text: the model's own form of it (tokens), if it has
    one, and its vector. ``advance`` is told of each round of a role when it is over.

    Raises UsageError for a model that looks its vectors up, ModelError where the model fails.
    """
    if isinstance(model.adapter, Bound):
        why = "looks vectors up by the ids of texts, so that there is no encoding to measure"
        raise UsageError(Fault(f"model {model.spec}", why, "a model that encodes texts"))
    texts = fixed_texts()
    _fit(model, texts["passage"])
    free = attribute(model.spec, model.adapter, "language_free", False)
    halves = {role: tuple(_halves(of_role, free)) for role, of_role in texts.items()}
    if takes_images(model):
        halves[ROLE] = tuple(_halves({"": fixed_images()}, True))
    found = {role: _measured(model, role, halves[role], rounds, advance) for role in halves}
    facts = model_facts(model)
    return Speed(
        model=model.name,
        spec=model.spec,
        parameters=facts.get("parameters"),
        dimension=found["passage"][1],
        dtype=facts.get("dtype"),
        device=facts.get("device"),
        roles={role: speed for role, (speed, _) in found.items()},
        peak_memory=peak_memory(),
        peak_gpu_memory=peak_gpu_memory(),
        hardware=hardware(),
        text=_digest(texts),
    )


def sent_tokens(model: LoadedModel, rounds: int = ROUNDS) -> int | None:
    """Estimate the tokens that a server will be sent; None for a model that is not paid for so."""
    if not isinstance(model.adapter, Metered):
        return None
    once = 0
    for role, languages in fixed_texts().items():
        every = [*itertools.chain(*languages.values())]
        with calling(model.spec, "tokens"):
            once += model.adapter.tokens(role, every).most
    return once * (rounds + 1)


def fixed_texts() -> dict[str, dict[str, list[str]]]:
    """Return the texts by role and language: as many of each language, all distinct."""
    collection = load_collection("sample", progress=False)
    found: dict[str, dict[str, list[str]]] = {"query": {}, "passage": {}}
    for number, language in enumerate(collection.languages):
        queries, passages = (
            list(side.texts[side.slice(number)])
            for side in (collection.queries, collection.passages)
        )
        found["query"][language] = queries
        again = itertools.cycle(passages)
        every = [*itertools.islice(again, len(passages) + JOINED)]
        starts = range(0, len(passages), len(passages) // len(queries))
        found["passage"][language] = [" ".join(every[at : at + JOINED]) for at in starts]
    return found


def fixed_images() -> list[Image]:
    """Return the images: all of one size, and distinct."""
    return [made_image(number, (SIDE, SIDE)) for number in range(IMAGES)]


def rounds_of(model: LoadedModel, rounds: int = ROUNDS) -> int:
    """Return how often ``measure_speed`` tells of a round of a role."""
    return (3 if takes_images(model) else 2) * (rounds + 1)


def _digest(texts: dict[str, dict[str, list[str]]]) -> str:
    every = [text for of_role in texts.values() for some in of_role.values() for text in some]
    return hashlib.sha256("\n".join(every).encode()).hexdigest()


def _fit(model: LoadedModel, passages: dict[str, list[str]]) -> None:
    if isinstance(model.adapter, Fitted):
        for language, texts in passages.items():
            with calling(model.spec, "fit"):
                model.adapter.fit(texts, language)


def _halves(languages: dict[str, list[Any]], free: bool) -> Iterator[list[Part]]:
    """Yield halves of a role's texts, each as the parts that the model is given."""
    for half in range(HALVES):
        parts = [Part(language, texts[half::HALVES]) for language, texts in languages.items()]
        yield [Part("", [text for part in parts for text in part.texts])] if free else parts


def _measured(
    model: LoadedModel,
    role: str,
    halves: tuple[list[Part], ...],
    rounds: int,
    advance: Callable[[int], None],
) -> tuple[RoleSpeed, int]:
    """Return the speed of a role, and the dimension of its vectors."""
    _, vectors = _once(model, role, halves)
    checked = [_checked(model, role, *each) for each in vectors]
    advance(1)
    seconds = []
    for _ in range(rounds):
        seconds.append(_round(model, role, halves))
        advance(1)
    parts = [part for half in halves for part in half]
    texts = [text for part in parts for text in part.texts]
    of_images = role == ROLE
    speed = RoleSpeed(
        texts=len(texts),
        characters=None if of_images else sum(map(len, texts)) / len(texts),
        tokens=None if of_images else _tokens(model, role, parts),
        seconds=tuple(seconds),
        size=text_size(joined(checked)),
        pixels=SIDE**2 if of_images else None,
    )
    return speed, int(checked[0].shape[1])


def _round(model: LoadedModel, role: str, halves: tuple[list[Part], ...]) -> float:
    """Encode all texts of a role, as often as it takes to last long enough to be timed, but only
    once where that is paid for; return the seconds that it took once."""
    total, times = _once(model, role, halves)[0], 1
    while total < LEAST_SECONDS and not isinstance(model.adapter, Metered):
        total, times = total + _once(model, role, halves)[0], times + 1
    return total / times


def _once(
    model: LoadedModel, role: str, halves: tuple[list[Part], ...]
) -> tuple[float, list[tuple[Part, Any]]]:
    """Encode all texts of a role once; return the seconds, and what the model gave each part."""
    inputs, encode = Inputs(model), getattr(model.adapter, METHODS[role])
    given = []
    seconds = 0.0
    for language, unordered in itertools.chain(*halves):
        began = time.perf_counter()
        texts = unordered
        if inputs.by_form and role != ROLE:
            order = longest_first(inputs.forms(role, texts), range(len(texts)))
            texts = [texts[place] for place in order]
        with calling(model.spec, METHODS[role]):
            vectors = encode(texts) if role == ROLE else encode(texts, language)
        seconds += time.perf_counter() - began
        given.append((Part(language, texts), vectors))
    return seconds, given


def _checked(model: LoadedModel, role: str, part: Part, value: Any) -> Vectors:
    return check_vectors(
        value,
        method=f"model {model.spec}, {METHODS[role]}",
        rows=len(part.texts),
        text_id=lambda row: role if role == ROLE else f"{role} {part.texts[row][:40]!r}",
    )


def _tokens(model: LoadedModel, role: str, parts: list[Part]) -> float | None:
    """Return how many tokens of a text the model reads, the mean; None where it does not say."""
    inputs, read, texts = Inputs(model), 0, 0
    for part in parts:
        cut = inputs.truncation(role, part.language, part.texts)
        if cut is None:
            return None
        read += cut.tokens - cut.lost
        texts += len(part.texts)
    return read / texts
