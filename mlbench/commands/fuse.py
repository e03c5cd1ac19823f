"""``mlbench fuse``: run files fused into one, or one for each language."""

from __future__ import annotations

import gzip
import json
from argparse import Namespace
from pathlib import Path

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically


def fuse(args: Namespace) -> int:
    """Fuse the files of each language, and write one run for each."""
    from mlbench.runs.fusing import Fusion, fuse_runs, fused_lines
    from mlbench.runs.naming import PASSAGE, QUERY, filled, matching_files, placeholders
    from mlbench.runs.reading import read_run

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
        print(json.dumps(written, indent=1, ensure_ascii=False))
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
        raise DataError(*faults[:20])
