"""``mlbench leaderboard build``: the page and the standings as files."""

from __future__ import annotations

from argparse import Namespace

from mlbench.common.errors import DataError, Fault
from mlbench.common.files import write_atomically


def leaderboard_build(args: Namespace) -> int:
    """Make the leaderboard's page, and the standings as CSV, JSON and Markdown."""
    from mlbench.common.progress import Step
    from mlbench.leaderboard.entries.entry import TASK_FILE
    from mlbench.leaderboard.entries.layout import leaderboards_folder
    from mlbench.leaderboard.entries.reading import read_board
    from mlbench.leaderboard.page.site import site_files
    from mlbench.leaderboard.ranking.measuring import measured_entries, with_tables
    from mlbench.leaderboard.ranking.overall import all_standings
    from mlbench.reports.words import plural

    folder = args.entries or leaderboards_folder()
    board = read_board(folder)
    if not board.tasks:
        mend = "add a task with `mlbench leaderboard add-task REPORT --to FOLDER`"
        raise DataError(Fault(str(folder), "no task in it", f"a {TASK_FILE} a task", mend))
    count = sum(len(with_tables(task)) for task in board.tasks.values())
    with Step("measuring", count, "entries", quiet=args.quiet) as step:
        tables = measured_entries(board, lambda: step.advance(1))
    with Step("ranking", 1, "leaderboard", quiet=args.quiet) as step:
        files = site_files(all_standings(board, tables))
        step.advance(1)
    for name, content in files.items():
        write_atomically(args.output / name, content)
    entries = sum(len(task.current()) for task in board.tasks.values())
    page = args.output / "index.html"
    print(
        f"{page}: {len(files['index.html']) / 1e6:.2f} MB, {plural(len(board.tasks), 'task')}, "
        f"{entries} standing entries"
    )
    return 0
