"""``mlbench models``: what can be evaluated with, and whether it keeps the contract."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mlbench.commands.options import add_model_options, model_options, shared
from mlbench.commands.output import plain_table, print_json
from mlbench.common.errors import ModelError
from mlbench.models.contract import check_adapter
from mlbench.models.registry import list_models, load_adapter


def list_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `models list`."""
    shared(parser, "--json")


def show_models(args: Namespace) -> int:
    """List the models that can be named."""
    rows = list_models()
    if args.json:
        print_json([row._asdict() for row in rows])
        return 0
    cells = [[row.spec, row.origin, row.help] for row in rows]
    print(plain_table(["model", "from", "what it is"], cells))
    return 0


def check_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `models check`."""
    shared(parser, "model", "--json", "--offline")
    add_model_options(parser)


def check(args: Namespace) -> int:
    """Test a model against the adapter contract; exit code 4 if it fails."""
    results = check_adapter(load_adapter(args.model, model_options(args)))
    failed = sum(not result.passed for result in results)
    if args.json:
        print_json([result._asdict() for result in results])
    else:
        rows = [["ok" if r.passed else "FAILED", r.name, r.detail] for r in results]
        print(plain_table(["", "check", "found"], rows))
        print(f"\n{args.model}: {len(results) - failed} checks passed, {failed} failed")
    return ModelError.exit_code if failed else 0
