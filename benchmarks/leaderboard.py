"""The leaderboard's page for many entries and languages: how long it takes to make and to use.

    python -m benchmarks.leaderboard [--entries N] [--languages N] [--questions N] [--output DIR]

The entries are made up: figures by language and sums by question, as they are measured of a table.
Prints how long ranking and writing take, how large the page is, and, where there is a Chromium,
how long the page takes to load, sort, search, score again over some languages and open a row.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.data import xquad_r_shape
from benchmarks.scoring import table_of
from mlbench.common.threads import usable_processors
from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.entries.entry import (
    BiasSummary,
    Contamination,
    Declared,
    Entry,
    LeaderboardTask,
)
from mlbench.leaderboard.entries.tables import task_key
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.ranking.columns import Column, Measured, measure, task_columns
from mlbench.leaderboard.ranking.standings import all_standings
from mlbench.measures.significance import MacroMeans, Sample
from mlbench.reports.provenance import Encoded, ModelInfo, RunInfo
from tests.support.browser import Browser, find_browser, running_browser

NAME = "made-up"


def made_up_task(languages: int, questions: int) -> LeaderboardTask:
    codes = tuple(f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(languages))
    return LeaderboardTask(
        name=NAME, version="1", title="Made up", digests=("0" * 64,), languages=codes,
        kinds=("monolingual", "crosslingual", "multilingual"), headline=("AP", "R@10"),
        queries=dict.fromkeys(codes, questions), passages=dict.fromkeys(codes, 10_000),
        rows=questions * languages**2, rows_sha256="0" * 64, licence="CC0-1.0", citation="none",
    )  # fmt: skip


def made_up_entry(task: LeaderboardTask, number: int) -> BoardEntry:
    text = "a passage such as a model is given, about as long as they are " * 4
    entry = Entry(
        ranks_sha256="0" * 64,
        task=task_key(task, "0" * 64),
        model=ModelInfo(
            f"model {number}", f"models/model-{number}", "sentence-transformers", "ab" * 32,
            "cosine", 768, "float32", 10**7 + 10**6 * number, 512, "mean",
            {"query": "query: ", "passage": "passage: "}, {"query": text, "passage": text}, "cuda",
        ),
        measures=("AP", "R@10"),
        macro={},
        bias=BiasSummary(),
        run=RunInfo(
            f"mlbench run --model models/model-{number} --task {NAME}", "2025-01-31T12:00:00+00:00",
            {"mlbench": "0.1.0", "numpy": "2.1.0", "torch": "2.8.0"}, "Linux", "x86_64", 8,
            {"encoding": 60.0 + number, "ranking": 3.0}, 2**31,
            {"query": Encoded(60_000, 60_000), "passage": Encoded(500_000, 500_000)},
        ),
        truncated=None,
        declared=Declared(
            "Somebody", f"2025-{1 + number % 12:02}-{1 + number % 28:02}", licence="MIT",
            link="https://example.org/model", training_data=("books",),
            training_languages=task.languages[:20], contamination=list(Contamination)[number % 4],
        ),
    )  # fmt: skip
    slug = f"model-{number}"
    return BoardEntry(entry, Place(NAME, slug), Path("nowhere"), "0" * 64, task)


def made_up_table(
    columns: tuple[Column, ...], task: LeaderboardTask, questions: int, number: int
) -> Measured:
    """Figures of a model of some quality, which is worse across languages than within."""
    generator = np.random.default_rng(number)
    quality = generator.uniform(0.2, 0.8)
    size = len(task.languages)
    names = tuple(f"q{i:05}" for i in range(questions))
    figures, means, shares = {}, {}, {}
    for column in columns:
        level = quality * {"mono": 1.0, "cross": 0.7, "multi": 0.6}.get(column.key, 0.65)
        shape = (size, size) if column.key == "cross" else (size,)
        values = np.clip(level + generator.normal(0, 0.08, shape), 0, 1)
        each = np.clip(level + generator.normal(0, 0.3, questions), 0, 1)
        if column.key == "cross":
            np.fill_diagonal(values, np.nan)
        if column.lower_is_better:
            values, each = 5000 * (1 - values), 5000 * (1 - each)
        figures[column.key] = values
        whole = each + np.nanmean(values) - each.mean()
        means[column.key] = MacroMeans.of([[Sample(np.arange(questions), whole)]], questions)
        shares[column.key] = whole / questions
    return Measured(names, figures, means, shares)


def timed(what: str, action: Callable[[], object]) -> object:
    start, begun = time.perf_counter(), time.process_time()
    found = action()
    seconds, busy = time.perf_counter() - start, time.process_time() - begun
    print(f"{what:<48}{seconds:9.2f} s, {busy:.2f} s of processors")
    return found


def used(browser: Browser, page: Path, languages: tuple[str, ...], turns: int) -> None:
    """Print how long the page takes, median of several turns, until it is laid out again."""
    steps = {
        "sort by a score": "document.querySelector('th[data-sort=mono] button').click()",
        "search": "((f, v) => { f.value = f.value ? '' : v; f.dispatchEvent(new Event('input')) })"
        "(document.getElementById('controls').elements.find, '7')",
        "score again over two languages": "location.hash = 'languages={},{}'",
        "open a row": "document.querySelector('tbody:not([hidden]) th button').click()",
    }
    wait = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
    browser.call("Performance.enable", timeDomain="threadTicks")
    taken: dict[str, list[tuple[float, float]]] = {}

    def turn_of(name: str, action: Callable[[], object]) -> None:
        start, begun = time.perf_counter(), page_seconds(browser)
        action()
        spent = time.perf_counter() - start, page_seconds(browser) - begun
        taken.setdefault(name, []).append(spent)

    loads = []
    for turn in range(turns):
        start = time.perf_counter()
        browser.open(page)
        browser.run(wait)
        loads.append(time.perf_counter() - start)
        for name, script in steps.items():
            told = script.format(*languages[turn : turn + 2]) if "{}" in script else script
            action = f"(async () => {{ {told}; await {wait}; await {wait} }})()"
            turn_of(name, partial(browser.run, action))
    print(f"browser: {'load':<39}{statistics.median(loads):9.2f} s")
    for name, spent in taken.items():
        seconds, busy = (statistics.median(part) for part in zip(*spent, strict=True))
        print(f"browser: {name:<39}{seconds:9.2f} s, {busy:.2f} s of a processor")
    if browser.complaints():
        raise RuntimeError(f"the page complains: {browser.complaints()[:1]}")


def page_seconds(browser: Browser) -> float:
    """Return the processor time that the page's main thread has taken."""
    metrics = browser.call("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("--entries", type=int, default=1000, help="entries (default 1,000)")
    parser.add_argument("--languages", type=int, default=50, help="languages (default 50)")
    parser.add_argument("--questions", type=int, default=1000, help="questions (default 1,000)")
    parser.add_argument("--turns", type=int, default=3, help="turns in the browser (default 3)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="keep the page there")
    args = parser.parse_args()
    task = made_up_task(args.languages, args.questions)
    columns = task_columns(task)
    entries = tuple(made_up_entry(task, number) for number in range(args.entries))
    tables = {
        entry.place: made_up_table(columns, task, args.questions, number)
        for number, entry in enumerate(entries)
    }
    scale = min(1.0, args.questions / 1190)
    ranks = table_of(xquad_r_shape(scale=scale), 1)
    timed("measuring one table of XQuAD-R's shape", lambda: measure(ranks, columns))
    board = Board(Path("nowhere"), {NAME: BoardTask(task, entries)})
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{args.entries:,} entries, {args.languages} languages, {args.questions:,} questions; "
        f"{usable_processors()} processors, load {load}"
    )
    standings = timed("ranking, five columns", lambda: all_standings(board, tables))
    files = timed("writing", lambda: site_files(standings))  # type: ignore[arg-type]
    sizes = {name: len(content) / 1e6 for name, content in files.items()}  # type: ignore[attr-defined]
    for name, size in sizes.items():
        if "/" not in name:
            print(f"{name:<48}{size:9.2f} MB")
    pages = [size for name, size in sizes.items() if name.startswith("models/")]
    print(f"{f'{len(pages):,} pages of models':<48}{sum(pages):9.2f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory':<48}{peak:9.0f} MB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():  # type: ignore[attr-defined]
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        program = find_browser()
        if program is None:
            print("browser: none found, not measured")
            return
        with running_browser(program, Path(temporary) / "profile") as browser:
            browser.view(1280, 900)
            page = folder.absolute() / "index.html"
            used(browser, page, task.languages, min(args.turns, args.languages - 1))


if __name__ == "__main__":
    main()
