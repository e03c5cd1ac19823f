"""``mlbench verify``: an entry's table held against texts that are encoded again."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser, Namespace

from mlbench.commands.options import add_model_options, model_options, positive, shared
from mlbench.common.errors import Fault, UsageError
from mlbench.evaluation.loading import load_collection
from mlbench.evaluation.options import Options
from mlbench.evaluation.tasks import load_task
from mlbench.leaderboard.verifying.verification import terminal_verification, verification_json
from mlbench.leaderboard.verifying.verify import Request, read_subject, usual_queries
from mlbench.leaderboard.verifying.verify import verify as verified
from mlbench.models.objects import load_model


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `verify`."""
    shared(parser, "entry", help="the folder of an entry or of a report")
    shared(parser, "--model", required=True)
    shared(parser, "--task", help="the task's name or file (default: the entry's)")
    shared(parser, "--data-dir", "--offline")
    parser.add_argument(
        "--sample", type=positive, metavar="N",
        help="how many queries to encode again (default: 200; of a task of pairs of languages, 10 "
        "for each direction of each pair if that is more)",
    )  # fmt: skip
    parser.add_argument(
        "--passages", type=positive, default=100, metavar="N",
        help="how many passages of each language (of a task of pairs, of each pair in each of its "
        "languages) to encode again, in addition to the relevant ones (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the sample (default: a random one, which is printed)",
    )
    parser.add_argument(
        "--full", action="store_true", help="run the whole task again and compare all counts"
    )
    shared(parser, "--threads", "--json", "--quiet")
    add_model_options(parser)


def verify(args: Namespace) -> int:
    """Verify an entry or a report; 6 where it disagrees, 3 where nothing can be concluded."""
    options = Options(
        data_dir=args.data_dir and args.data_dir.absolute(),
        offline=args.offline,
        model_options=model_options(args),
        cache=None,
        threads=args.threads,
        progress=not args.quiet,
        command=args.command_line,
    )
    seed = _seed(args.seed)
    subject = read_subject(args.entry)
    queries = args.sample or usual_queries(subject.ranks)
    request = Request(queries, args.passages, seed, args.full, options)
    task = load_task(args.task or subject.task.name)
    collection = load_collection(task, options)
    model = load_model(args.model, options.model_options)
    found = verified(subject, task, collection, model, request)
    if args.json:
        print(verification_json(found), end="")
    else:
        print(terminal_verification(found))
    return found.exit_code


def _seed(given: int | None) -> int:
    """Return the seed given, else one that nobody could foresee."""
    if given is None:
        return secrets.randbelow(2**32)
    if not 0 <= given < 2**53:
        raise UsageError(Fault("--seed", f"{given}", "a whole number from 0 to 2^53"))
    return given
