"""Print the command line's reference: ``python docs/reference.py > docs/cli.md``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from mlbench.commands.cli import EXIT_CODES, parser_of


def reference() -> str:
    """Return the whole reference as Markdown, from the parser itself."""
    lines = [
        "# Command line",
        "",
        "Made from the program by `python docs/reference.py > docs/cli.md`; a test keeps it true.",
        "",
    ]
    for parser in _commands(parser_of()):
        lines += [f"## {parser.prog}", "", " ".join((parser.description or "").split()), ""]
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| {_flags(action)} | {_help(action)} |" for action in _arguments(parser)]
        if parser.epilog:
            lines += ["", "```", *(line.strip() for line in parser.epilog.splitlines()[1:]), "```"]
        lines.append("")
    return "\n".join([*lines, "## Exit codes", "", "```", *EXIT_CODES.splitlines()[1:], "```", ""])


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                below = list(_commands(command))
                yield from below or [command]


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return (action for action in shown if not isinstance(action, argparse._HelpAction))


def _flags(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else ""
    if not action.option_strings:
        return f"`{name}`"
    needed = ", required" if action.required else ""
    return f"`{' '.join([', '.join(action.option_strings), name]).strip()}`{needed}"


def _help(action: argparse.Action) -> str:
    default = action.default.as_posix() if hasattr(action.default, "as_posix") else action.default
    text = (action.help or "").replace("%(default)s", f"`{default}`").replace("|", "\\|")
    return "`".join(  # outside of `code`, a Markdown page would take <model> for a tag and drop it
        part if number % 2 else part.replace("<", "&lt;")
        for number, part in enumerate(text.split("`"))
    )


if __name__ == "__main__":
    print(reference(), end="")
