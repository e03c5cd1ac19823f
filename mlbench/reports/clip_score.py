"""What a report has of CLIPScore, by language of captions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.errors import Fault, IntegrityError
from mlbench.common.files import sha256_of
from mlbench.reports.per_query import PerQuery, read_values
from mlbench.reports.table import Table

if TYPE_CHECKING:
    from mlbench.reports.report import Report

CLIP_FILE = "clip-score.parquet"
"""The file of a report's folder with the value of each query."""
CLIP_VIT_B_32 = ("clip-vit-base-patch32", "clip-vit-b-32")
"""What the model that CLIPScore is defined with is called, on the hub and in
sentence-transformers."""


@dataclass(frozen=True)
class LanguageScore:
    """CLIPScore of the captions in a language: the mean over its judged ``pairs`` with images, over
    its captions with the image that each finds first, and over images with the caption of the
    language that each finds first; None where there is no such search."""

    judged: float
    pairs: int
    first_image: float | None = None
    first_caption: float | None = None


@dataclass(frozen=True)
class ClipScore:
    """CLIPScore by language of captions, ``formula`` of the model's own vectors.

    ``judged``, ``first_image`` and ``first_caption`` are the unweighted means over languages.
    ``comparable`` says whether the model is by its name CLIP ViT-B/32, with whose figures alone
    published ones compare. ``prefixes`` are what was put before captions, by role. ``first_mixed``
    is the mean over images and the caption that each finds first among those of all languages.
    ``values_sha256`` is the digest of the file with the value of each query, None without one.
    """

    formula: str
    comparable: bool
    prefixes: dict[str, str]
    judged: float
    first_image: float | None
    first_caption: float | None
    by_language: dict[str, LanguageScore]
    first_mixed: float | None = None
    values_sha256: str | None = None

    @classmethod
    def of(
        cls,
        formula: str,
        names: Iterable[str],
        prefixes: dict[str, str],
        by_language: dict[str, LanguageScore],
        first_mixed: float | None = None,
    ) -> ClipScore:
        """Return the means over languages; ``names`` are what the model is called."""
        basenames = {name.rstrip("/").rpartition("/")[2].lower() for name in names}
        means = _means([*by_language.values()])
        return cls(
            formula, bool(basenames & {*CLIP_VIT_B_32}), prefixes, *means, by_language, first_mixed
        )

    def only(self, languages: Sequence[str]) -> ClipScore | None:
        """Return what holds of some of the languages: no language's figures depend on others, but
        for what is found first among all of them."""
        kept = {code: each for code, each in self.by_language.items() if code in languages}
        if not kept:
            return None
        judged, first_image, first_caption = _means([*kept.values()])
        return replace(
            self, judged=judged, first_image=first_image, first_caption=first_caption,
            by_language=kept, values_sha256=None,
            first_mixed=self.first_mixed if len(kept) == len(self.by_language) else None,
        )  # fmt: skip


def with_clip_values(report: Report, folder: Path) -> Report:
    """Write CLIPScore query by query to the folder of a report, or remove that of another one;
    return the report with the digest of the file."""
    path, digest = folder / CLIP_FILE, None
    if report.clip_values is None:
        path.unlink(missing_ok=True)
    else:
        report.clip_values.save(path)
        digest = sha256_of(path)
    clip = report.clip_score
    return replace(report, clip_score=clip and replace(clip, values_sha256=digest))


def read_clip_values(folder: Path, clip: ClipScore | None) -> PerQuery | None:
    """Return CLIPScore query by query, None where the folder of a report does not have it.

    Raises IntegrityError where it is not that which the report was written with.
    """
    path = folder / CLIP_FILE
    if clip is None or clip.values_sha256 is None or not path.exists():
        return None
    if (found := sha256_of(path)) != clip.values_sha256:
        expected = f"{clip.values_sha256}, as the report beside it says"
        mend = "run the evaluation again"
        raise IntegrityError(Fault(str(path), f"SHA-256 {found}", expected, mend))
    return read_values(path)


def _means(of: Sequence[LanguageScore]) -> tuple[float, float | None, float | None]:
    judged = math.fsum(each.judged for each in of) / len(of)
    return judged, _mean(each.first_image for each in of), _mean(each.first_caption for each in of)


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else None


def clip_score_table(report: Report) -> Table:
    """Return a row a language of captions; no row where a report has no CLIPScore."""
    found = report.clip_score
    if found is None:
        return Table(("captions in",), ())
    headers = ("captions in", "judged\npairs", "image\nfound first", "caption\nfound first")
    rows = [
        (code, *map(_shown, (each.judged, each.first_image, each.first_caption)))
        for code, each in found.by_language.items()
    ]
    if found.first_mixed is not None:
        rows.append(("mixed", _shown(None), _shown(None), _shown(found.first_mixed)))
    means = map(_shown, (found.judged, found.first_image, found.first_caption))
    return Table(headers, tuple(rows), ("macro", *means))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def clip_score_lines(report: Report) -> list[str]:
    """Return how CLIPScore is to be read, one sentence or two each; nothing without it."""
    found = report.clip_score
    if found is None:
        return []
    said = [
        f"CLIPScore is {found.formula} of a caption's and an image's vectors, {found.judged:.4f} "
        "over judged pairs, macro over languages."
    ]
    if not found.comparable:
        said.append(
            "It is defined with CLIP ViT-B/32, and this model is another by its name: these "
            "figures compare with no published ones, nor with those of other models."
        )
    prefixes = sorted({prefix for prefix in found.prefixes.values() if prefix})
    if prefixes:
        said.append(f"Captions were given as {' or '.join(repr(p + '...') for p in prefixes)}.")
    elif found.comparable:
        said.append('The paper puts "A photo depicts " before each caption; here nothing was.')
    return said
