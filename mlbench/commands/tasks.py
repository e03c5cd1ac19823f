"""``mlbench tasks``: what can be evaluated."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from mlbench.common.progress import Step
from mlbench.data.catalog import task_names
from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.locator import Found, Locator, MissingData
from mlbench.data.readers import in_shards, load_collection, stream_collection
from mlbench.data.task import Task
from mlbench.evaluation.tasks import load_task

MOST_FILES = 50
"""Files that are listed one by one; of more, their folders are."""


def tasks_list(args: Namespace) -> int:
    """List the built-in tasks."""
    from mlbench.commands.listings import plain_table

    tasks = [load_task(name) for name in task_names()]
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

    task = load_task(args.task)
    locator = Locator(args.data_dir, args.offline)
    collection: Collection | StreamedCollection
    if in_shards(task):
        collection = stream_collection(task, locator, absent=True)
    else:
        collection = load_collection(task, locator.of(task))
    counts = {setting: collection.query_counts(setting) for setting in task.settings()}
    if args.json:
        rows = [asdict(s) | {"queries": n, "excluded": x} for s, (n, x) in counts.items()]
        facts = {"notes": task.notes, "language_sets": task.language_sets}
        shown = {"task": task.name, **facts, "settings": rows}
        print(json.dumps(shown, indent=1, ensure_ascii=False))
        return 0
    print(task_page(task, collection, counts))
    return 0


def tasks_validate(args: Namespace) -> int:
    """Check a task file, and its data where it is at hand."""
    task = load_task(args.task)
    print(f"{task.path}: a valid task file; {len(task.settings())} settings")
    try:
        print(f"its data is sound: {_checked(task, Locator(args.data_dir, offline=True))}")
    except MissingData:
        if not task.source.urls:
            raise
        print(f"its data is not at hand and was not checked; `mlbench tasks fetch {args.task}`")
    return 0


def _checked(task: Task, locator: Locator) -> str:
    """Read all of a task's data, shard by shard where it has shards; return what there is."""
    if in_shards(task):
        return _checked_shards(task, stream_collection(task, locator))
    collection = load_collection(task, locator.of(task))
    sizes = f"{len(collection.queries):,} queries, {len(collection.passages):,} passages"
    judged = len(collection.qrels.relevance)
    return f"{sizes}, {judged:,} judgements, digest {collection.digest[:16]}"


def _checked_shards(task: Task, collection: StreamedCollection) -> str:
    judged = collection.judgements
    languages = (collection.languages[code] for code in judged.passage_language.tolist())
    wanted = set(zip(languages, judged.passage_ids, strict=True))
    passages, missing = 0, set(wanted)
    with Step(f"{task.name}: reading", len(collection.shards), "shards") as step:
        for shard in collection.shards:
            for batch in shard.passages():
                passages += len(batch)
                missing -= {(shard.language, passage.id) for passage in batch}
            step.advance(1)
    sizes = f"{len(collection.queries):,} queries, {passages:,} passages"
    lacking = f", of which {len(missing):,} are not there" if missing else ""
    return f"{sizes}, {len(wanted):,} judged passages{lacking}"


def tasks_fetch(args: Namespace) -> int:
    """Download the data of tasks into the cache, or say where it was found."""
    from mlbench.commands.listings import plain_table

    locator = Locator(args.data_dir, args.offline)
    for task in [load_task(name) for name in args.tasks]:
        found = locator.fetch(task, quiet=False)
        print(f"{task.name}: {task.licence}")
        if len(found) > MOST_FILES:
            folders: dict[str, list[Found]] = {}
            for file in found:
                folders.setdefault(str(file.path.parent), []).append(file)
            rows = [
                [name, len(files), sum(file.size for file in files), files[0].origin]
                for name, files in folders.items()
            ]
            print(plain_table(["folder", "files", "bytes", "from"], rows))
        else:
            rows = [[str(f.path), f.size, f.origin] for f in found]
            print(plain_table(["file", "bytes", "from"], rows))
    return 0
