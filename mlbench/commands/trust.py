"""``mlbench trust``: files that may ask for code to be run, listed, added and taken back."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.commands.output import print_json
from mlbench.common.counts import agreeing
from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import read_toml
from mlbench.common.trust import Demand, foreign_settings, read_trusted, trust, withdraw
from mlbench.comparing.config import demands_of as demands_of_configuration
from mlbench.models.endpoint.options import SECRET, read_endpoint_file
from mlbench.models.endpoint.options import demands_of as demands_of_endpoint
from mlbench.models.neural.options import TRUST, read_model_file
from mlbench.models.neural.options import demands_of as demands_of_model
from mlbench.models.reranking.options import demands_of as demands_of_reranker
from mlbench.models.reranking.options import names_a_server

EXPECTED = (
    "a model file, or a configuration of `mlbench check`, that asks for code to be run or for a "
    "secret to be sent"
)


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `trust`."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE",
        help="a model file, mlbench.toml or pyproject.toml (default: list the trusted files)",
    )  # fmt: skip
    parser.add_argument(
        "--withdraw", action="store_true", help="trust the files no longer; they may be gone"
    )
    shared(parser, "--json")


def change_trust(args: Namespace) -> int:
    """List what is trusted, or trust files or withdraw it."""
    if args.withdraw:
        if not args.files:
            raise UsageError(Fault("--withdraw", "given without a file", "the files, by name"))
        withdraw(args.files)
    elif args.files:
        wanted = [(file, _demands_of(file)) for file in args.files]
        faults = [
            Fault(str(file), "asks for nothing that needs trust", EXPECTED)
            for file, demands in wanted
            if not demands
        ]
        if faults:
            raise UsageError(*faults)
        trust(each for _, demands in wanted for each in demands)
        if not args.json:
            for _, demands in wanted:
                print("\n".join(map(_line, demands)))
        return 0
    known = read_trusted()
    if args.json:
        print_json([{"file": file, "fields": sorted(known[file])} for file in sorted(known)])
    else:
        lines = [f"{file}: {', '.join(sorted(known[file]))}" for file in sorted(known)]
        print("\n".join(lines) or "no file is trusted")
    return 0


def _line(demand: Demand) -> str:
    count = len(demand.code)
    files = agreeing(count, "the file", f"one of the {count} files")
    code = f", or {files} of code it names" if count else ""
    where = f"{demand.file}, field {demand.field}" if demand.field else str(demand.file)
    return f"{where}: {demand.what}: trusted until it changes{code}"


def _demands_of(file: Path) -> list[Demand]:
    """Return what a file asks for, whatever kind of file it is."""
    if settings := foreign_settings(file):
        return settings
    table = read_toml(file, EXPECTED, UsageError)
    names = {key.replace("-", "_") for key in table}
    if SECRET in names and names_a_server(file):
        return demands_of_reranker(file)
    if SECRET in names:
        return demands_of_endpoint(file, read_endpoint_file(file))
    if names & {*TRUST, "path"}:
        return demands_of_model(file, read_model_file(file))
    return demands_of_configuration(file)
