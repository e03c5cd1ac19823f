"""``mlbench fuse``: run files fused into one, or one for each language."""

from __future__ import annotations

import argparse
import gzip
from argparse import Namespace
from pathlib import Path

from mlbench.commands.options import positive, shared
from mlbench.commands.output import print_json
from mlbench.common.errors import DataError, Fault, UsageError, first_faults
from mlbench.common.files import write_atomically
from mlbench.runs.fusing import Fusion, fuse_runs, fused_lines
from mlbench.runs.reading import PASSAGE, QUERY, filled, matching_files, placeholders, read_run

METHODS = ("rrf", "isr", "log_isr", "logn_isr", "rbc", "bordafuse", "w_bordafuse", "condorcet",
           "w_condorcet", "sum", "wsum", "mixed", "max", "min", "med", "anz", "mnz", "gmnz",
           "wmnz")  # fmt: skip
"""Methods of ranx that need no judgements."""
NORMS = ("min-max", "max", "sum", "rank", "zmuv", "borda", "none")


def parameter(text: str) -> tuple[str, float]:
    """Parse NAME=NUMBER."""
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER, such as k=60")


def weights(text: str) -> tuple[float, ...]:
    """Parse numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers such as 0.3,0.7") from None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fuse`."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run files, or patterns with the same placeholders"
    )
    parser.add_argument(
        "--method", choices=METHODS, default="rrf", help="how to fuse (default: %(default)s)"
    )
    parser.add_argument(
        "--norm", choices=NORMS,
        help="for methods that use scores: how scores are normalised first (default: min-max)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=weights, metavar="W,W,...",
        help="one weight for each run, for wsum, mixed, wmnz, w_bordafuse and w_condorcet",
    )  # fmt: skip
    parser.add_argument(
        "--param", type=parameter, action="append", default=[], metavar="NAME=NUMBER",
        help="a parameter: k of rrf (default 60), sigma of logn_isr (default 0.01), gamma of gmnz, "
        "or phi of rbc",
    )  # fmt: skip
    parser.add_argument(
        "--depth", type=positive, default=1000, metavar="K",
        help="write at most K passages of each query (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--tag", default="", metavar="TAG", help="the tag in the last column (default: the method)"
    )
    shared(
        parser, "--output", type=str, default=None, required=True, metavar="FILE",
        help="the TREC run to write, with the placeholders of RUN; packed if its name ends in .gz",
    )  # fmt: skip
    shared(parser, "--json")


def fuse(args: Namespace) -> int:
    """Fuse the files of each language, and write one run for each."""
    fusion = Fusion(args.method, args.norm, dict(args.param), args.weights)
    fusion.check(len(args.runs))
    tag = args.tag or args.method
    if len(tag.split()) != 1:
        raise UsageError(Fault("--tag", f"{tag!r} holds a blank", "one word"))
    names = placeholders(args.runs[0])
    for given, pattern in [*(("RUN", run) for run in args.runs[1:]), ("--output", args.output)]:
        if placeholders(pattern) != names:
            expected = f"the placeholders of {args.runs[0]}"
            raise UsageError(Fault(given, f"{pattern} has other placeholders", expected))
    found = [matching_files(pattern) for pattern in args.runs]
    _refuse_other_names(args.runs, found)
    written = []
    for key in sorted(found[0]):
        ranked = fuse_runs([read_run(files[key]) for files in found], fusion, args.depth)
        path = Path(filled(args.output, dict(zip((QUERY, PASSAGE), key, strict=True))))
        if any(path.resolve() == files[key].resolve() for files in found):
            raise UsageError(Fault("--output", f"{path} is one of the runs", "another file"))
        content = "".join(fused_lines(ranked, tag)).encode()
        packed = gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
        write_atomically(path, packed)
        count = sum(map(len, ranked.values()))
        written.append({"file": str(path), "queries": len(ranked), "passages": count})
        if not args.json:
            print(f"{path}: {len(ranked):,} queries, {count:,} lines, {tag} of {len(found)} runs")
    if args.json:
        print_json(written)
    return 0


def _refuse_other_names(patterns: list[str], found: list[dict[tuple[str, str], Path]]) -> None:
    """Raise DataError where a pattern has no file for languages that another has."""
    every = set().union(*found)
    faults = [
        Fault(pattern, "no file for " + "-".join(filter(None, key)), "the languages of all runs")
        for pattern, files in zip(patterns, found, strict=True)
        for key in sorted(every - files.keys())
    ]
    if faults:
        raise DataError(*first_faults(faults))
