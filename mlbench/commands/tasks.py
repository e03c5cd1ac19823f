"""``mlbench tasks``: what can be evaluated."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from mlbench.catalog import find_task, task_names
from mlbench.files import Locator, MissingData
from mlbench.readers import load_collection


def tasks_list(args: Namespace) -> int:
    """List the built-in tasks."""
    from mlbench.commands.listings import plain_table

    tasks = [find_task(name) for name in task_names()]
    if args.json:
        keys = ("name", "version", "title", "languages", "licence")
        rows = [{key: getattr(task, key) for key in keys} for task in tasks]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    rows_ = [[t.name, len(t.languages), len(t.settings()), t.title] for t in tasks]
    print(plain_table(["task", "languages", "settings", "title"], rows_))
    print("\n`mlbench tasks show TASK` lists the settings; a task can also be a file of your own.")
    return 0


def tasks_show(args: Namespace) -> int:
    """Show a task and every setting of it."""
    from mlbench.commands.listings import task_page

    task = find_task(args.task)
    collection = load_collection(task, Locator(args.data_dir, args.offline).of(task))
    counts = {setting: collection.query_counts(setting) for setting in task.settings()}
    if args.json:
        rows = [asdict(s) | {"queries": n, "excluded": x} for s, (n, x) in counts.items()]
        print(json.dumps({"task": task.name, "settings": rows}, indent=1, ensure_ascii=False))
        return 0
    print(task_page(task, collection, counts))
    return 0


def tasks_validate(args: Namespace) -> int:
    """Check a task file, and its data where it is at hand."""
    task = find_task(args.task)
    print(f"{task.path}: a valid task file; {len(task.settings())} settings")
    try:
        collection = load_collection(task, Locator(args.data_dir, offline=True).of(task))
    except MissingData:
        if task.source.url is None:
            raise
        print(f"its data is not at hand and was not checked; `mlbench tasks fetch {task.name}`")
        return 0
    sizes = f"{len(collection.queries):,} queries, {len(collection.passages):,} passages"
    judged = len(collection.qrels.relevance)
    print(f"its data is sound: {sizes}, {judged:,} judgements, digest {collection.digest[:16]}")
    return 0


def tasks_fetch(args: Namespace) -> int:
    """Download the data of tasks into the cache, or say where it was found."""
    from mlbench.commands.listings import plain_table

    locator = Locator(args.data_dir, args.offline)
    for task in [find_task(name) for name in args.tasks]:
        rows = [[str(f.path), f"{f.size:,}", f.origin] for f in locator.fetch(task)]
        print(f"{task.name}: {task.licence}")
        print(plain_table(["file", "bytes", "from"], rows))
    return 0
