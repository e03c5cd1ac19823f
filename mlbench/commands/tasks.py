"""``mlbench tasks``: what can be evaluated."""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.commands.output import WIDTH, fact_lines, plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.progress import Step
from mlbench.common.sizes import short_size
from mlbench.common.terminal import fill
from mlbench.data.absent import absent_warnings
from mlbench.data.catalog import list_tasks
from mlbench.data.collection import Collection, Questions
from mlbench.data.corpus import StreamedCollection, without_absent
from mlbench.data.locations import DataFile
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import READERS, in_shards
from mlbench.data.task import Group, Kind, Setting, Task
from mlbench.evaluation.scan import wanted_passages
from mlbench.evaluation.suites import load_suite
from mlbench.evaluation.tasks import load_task
from mlbench.reports.tables import sizes_table
from mlbench.reports.words import MISSING, name_of_all

MOST_FILES = 50
"""Files that are listed one by one; of more, their folders are."""


def list_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `tasks list`."""
    shared(parser, "--data-dir", "--json")


def show_tasks(args: Namespace) -> int:
    """List the built-in tasks by group, and say whether their data is on this machine."""
    here = data_at_hand(args.data_dir)
    if args.json:
        keys = ("name", "version", "title", "group", "languages", "licence")
        rows = [
            {key: getattr(task, key) for key in keys}
            | {"settings": len(task.settings())}
            | asdict(at_hand)
            for task, at_hand in here
        ]
        print_json(rows)
        return 0
    for group, heading in HEADINGS.items():
        of_group = [(task, at_hand) for task, at_hand in here if task.group == group]
        if of_group:
            print(f"{heading}\n\n{_list(of_group)}\n")
    said = (
        "Sizes are of the files on this machine. `mlbench tasks fetch TASK` gets the others, "
        "`mlbench tasks show TASK` lists the settings and says the licence in full. A task can "
        "also be a file of your own."
    )
    if not all(at_hand.files for _, at_hand in here):
        said += " Data marked ? is kept by the package ir_datasets."
    print(fill(said))
    return 0


HEADINGS = {
    Group.QUESTIONS: "Questions: the sentence or passage that answers them",
    Group.PARAGRAPHS: "Paragraphs: the paragraph that answers a question",
    Group.BITEXT: "Bitext: the translation of a sentence",
    Group.IMAGES: "Images: the picture of a caption, and the caption of a picture",
    Group.LARGE: "Large: collections that can be read shard by shard",
    Group.TRAINING: "Training: what a retriever can be trained on",
    None: "Others",
}
"""What the groups of tasks are, in the order in which they are listed."""


@dataclass(frozen=True)
class AtHand:
    """How many of a task's files are on this machine, of how many, and their bytes."""

    files: int
    files_here: int
    bytes_here: int

    @property
    def shown(self) -> str:
        """Whether the data is at hand, in a word."""
        if not self.files:
            return "?"
        return {0: "no", self.files: "yes"}.get(self.files_here, "part")


def data_at_hand(folder: Path | None) -> list[tuple[Task, AtHand]]:
    """Return how much of the data of each built-in task is on this machine; ``folder`` is that of
    ``--data-dir``. Raises UsageError if there is no such folder."""
    locator = Locator(folder, offline=True)
    tasks = [load_task(name) for name in list_tasks()]
    return [(task, _at_hand(locator.look(task))) for task in tasks]


def _at_hand(found: Sequence[DataFile | None]) -> AtHand:
    here = [file for file in found if file is not None]
    return AtHand(len(found), len(here), sum(file.size or 0 for file in here))


def _list(tasks: Iterable[tuple[Task, AtHand]]) -> str:
    """Return two lines a task: its name and figures, its title."""
    lines = [f"{'task':<24}{'languages':>9}{'settings':>10}{'size':>10}  {'data':<6}licence"]
    for task, at_hand in tasks:
        size = short_size(at_hand.bytes_here) if at_hand.files_here else "-"
        licence = textwrap.shorten(task.licence.partition(" (")[0], 19, placeholder="...")
        lines.append(
            f"{task.name:<23} {len(task.languages):>9}{len(task.settings()):>10,}{size:>10}"
            f"  {at_hand.shown:<6}{licence}"
        )
        lines.append(textwrap.fill(task.title, WIDTH, initial_indent="  ", subsequent_indent="  "))
    return "\n".join(lines)


def show_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `tasks show`."""
    shared(parser, "task", "--json", "--data-dir", "--offline")


def show(args: Namespace) -> int:
    """Show a task and every setting of it."""
    task = load_task(args.task)
    locator = Locator(args.data_dir, args.offline)
    collection: Collection | StreamedCollection
    if in_shards(task):
        collection = stream_collection(task, locator, absent=True)
    else:
        collection = read_collection(task, locator.of(task))
    counts = {setting: collection.query_counts(setting) for setting in task.settings()}
    if args.json:
        rows = [asdict(s) | {"queries": n, "excluded": x} for s, (n, x) in counts.items()]
        facts = {"notes": task.notes, "language_sets": task.language_sets}
        shown = {"task": task.name, **facts, "settings": rows}
        print_json(shown)
        return 0
    print(_page(task, collection, counts))
    print_warnings(collection)
    return 0


def validate_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `tasks validate`."""
    shared(parser, "task", "--data-dir", "--offline", "--strict")


def validate(args: Namespace) -> int:
    """Check a task file, and its data where it is at hand."""
    task = load_task(args.task)
    print(f"{task.path}: a valid task file; {plural(len(task.settings()), 'setting')}")
    try:
        locator = Locator(args.data_dir, offline=True)
        said, collection = _checked(task, locator, args.strict)
        print(f"its data is valid: {said}")
        print_warnings(collection)
    except MissingData:
        if not task.source.urls:
            raise
        print(f"its data was not found and not checked; `mlbench tasks fetch {args.task}` gets it")
    return 0


def print_warnings(collection: Questions) -> None:
    """Print what a reader of scores on a task's data must know."""
    for warning in absent_warnings(collection):
        print(fill(f"Warning: {warning}"))


def _checked(task: Task, locator: Locator, strict: bool) -> tuple[str, Questions]:
    """Read all of a task's data, shard by shard where it has shards; return what there is.

    Raises DataError where ``strict`` and the corpus lacks a judged passage.
    """
    if in_shards(task):
        return _checked_shards(task, stream_collection(task, locator), strict)
    collection = read_collection(task, locator.of(task), strict=strict)
    sizes = (
        f"{plural(len(collection.queries), 'query', 'queries')}, "
        f"{plural(len(collection.passages), 'passage')}"
    )
    judged = len(collection.qrels.relevance)
    return f"{sizes}, {plural(judged, 'judgement')}, digest {collection.digest[:16]}", collection


def _checked_shards(
    task: Task, collection: StreamedCollection, strict: bool
) -> tuple[str, Questions]:
    wanted = wanted_passages(collection)
    passages = 0
    present: dict[str, set[str]] = {language: set() for language in collection.languages}
    with Step(f"{task.name}: reading", len(collection.shards), "shards") as step:
        for shard in collection.shards:
            for batch in shard.passages():
                passages += len(batch)
                present[shard.language] |= {
                    passage.id for passage in batch if passage.id in wanted[shard.language]
                }
            step.advance(1)
    collection = without_absent(collection, present)
    if strict and collection.absent is not None:
        collection.absent.refuse()
    sizes = f"{plural(len(collection.queries), 'query', 'queries')}, {plural(passages, 'passage')}"
    lacking = len(set(collection.absent.passages)) if collection.absent else 0
    missing = f", of which {lacking:,} are missing" if lacking else ""
    return (
        f"{sizes}, {plural(sum(map(len, wanted.values())), 'judged passage')}{missing}",
        collection,
    )


def fetch_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `tasks fetch`."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="a task's name or file")
    parser.add_argument("--suite", metavar="SUITE", help="the tasks of a suite: its name or file")
    shared(parser, "--data-dir", "--offline")


def fetch(args: Namespace) -> int:
    """Download the data of tasks into the cache, or say where it was found."""
    locator = Locator(args.data_dir, args.offline)
    tasks = [load_task(name) for name in args.tasks]
    if args.suite is not None:
        tasks += [each.task for each in load_suite(args.suite).tasks if each.task not in tasks]
    if not tasks:
        raise UsageError(Fault("tasks fetch", "no task", "a task's name or file, or --suite"))
    for task in tasks:
        found = locator.fetch(task, quiet=False)
        print(f"{task.name}: {task.licence}")
        if READERS[task.source.reader].by_id:
            _fetch_ids(task, args.offline)
        elif len(found) > MOST_FILES:
            folders: dict[str, list[DataFile]] = {}
            for file in found:
                folders.setdefault(str(Path(file.where).parent), []).append(file)
            rows = [
                [name, len(files), sum(file.size or 0 for file in files), files[0].origin]
                for name, files in folders.items()
            ]
            print(plain_table(["folder", "files", "bytes", "from"], rows))
        else:
            rows = [[f.where, f.size, f.origin] for f in found]
            print(plain_table(["file", "bytes", "from"], rows))
    return 0


def _fetch_ids(task: Task, offline: bool) -> None:
    """Let ir_datasets download the data of a task, and say where it is."""
    from mlbench.data.readers.irds import fetch as fetch_ids

    if offline:
        expected = "a run without --offline"
        found = "its data is kept by the package ir_datasets, which knows nothing of --offline"
        raise UsageError(Fault(f"task {task.name!r}", found, expected))
    print(f"its data is in {fetch_ids(task)}, where the package ir_datasets keeps it")


def _page(
    task: Task,
    collection: Collection | StreamedCollection,
    counts: Mapping[Setting, tuple[int, int]],
) -> str:
    """Return a task's facts and a matrix of its settings: query language x pool, with queries."""
    facts = [
        ("task", f"{task.name}, version {task.version}"),
        ("title", task.title),
        ("text", task.text),
        ("licence", task.licence),
        ("measures", ", ".join(task.measures)),
        ("citation", task.citation),
        ("file", str(task.path)),
        ("digest", collection.digest if isinstance(collection, Collection) else ""),
        *(("note", note) for note in task.notes),
        *((name, " ".join(codes)) for name, codes in task.language_sets.items()),
    ]
    sizes = _sizes(collection)
    if isinstance(collection, Collection) and collection.pairs:
        sizes = sizes_table(collection.sizes()).text()
    return "\n\n".join([fact_lines(facts), sizes, _settings(task, counts)])


def _sizes(collection: Collection | StreamedCollection) -> str:
    """One row a language; passages that are streamed are not counted, their shards are."""
    columns = {"queries": collection.queries.counts.tolist()}
    if isinstance(collection, Collection):
        columns["passages"] = collection.passages.counts.tolist()
    else:
        of = [[s for s in collection.shards if s.language == c] for c in collection.languages]
        columns["shards"] = [len(shards) for shards in of]
        columns["bytes found"] = [sum(shard.size or 0 for shard in shards) for shards in of]
    roles = collection.roles
    cells = [
        [n if code in (roles.queries if name == "queries" else roles.passages) else MISSING
         for code, n in zip(collection.languages, column, strict=True)]
        for name, column in columns.items()
    ]  # fmt: skip
    rows = list(zip(collection.languages, *cells, strict=True))
    totals = (name_of_all(collection.languages), *(sum(column) for column in columns.values()))
    return plain_table(["language", *columns], [*rows, totals])


def _settings(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """How many settings of which kinds there are, and the queries of each."""
    kinds = ", ".join(
        f"{len(of_kind)} {kind.value}"
        for kind in task.kinds
        if (of_kind := [s for s in counts if s.kind is kind])
    )
    judged = sum(queries for queries, _ in counts.values())
    excluded = sum(excluded for _, excluded in counts.values())
    text = (
        f"{plural(len(counts), 'setting')} ({kinds}) with {plural(judged, 'query', 'queries')} "
        "in all. "
    )
    text += (
        f"In {plural(excluded, 'case')}, a query is excluded from a setting because the pool has "
        "no passage relevant to it. "
        if excluded
        else "Every pool has a passage relevant to each of its queries. "
    )
    if task.pairs:
        both = ", in both directions" * (len(counts) == 2 * len(task.pairs))
        text += f"Each pair of languages is searched by itself{both}."
        return textwrap.fill(text, WIDTH)
    mixed = any(setting.kind is Kind.MULTILINGUAL for setting in counts)
    together = f"; {name_of_all(task.languages)} is the multilingual pool" if mixed else ""
    if Kind.CROSSLINGUAL not in task.kinds:
        text += "Number of queries in each setting:"
        return f"{textwrap.fill(text, WIDTH)}\n\n{_by_kind(task, counts)}"
    text += (
        f"Number of queries in each setting (rows are query languages and columns pools{together}):"
    )
    return f"{textwrap.fill(text, WIDTH)}\n\n{_matrix(task, counts)}"


def _by_kind(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """One row a query language, one column a kind."""
    number = {(s.query_language, s.kind): queries for s, (queries, _) in counts.items()}
    rows = [
        [language, *(number.get((language, kind), MISSING) for kind in task.kinds)]
        for language in task.roles.queries
    ]
    return plain_table(["language", *(kind.value for kind in task.kinds)], rows)


def _matrix(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """One row a query language, one column a pool; the diagonal is monolingual."""
    roles, together = task.roles, name_of_all(task.languages)
    number: dict[tuple[str, str], str] = {}
    for setting, (queries, _) in counts.items():
        pool = setting.passage_languages
        name = together if setting.kind is Kind.MULTILINGUAL else pool[0]
        number[setting.query_language, name] = str(queries)
    mixed = any(setting.kind is Kind.MULTILINGUAL for setting in counts)
    columns = [*roles.passages, *([together] if mixed else [])]
    rows = [[q, *(number.get((q, column), MISSING) for column in columns)] for q in roles.queries]
    widths = [max(len(row[i]) for row in [["", *columns], *rows]) for i in range(len(columns) + 1)]
    return "\n".join(
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [["", *columns], *rows]
    )
