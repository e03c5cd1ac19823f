"""``mlbench fuse``: run files fused into one, or one for each language."""

from __future__ import annotations

import argparse
import gzip
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.commands.options import positive, shared
from mlbench.commands.output import print_json
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError, first_faults
from mlbench.common.files import write_atomically
from mlbench.common.progress import Step
from mlbench.evaluation.processes import in_processes
from mlbench.runs.fusing import Fusion, fuse_runs, fused_lines
from mlbench.runs.patterns import PASSAGE, QUERY, filled, matching_files, placeholders
from mlbench.runs.reading import read_run
from mlbench.runs.writing import GZIP_LEVEL

METHODS = ("rrf", "isr", "log_isr", "logn_isr", "rbc", "bordafuse", "w_bordafuse", "condorcet",
           "w_condorcet", "sum", "wsum", "mixed", "max", "min", "med", "anz", "mnz", "gmnz",
           "wmnz")  # fmt: skip
"""Methods of ranx that need no judgements."""
MOST_WORKERS = 8
"""Files that are fused at once, as each holds its runs in memory."""
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
    shared(parser, "--threads", help="files that are fused at once (default: one a processor)")
    shared(parser, "--json", "--quiet")


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
    jobs = []
    for key in sorted(found[0]):
        path = Path(filled(args.output, dict(zip((QUERY, PASSAGE), key, strict=True))))
        runs = tuple(files[key] for files in found)
        if any(path.resolve() == run.resolve() for run in runs):
            raise UsageError(Fault("--output", f"{path} is one of the runs", "another file"))
        jobs.append(Job(runs, path, fusion, args.depth, tag))
    written: dict[int, dict[str, Any]] = {}
    workers = min(args.threads, MOST_WORKERS)
    with Step("fusing", sum(job.size for job in jobs), "", quiet=args.quiet) as step:
        for number, done in in_processes(fuse_files, jobs, workers):
            written[number] = done
            step.advance(jobs[number].size)
            step.say(f"{len(written)} of {plural(len(jobs), 'file')}")
    ordered = [written[number] for number in range(len(jobs))]
    if args.json:
        print_json(ordered)
        return 0
    for row in ordered:
        counts = f"{plural(row['queries'], 'query', 'queries')}, {plural(row['passages'], 'line')}"
        print(f"{row['file']}: {counts}, {tag} of {plural(len(found), 'run')}")
    return 0


class Job(NamedTuple):
    """The runs of one language or pair of languages, and the file that they are fused into."""

    runs: tuple[Path, ...]
    output: Path
    fusion: Fusion
    depth: int
    tag: str

    @property
    def size(self) -> int:
        """The bytes to be read."""
        return sum(run.stat().st_size for run in self.runs)


def fuse_files(job: Job) -> dict[str, Any]:
    """Fuse some runs, write the file, and return what it holds."""
    ranked = fuse_runs([read_run(run) for run in job.runs], job.fusion, job.depth)
    content = "".join(fused_lines(ranked, job.tag)).encode()
    packed = gzip.compress(content, GZIP_LEVEL, mtime=0) if job.output.suffix == ".gz" else content
    write_atomically(job.output, packed)
    count = sum(map(len, ranked.values()))
    return {"file": str(job.output), "queries": len(ranked), "passages": count}


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
