"""`mlbench train`: train a retriever on batches that mix languages."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.commands.output import plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.progress import duration
from mlbench.common.terminal import fill
from mlbench.data.task import IMAGE
from mlbench.evaluation.options import Options
from mlbench.training.config import SETTINGS, from_text, train_config
from mlbench.training.processes import Processes
from mlbench.training.record import RECORD_FILE, TrainingRecord
from mlbench.training.trainer import Opened, train

SHOWN_BATCHES = 1000
"""Batches of a plan that a dry run draws."""


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `train`: the file, a field of the configuration each, and how to run."""
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG",
        help="a TOML file with the configuration; an option goes before what the file says",
    )  # fmt: skip
    group = parser.add_argument_group("the configuration (see docs/training.md)")
    for row in SETTINGS:
        group.add_argument(row.flag, metavar=row.metavar, help=row.help)
    shared(parser, "--data-dir", "--offline", "--json", "--quiet")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace another training in the folder"
    )
    shared(
        parser, "--strict",
        help="stop with exit code 3 if the training text holds anything of the task of --evaluate",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true",
        help="read the data, draw the first batches of the plan, and train nothing",
    )  # fmt: skip


def run(args: Namespace) -> int:
    """Train, or say what would be trained."""
    texts = {row.name: getattr(args, row.name) for row in SETTINGS}
    given = {name: from_text(name, text) for name, text in texts.items() if text is not None}
    config = train_config(args.config, given)
    quiet, strict = args.quiet, args.strict
    options = Options(
        data_dir=args.data_dir, offline=args.offline, progress=not quiet, strict=strict
    )
    if args.dry_run:
        _show_plan(Opened.of(config, options), args)
        return 0
    record = train(config, options, overwrite=args.overwrite, command=args.command_line)
    if not Processes.here().first:
        return 0
    if args.json:
        print_json(_values(record))
    else:
        print(_words(record))
    return 0


def _values(record: TrainingRecord) -> dict[str, object]:
    return dataclasses.asdict(record) | {"folder": str(record.folder)}


def _words(record: TrainingRecord) -> str:
    if record.done_before:
        done = fill(
            f"This training was done before, on {record.date[:10]}; nothing was trained. The same "
            "command with --overwrite trains the model anew."
        )
        return f"{done}\nmodel: {record.folder}\nrecord: {record.folder / RECORD_FILE}"
    first, last = (record.loss[0].loss, record.loss[-1].loss) if record.loss else (0.0, 0.0)
    lines = [
        f"{plural(record.steps, 'step')} of {plural(record.plan['size'], 'pair')} in "
        f"{duration(record.seconds)}: "
        f"{record.pairs_per_second:,.0f} pairs a second, loss {first:.3f} to {last:.3f}.",
        *(f"Note: {note}" for note in record.notes),
        f"model: {record.folder}",
        f"record: {record.folder / RECORD_FILE}",
    ]
    return "\n".join(lines)


def _show_plan(opened: Opened, args: Namespace) -> None:
    config, plan = opened.config, opened.plan
    steps = config.whole_steps
    drawn = min(steps or SHOWN_BATCHES, SHOWN_BATCHES)
    batches = [plan[number] for number in range(drawn)]
    kinds = Counter(str(batch.kind) for batch in batches)
    rows = opened.data.counts(plan.languages)
    beside = opened.beside and opened.beside[0].name
    if args.json:
        told: dict[str, object] = {"steps": steps, "seconds": config.seconds}
        told |= {
            "plan": plan.describe(),
            "data": opened.data.name,
            "rows": rows,
            "drawn": dict(kinds),
        }
        told |= {"text_data": beside, "text_share": config.text_share if beside else None}
        print_json(told)
        return
    long = plural(steps, "step") if steps else f"{config.seconds:g} s"
    print(
        f"{config.base} is trained on {opened.data.name} for {long} of {plural(plan.size, 'pair')}."
    )
    if beside:
        print(f"{config.text_share:.0%} of the batches are of {beside}, which are drawn by chance.")
    print()
    shares = dataclasses.asdict(plan.proportions)
    table = [[kind, f"{share:.0%}", kinds[kind]] for kind, share in shares.items() if share]
    print(plain_table(["batches", "planned", f"among the first {drawn:,}"], table))
    texts = [code for code in plan.languages if code != IMAGE]
    images = " and images" if len(texts) < len(plan.languages) else ""
    print(
        f"\nThe data has {plural(sum(rows.values()), 'pair')} in "
        f"{plural(len(texts), 'language')}{images}: "
        f"{_each(rows)}."
    )


def _each(rows: dict[str, int]) -> str:
    """Return in words how many pairs each pair of languages has."""
    least, most = min(rows, key=rows.__getitem__), max(rows, key=rows.__getitem__)
    if rows[least] == rows[most]:
        return f"{rows[least]:,} in each pair of languages"
    return f"from {rows[least]:,} ({least}) to {rows[most]:,} ({most}) a pair of languages"
