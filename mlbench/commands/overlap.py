"""`mlbench overlap`: how much of what a task evaluates stands in a training set."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from mlbench.commands.options import shared
from mlbench.commands.output import plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.errors import DataError
from mlbench.common.terminal import fill, printable
from mlbench.data.overlap_record import Overlap
from mlbench.data.task import IMAGE
from mlbench.evaluation.options import Options
from mlbench.evaluation.tasks import load_task
from mlbench.training.overlap import THRESHOLD, overlap
from mlbench.training.training_set import training_set

SHOWN = 5
"""Examples that are printed."""
LONGEST = 54
"""Characters of a text that are printed."""


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `overlap`."""
    parser.add_argument(
        "--data", required=True, metavar="TASK",
        help="the training set: a task's name or file, or ids of ir_datasets",
    )  # fmt: skip
    parser.add_argument(
        "--languages", metavar="CODES",
        help="the languages of the training set, such as de,en (default: all of the data)",
    )  # fmt: skip
    shared(
        parser, "--task", action="append", required=True,
        help="a task that is evaluated, its name or file; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=_threshold, default=THRESHOLD, metavar="SHARE",
        help="how similar a text is at least that is nearly a training text: the Jaccard "
        "similarity of trigrams of characters (default: %(default)s)",
    )  # fmt: skip
    shared(parser, "--data-dir", "--offline", "--json", "--quiet")
    shared(
        parser, "--strict",
        help="stop with exit code 3 if the training set holds anything that is evaluated",
    )  # fmt: skip


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number above 0, at most 1")
    return value


def run(args: Namespace) -> int:
    """Compare a training set with tasks, and print what they have in common."""
    options = Options(data_dir=args.data_dir, offline=args.offline, progress=not args.quiet)
    tasks = [load_task(task) for task in args.task]
    training = training_set(args.data, options, languages=args.languages)
    found = [overlap(training, task, options, threshold=args.threshold) for task in tasks]
    if args.json:
        print_json([each.values() for each in found])
    else:
        print("\n\n".join(map(overlap_text, found)))
    faults = [each.fault for each in found if each.fault]
    if args.strict and faults:
        raise DataError(*faults)
    return 0


def overlap_text(found: Overlap) -> str:
    """Return what was found, for a terminal."""
    sums = found.total("query"), found.total("passage")
    said = " and ".join(
        f"{count.exact + count.near:,} of {plural(count.texts, name)} ({count.share:.2%})"
        for count, name in zip(sums, ("question", "passage"), strict=True)
    )
    images = any(count.language == IMAGE for count in found.counts)
    lines = [
        fill(
            f"{found.training} ({plural(found.training_texts, 'distinct text')}) holds {said} of "
            f"{found.task} (version {found.version})."
        ),
        "",
        _table(found),
        "",
        fill(
            "Exact: the same text but for case, blanks and Unicode form. Near: at least "
            f"{found.threshold:g} similar, by the trigrams of characters that two texts share."
            + (" Of images, those are the same whose files have the same bytes." * images)
        ),
    ]
    longest = sorted(found.examples, key=lambda each: -len(each.text))[:SHOWN]
    if longest:
        lines.append("\nThe longest of them:")
    for each in longest:
        lines.append(f"  {each.language} {each.role}: {_short(each.text)}")
        if each.similarity < 1:
            lines.append(f"    {each.similarity:.2f} similar: {_short(each.training_text)}")
    return "\n".join(lines)


def _table(found: Overlap) -> str:
    counts = {(count.role, count.language): count for count in found.counts}
    rows: list[list[object]] = []
    for language in dict.fromkeys(count.language for count in found.counts):
        rows.append([language, *_cells([counts.get((r, language)) for r in ("query", "passage")])])
    rows.append(["all", *_cells([found.total("query"), found.total("passage")])])
    return plain_table(
        ["language", "questions", "exact", "near", "passages", "exact", "near"], rows
    )


def _cells(counts: list[object]) -> list[object]:
    return [
        "-" if count is None else getattr(count, name)
        for count in counts
        for name in ("texts", "exact", "near")
    ]


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
