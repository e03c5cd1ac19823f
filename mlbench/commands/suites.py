"""``mlbench suites``: tasks that are read together."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mlbench.commands.options import shared
from mlbench.commands.output import fact_lines, plain_table, print_json
from mlbench.data.suite import list_suites
from mlbench.evaluation.suites import load_suite


def list_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `suites list`."""
    shared(parser, "--json")


def show_suites(args: Namespace) -> int:
    """List the built-in suites."""
    suites = [load_suite(name) for name in list_suites()]
    if args.json:
        print_json(
            [
                {"name": s.name, "title": s.title, "tasks": [each.task.name for each in s.tasks]}
                for s in suites
            ]
        )
        return 0
    rows = [[s.name, len(s.tasks), s.title] for s in suites]
    print(plain_table(["suite", "tasks", "title"], rows))
    print("\n`mlbench suites show SUITE` lists its tasks; a suite can be your own file, too.")
    return 0


def show_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `suites show`."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's name or file")
    shared(parser, "--json")


def show(args: Namespace) -> int:
    """Show a suite: its tasks, their figures, what to cite."""
    suite = load_suite(args.suite)
    if args.json:
        tasks = {
            each.task.name: {"headline": str(each.headline), "figures": [*map(str, each.figures)]}
            for each in suite.tasks
        }
        facts = {"citation": suite.citation, "notes": suite.notes, "mean": suite.mean}
        print_json({"name": suite.name, "title": suite.title, **facts, "tasks": tasks})
        return 0
    said = fact_lines(
        [
            ("suite", suite.name),
            ("title", suite.title),
            ("headline", "the mean of the tasks' headlines" if suite.mean else "none of its own"),
            ("citation", suite.citation),
            ("file", str(suite.path)),
            *(("note", note) for note in suite.notes),
        ]
    )
    rows = []
    for each in suite.tasks:
        others = [str(figure) for figure in each.figures if figure != each.headline]
        rows.append([each.task.name, str(each.headline), ", ".join(others) or "-"])
    print(f"{said}\n\n{plain_table(['task', 'headline', 'other figures'], rows)}")
    return 0
