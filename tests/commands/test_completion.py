import shutil
import subprocess

import pytest

from mlbench.commands.cli import main
from mlbench.commands.table import COMMANDS

ASK = """
source "$1"; shift
COMP_LINE="$*"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_mlbench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["completion", "bash"]) == 0
    path = tmp_path_factory.mktemp("completion") / "mlbench.bash"
    path.write_text(printed.getvalue())
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["run", "--mod"], {"--model"}),
        (["run", "--task", "xquad-r"], {"xquad-r", "xquad-r-context"}),
        (["run", "--model", "char"], {"char-ngram"}),
        (["study", "qui"], {"quick"}),
        (["tasks", "show", "emoji-n"], {"emoji-names"}),
        (["completion", ""], {"bash", "zsh"}),
        (["cache", ""], {"clear", "info", "verify"}),
        (["", ], {command.name.split()[0] for command in COMMANDS}),
    ],
)  # fmt: skip
def test_bash_completes(script, words, found, tmp_path):
    asked = ["bash", "-c", ASK, "bash", str(script), "mlbench", *words]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {*answer.stdout.split()} == found


def test_zsh_gets_its_own_form(capsys):
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef mlbench")
