"""``mlbench models``: what can be evaluated with, and whether it keeps the contract."""

from __future__ import annotations

import json
from argparse import Namespace


def models_list(args: Namespace) -> int:
    """List the models that can be named."""
    from mlbench.commands.listings import plain_table
    from mlbench.models.registry import model_rows

    rows = model_rows()
    if args.json:
        print(json.dumps([row._asdict() for row in rows], indent=1, ensure_ascii=False))
        return 0
    cells = [[row.spec, row.origin, row.help] for row in rows]
    print(plain_table(["model", "from", "what it is"], cells))
    return 0


def models_check(args: Namespace) -> int:
    """Test a model against the adapter contract; exit code 4 if it fails."""
    from mlbench.commands.listings import plain_table
    from mlbench.common.errors import ModelError
    from mlbench.models.contract import check_adapter
    from mlbench.models.registry import load_adapter

    results = check_adapter(load_adapter(args.model))
    failed = sum(not result.passed for result in results)
    if args.json:
        print(json.dumps([result._asdict() for result in results], indent=1, ensure_ascii=False))
    else:
        rows = [["ok" if r.passed else "FAILED", r.name, r.detail] for r in results]
        print(plain_table(["", "check", "found"], rows))
        print(f"\n{args.model}: {len(results) - failed} checks passed, {failed} failed")
    return ModelError.exit_code if failed else 0
