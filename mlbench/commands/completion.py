"""``mlbench completion``: the shell completes commands, options, files and names."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterator

import shtab

from mlbench.data.catalog import list_tasks
from mlbench.data.suite import list_suites
from mlbench.models.built_in import BUILT_IN
from mlbench.training.studies.form import list_studies

SHELLS = ("bash", "zsh")
FILES = ("FILE", "FOLDER", "CONFIG", "REPORT", "ENTRY", "PARTIAL", "RUN")
"""Placeholders of arguments that are files or folders."""
NAMES: dict[str, Callable[[], list[str]]] = {
    "TASK": list_tasks,
    "SUITE": list_suites,
    "STUDY": list_studies,
    "SPEC": lambda: [row.name + ":" * row.required for row in BUILT_IN],
}
"""Placeholders of arguments that have a built-in name, or are a file -> these names."""
PREAMBLE = {
    "bash": """{function}() {{
  compgen -W "{names}" -- "$1"
  compgen -f -- "$1"
}}
""",
    "zsh": """{function}() {{
  compadd -- {names}
  _files
}}
""",
}


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")


def completion(args: Namespace) -> int:
    """Print the script of a shell."""
    from mlbench.commands.cli import parser_of

    parser = parser_of()
    for action in _actions(parser):
        place = action.metavar
        if place in NAMES:
            function = _function(str(place))
            action.complete = dict.fromkeys(SHELLS, function)  # type: ignore[attr-defined]
        elif place in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    functions = [
        PREAMBLE[args.shell].format(function=_function(place), names=" ".join(names()))
        for place, names in NAMES.items()
    ]
    print(shtab.complete(parser, args.shell, preamble="\n".join(functions)))
    return 0


def _function(place: str) -> str:
    return f"_mlbench_{place.lower()}"


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    """Yield every argument of a parser and of those below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
