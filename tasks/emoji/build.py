"""Build the data of the tasks emoji-names and emoji-train from Unicode CLDR, as npm packages it.

Get three packages, unpack them, and say where they are and where the tables are to go:

    npm pack cldr-annotations-full@48.2.0 cldr-annotations-derived-full@48.2.0
    npm pack emoji-datasource@16.0.0
    for each in *.tgz; do mkdir "${each%.tgz}" && tar xzf "$each" -C "${each%.tgz}"; done
    python tasks/emoji/build.py --annotations cldr-annotations-full-48.2.0/package \\
        --derived cldr-annotations-derived-full-48.2.0/package \\
        --emoji emoji-datasource-16.0.0/package/emoji.json --output tasks/emoji

An emoji's short name is its passage, and its keywords, but for the name itself, are its question.
``--languages`` takes any that CLDR has; a task file of your own then names them, too.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mlbench.training.overlap import THRESHOLD
from mlbench.training.similar_texts import TextIndex

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
EVALUATED = 0.4
"""The share of families that is evaluated; the others are for training."""
PEOPLE = frozenset({"1f466", "1f467", "1f468", "1f469", "1f476", "1f9d1", "1f9d2"})
HAIR = frozenset({"1f9b0", "1f9b1", "1f9b2", "1f9b3"})
VARIANTS = PEOPLE | HAIR | {"200d", "2640", "2642", "27a1", "fe0f"}
"""Code points that make variants of one emoji: people, hair, sex, direction, and joiners."""
SKIN_TONES = frozenset(["1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"])
KEYCAP = "20e3"
REGIONS = range(0x1F1E6, 0x1F200)
"""The letters that flags are made of."""
VARIATION_SELECTOR = "\ufe0f"

Texts = Mapping[str, str]
"""Language -> text."""


class Emoji(NamedTuple):
    """An emoji by its code points in hex ("1f468-200d-1f373"), and its texts in each language."""

    id: str
    names: Texts
    keywords: Texts


def read_emoji(annotations: Path, derived: Path, listed: Path, codes: Iterable[str]) -> list[Emoji]:
    """Read the emoji of a list, sorted by their ids, with names and keywords in some languages.

    An emoji without keywords in one of the languages has none in any. Raises KeyError for an
    emoji that a language does not name.
    """
    ids = {row["unified"].lower() for row in json.loads(listed.read_text(encoding="utf-8"))}
    known = {code: _annotated(annotations, derived, code) for code in codes}
    found = []
    for id_ in sorted(ids - SKIN_TONES):
        sign = "".join(chr(int(point, 16)) for point in id_.split("-"))
        said = {code: of.get(sign.replace(VARIATION_SELECTOR, "")) for code, of in known.items()}
        said = {code: each or known[code][sign] for code, each in said.items()}
        names = {code: each["tts"][0] for code, each in said.items()}
        keywords = {code: _keywords(each, names[code]) for code, each in said.items()}
        found.append(Emoji(id_, names, keywords if all(keywords.values()) else {}))
    return found


def _annotated(annotations: Path, derived: Path, code: str) -> dict[str, dict[str, list[str]]]:
    """Return what CLDR says of each sign in a language."""
    said = {}
    for folder, name in ((derived, "annotationsDerived"), (annotations, "annotations")):
        path = folder / name / code / "annotations.json"
        said |= json.loads(path.read_text(encoding="utf-8"))[name]["annotations"]
    return said


def _keywords(said: Mapping[str, list[str]], name: str) -> str:
    return ", ".join(k for k in said.get("default", ()) if k.casefold() != name.casefold())


def kin(emoji: Emoji) -> str:
    """Return what an emoji has in common with its variants: flags are variants of each other, and
    so are keycaps, and people who differ in sex, age or direction."""
    points = [point for point in emoji.id.split("-") if point not in VARIANTS]
    if not points or points[-1] == KEYCAP:
        return "keycap" if points else "people"
    return "flag" if all(int(point, 16) in REGIONS for point in points) else points[0]


def families(emoji: Sequence[Emoji]) -> list[list[Emoji]]:
    """Gather emoji to families: variants, and those that share a text, or nearly so, in whatever
    language."""
    alike = _alike({text for each in emoji for text in _texts(each)})
    links = {each.id: {f"kin {kin(each)}"}.union(*map(alike.get, _texts(each))) for each in emoji}
    family: dict[str, list[Emoji]] = {}
    for each in emoji:
        joined = [each]
        for link in links[each.id]:
            members = family.get(link, joined)
            if members is not joined:
                joined += members
                family |= {link: joined for member in members for link in links[member.id]}
        family |= dict.fromkeys(links[each.id], joined)
    return [*{id(members): members for members in family.values()}.values()]


def _texts(emoji: Emoji) -> set[str]:
    return {*emoji.names.values(), *emoji.keywords.values()}


def _alike(texts: Iterable[str]) -> dict[str, set[str]]:
    """Return for each text those that `mlbench overlap` would take for a copy of it, and itself."""
    ordered = sorted(texts)
    alike = {text: {text} for text in ordered}
    similar = TextIndex(ordered, THRESHOLD).similar(ordered)
    for one, other in zip(similar.indexed.tolist(), similar.other.tolist(), strict=True):
        alike[ordered[one]].add(ordered[other])
    return alike


def split(emoji: Sequence[Emoji]) -> tuple[list[Emoji], list[Emoji]]:
    """Return the evaluated emoji and those for training, whole families on either side.

    The digest of its first id decides on a family. Among the evaluated, an emoji whose keywords are
    also those of another, in some language, is a passage without a question.
    """
    sides: tuple[list[Emoji], list[Emoji]] = ([], [])
    for members in families(emoji):
        digest = hashlib.sha256(min(member.id for member in members).encode()).digest()
        sides[int.from_bytes(digest[:4]) >= EVALUATED * 2**32].extend(members)
    evaluated, training = (sorted(side) for side in sides)
    common = Counter(item for each in evaluated for item in each.keywords.items())
    return [
        each._replace(
            keywords={} if any(common[i] > 1 for i in each.keywords.items()) else each.keywords
        )
        for each in evaluated
    ], training


def table(emoji: Iterable[Emoji], codes: Iterable[str]) -> bytes:
    """Return a gzip'd CSV: a row an emoji, a column for its name and its keywords in a language."""
    codes = tuple(codes)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["emoji", *(f"{w}_{code}" for w in ("name", "keywords") for code in codes)])
    for each in emoji:
        names, keywords = ([of.get(code, "") for code in codes] for of in each[1:])
        writer.writerow([each.id, *names, *keywords])
    return gzip.compress(out.getvalue().encode(), mtime=0)


def main() -> None:
    """Build the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("annotations", "derived", "emoji", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    given = parser.parse_args()
    codes = given.languages.split(",")
    sides = split(read_emoji(given.annotations, given.derived, given.emoji, codes))
    for name, emoji in zip(("names", "train"), sides, strict=True):
        (given.output / f"{name}.csv.gz").write_bytes(table(emoji, codes))
        asked = sum(bool(each.keywords) for each in emoji)
        print(f"{name}.csv.gz: {len(emoji):,} emoji, {asked:,} of them with a question")


if __name__ == "__main__":
    main()
