"""``mlbench models``: what can be evaluated with, and whether it keeps the contract."""

from __future__ import annotations

import sys
import textwrap
from argparse import ArgumentParser, Namespace

from mlbench.commands.options import add_model_options, model_options, shared
from mlbench.commands.output import WIDTH, plain_table, print_json
from mlbench.common.errors import ModelError
from mlbench.common.progress import Step
from mlbench.models.contract import CHECKS, SHORT_TEXTS, CheckResult, check_adapter
from mlbench.models.inputs import about_keeping
from mlbench.models.objects import load_model
from mlbench.models.registry import list_models

NAME_WIDTH = 2 + max(len(name) for name, _ in CHECKS)


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
    if not args.json:
        print(
            f"{len(CHECKS)} checks encode {SHORT_TEXTS} short texts and two long ones "
            f"with {args.model}",
            file=sys.stderr,
        )
    with Step("loading the model", 1, "model", quiet=args.json, brief=True):
        model = load_model(args.model, model_options(args))
    results = []
    for result in check_adapter(model):
        results.append(result)
        if not args.json:
            print(_row(result), flush=True)
    failed = sum(not result.passed for result in results)
    if args.json:
        print_json([result._asdict() for result in results])
    else:
        print(f"\n{args.model}: {len(results) - failed} checks passed, {failed} failed")
        print(f"{model.name}: {about_keeping(model)}")
    return ModelError.exit_code if failed else 0


def _row(result: CheckResult) -> str:
    """Return a result as a row that stands under the others, whatever comes after it."""
    mark = "ok" if result.passed else "FAILED"
    start = f"{mark:<8}{result.name:<{NAME_WIDTH}}"
    lines = [
        line
        for part in result.detail.splitlines()
        for line in textwrap.wrap(part, WIDTH - len(start), break_long_words=False)
    ]
    return start + f"\n{' ' * len(start)}".join(lines)
