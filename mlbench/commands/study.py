"""``mlbench study``: train over a grid with several seeds, evaluate, and say what was found."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlbench.commands.options import check_columns, part, positive, shared, write_figures
from mlbench.commands.output import plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.terminal import fill
from mlbench.evaluation.options import Options
from mlbench.training.base import check_libraries
from mlbench.training.config import from_text
from mlbench.training.studies.estimate import estimate, planned_steps
from mlbench.training.studies.page import study_text, write_study
from mlbench.training.studies.paper_figures import study_figures
from mlbench.training.studies.plan import Study, load_study, part_of
from mlbench.training.studies.report import STUDY_FILE, study_report
from mlbench.training.studies.run import Job, carry_out, done_of, jobs, open_folder, trainings
from mlbench.training.studies.work import OVERLAP_FILE, check_arms, measured_overlap, work_with


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `study`."""
    parser.add_argument(
        "study", metavar="STUDY",
        help="a study that comes with mlbench (quick, ratio, steps, languages, batch-size, "
        "proportions, images, image-proportions), or the path of a study file",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="changes", type=_change,
        help="train with another value of a field than the study says, such as base=xlm-roberta-"
        "base or, of a field that is varied, 'alpha=[0, 1]'; may be repeated",
    )  # fmt: skip
    shared(
        parser, "--task", action="append", default=[],
        help="evaluate on this task instead of the study's; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=_seeds, metavar="N,N,...", help="other seeds than the study's"
    )
    shared(
        parser, "--output", default=Path("study-results"),
        help="keep the models, the reports and the page in FOLDER/<study> (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=part, metavar="I/N",
        help="do only part I of N of the models, counted from 1; other runs do the rest",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="where models are trained: here, one after the other, or on a Ray cluster",
    )  # fmt: skip
    parser.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (default: own)")
    parser.add_argument("--workers", type=positive, metavar="N", help="models at once, on Ray")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be trained, and for how long"
    )
    parser.add_argument(
        "--report", action="store_true", help="train nothing; make the report of what is done"
    )
    shared(parser, "--figures", "--columns", "--data-dir", "--offline", "--json", "--quiet")
    shared(
        parser, "--strict",
        help="stop with exit code 3 if a training set holds anything that is evaluated",
    )  # fmt: skip


def run(args: Namespace) -> int:
    """Carry a study out as far as it is not done, and report it."""
    columns = check_columns(args)
    study = load_study(args.study, dict(args.changes), tasks=args.task or None, seeds=args.seeds)
    options = Options(
        data_dir=args.data_dir, offline=args.offline, strict=args.strict, progress=False
    )
    folder = args.output / study.name
    check_arms(study, options, data=args.dry_run)
    place = folder.absolute()
    work = work_with(options, args.command_line, place / OVERLAP_FILE)
    every = list(jobs(study, place, work))
    todo = part_of(every, args.shard)
    if args.dry_run:
        _show_plan(study, folder, every, args)
        return 0
    open_folder(study, folder)
    if args.engine == "local" and not args.report and not all(job.done for job in todo):
        check_libraries()  # before what is evaluated is looked for in the training text
    shown = dataclasses.replace(options, progress=not args.quiet)
    warnings = measured_overlap(study, folder, shown)
    for warning in warnings:
        print(f"mlbench: warning: {warning}", file=sys.stderr)
    if not args.report:
        _carry_out(todo, study.name, args)
        done, count = done_of(every)
        if done < count:
            print(_left(done, count, args))
            return 0
    report = study_report(study, folder, warnings)
    page = write_study(report, folder)
    if args.figures is not None:
        write_figures(folder, study_figures(report, args.figures, columns))
    if args.json:
        print((folder / STUDY_FILE).read_text(encoding="utf-8"), end="")
    else:
        print(f"{study_text(report)}\n\npage: {page}")
    return 0


def _carry_out(todo: Sequence[Job], name: str, args: Namespace) -> None:
    if args.engine == "ray":
        from mlbench.training.studies.on_ray import carry_out_on_ray

        carry_out_on_ray(todo, name, address=args.address, workers=args.workers, quiet=args.quiet)
    else:
        carry_out(todo, name, quiet=args.quiet)


def _left(done: int, count: int, args: Namespace) -> str:
    number, parts = args.shard or (1, 1)
    return fill(
        f"Part {number} of {parts} is done; {done} of all {plural(count, 'model')} are. When the "
        "others are, in this folder, the same command without --shard makes the report."
    )


def _show_plan(study: Study, folder: Path, every: Sequence[Job], args: Namespace) -> None:
    done, count = done_of(every)
    known = trainings(study, folder.absolute())
    rows = [
        {
            "arm": arm.label,
            "models": len(study.form.seeds),
            "done": len(known.get(arm.label, ())),
            "steps": planned_steps(arm.config),
        }
        for arm in study.arms
    ]
    left = estimate(study, known)
    if args.json:
        told = {"study": study.name, "arms": rows, "models": count, "done": done}
        print_json(told | {"seconds_left": left.seconds, "estimated_from": left.source})
        return
    print(fill(study.form.question.strip()) + "\n")
    cells = [["-" if value is None else value for value in row.values()] for row in rows]
    print(plain_table([*rows[0]], cells))
    tasks = ", ".join(study.form.tasks)
    print("\n" + fill(
        f"{plural(len(study.cells), 'model')} would be trained and evaluated on {tasks}, "
        f"beside {plural(count - len(study.cells), 'baseline')}; {done} of these {count} are done. "
        f"{left.words}"
    ))  # fmt: skip


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    name = name.strip().replace("-", "_")
    kept = value if name.endswith("_prompt") else value.strip()  # a prompt may end with a blank
    return name, from_text(name, kept)


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len({*parts}) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of distinct whole numbers")
    return tuple(map(int, parts))
