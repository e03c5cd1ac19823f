"""The commands of a page of the documentation, run in its order, and the screens that it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.command_line import done

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LEFT_OUT = "..."
ELSEWHERE = {"git", "cat"}
"""Programs that a page may use beside mlbench; other lines, such as those of pip, are left."""
AUTHOR = {
    f"GIT_{role}_{what}": text
    for role in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Ada Lovelace"), ("EMAIL", "ada@example.org"))
}


def blocks(page: Path, until: str = "\0") -> list[tuple[str, str]]:
    """Return the fenced blocks of a page, up to the text ``until``: language, "" for none, text."""
    return BLOCK.findall(page.read_text(encoding="utf-8").partition(until)[0])


def walked(
    page: Path, folder: Path, varies: Sequence[str] = (), until: str = "\0"
) -> tuple[int, int]:
    """Run the commands of a page in ``folder``, in its order, and compare what it shows below them.

    A text block must be in what the block of commands before it printed. "..." on the page stands
    for anything there, and what one of the patterns ``varies`` matches on the page stands for all
    that the pattern matches. Returns the numbers of commands run and of screens compared.
    """
    printed, commands, screens = "", 0, 0
    for kind, text in blocks(page, until):
        if kind == "sh":
            outputs = [_output(words, folder) for words in _commands(text)]
            commands += len(outputs)
            printed = "".join(outputs) if outputs else printed
        elif kind == "text":
            pattern = f"^{_pattern(text.rstrip(), varies)} *$"
            assert re.search(pattern, printed, re.MULTILINE), f"{text}\n---\n{printed}"
            screens += 1
    return commands, screens


def _commands(text: str) -> list[list[str]]:
    parts = [part for line in text.splitlines() for part in line.split(" && ")]
    found = [shlex.split(part, comments=True) for part in parts]
    return [words for words in found if words and words[0] in {"mlbench", *ELSEWHERE}]


def _output(words: list[str], folder: Path) -> str:
    """Run one command; a last ``> FILE`` takes what it prints."""
    words, to = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    if words[0] == "mlbench":
        printed = done(*words[1:], cwd=folder)
    else:
        given = os.environ | AUTHOR
        ran = subprocess.run(
            words, cwd=folder, env=given, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        printed = ran.stdout
    if to is None:
        return printed
    (folder / to).write_text(printed, encoding="utf-8")
    return ""


def _pattern(shown: str, varies: Sequence[str]) -> str:
    """Return the pattern of what a page shows; beside what varies, blanks may, too."""
    return "\n".join(_line(line, varies) for line in shown.splitlines())


def _line(line: str, varies: Sequence[str]) -> str:
    if line == LEFT_OUT:
        return r"(?:.*\n)*?.*"
    patterns = {re.escape(LEFT_OUT): ".*?"} | {each: each for each in varies}
    pieces, end = [], 0
    for match in re.finditer("|".join(patterns), line):
        which = next(each for each in patterns if re.fullmatch(each, match[0]))
        pieces += [_blanks(line[end : match.start()]), patterns[which]]
        end = match.end()
    return "".join([*pieces, _blanks(line[end:])]) if pieces else re.escape(line)


def _blanks(text: str) -> str:
    return re.sub(r"(?:\\ ){2,}", " +", re.escape(text))
