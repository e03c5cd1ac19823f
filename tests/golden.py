"""A golden run: every command once, on the built-in task, on real data and on a small made-up task.

    python -m tests.golden record FOLDER             run all commands with this checkout's mlbench
    python -m tests.golden record FOLDER --only run-  some of them, by a regular expression
    python -m tests.golden compare BEFORE AFTER      show whatever differs between two such folders

Record before a change of the structure and after it: what differs is what users will see. Real data
is found where ``MLBENCH_DATA`` points, else in ``../shared/data``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

COMMANDS = """
tasks-list             tasks list
tasks-list-json        tasks list --json
tasks-show             tasks show xquad-r
tasks-show-json        tasks show mlqa-r --json
tasks-show-miracl      tasks show miracl --offline
tasks-validate         tasks validate sample
tasks-fetch            tasks fetch xquad-r mlqa-r --offline
models-list            models list
models-list-json       models list --json
models-check           models check my_model.py:make
models-check-json      models check bm25 --json
models-check-nan       models check my_model.py:nan
run-sample             run --model char-ngram --task sample
run-again              run --model char-ngram --task sample --quiet
run-bm25               run --model bm25 --task xquad-r --task mlqa-r
run-cn                 run --model char-ngram --task xquad-r --threads 2 --memory 40M --save-run 5
run-random             run --model random:7 --task xquad-r --measure AP --measure R@5 --json
run-mine               run --model my_model.py:make --task sample
run-mine-x             run --model my_model.py:make --task xquad-r
run-worse              run --model my_model.py:worse --task sample --output worse
run-nan                run --model my_model.py:nan --task sample
run-declared           run --model my_model.py:declared --task sample --output declared
run-declared-2         run --model my_model.py:declared --task sample --output declared2
run-occupied           run --model my_model.py:worse --task sample
run-questions          run --model char-ngram --task xquad-r --sample-questions 50 --output sampled
run-dry                run --model bm25 --dry-run
run-dry-json           run --model bm25 --task sample --dry-run --json
run-stream             run --model my_model.py:declared --task lines.toml --stream --output streamed
run-held               run --model my_model.py:declared --task lines.toml --output held
run-stream-1           run --model my_model.py:declared --task lines.toml --stream --shard 1/2 --work work --output streamed2 --keep-embeddings kept
run-stream-2           run --model my_model.py:declared --task lines.toml --stream --shard 2/2 --work work --output streamed2 --keep-embeddings kept
merge                  merge work/declared/lines --output merged
merge-json             merge work/declared/lines --output merged --json
run-dry-stream         run --model bm25 --task lines.toml --stream --dry-run
run-bm25-stream        run --model bm25 --task lines.toml --stream --output nope
run-kept               run --model precomputed:kept/declared/lines --task lines.toml --output fromkept
report                 report results
report-json            report results/bm25/mlqa-r --json
report-languages       report results/char-ngram/xquad-r --languages ar,de,en --output sub
report-none            report nowhere
report-suite           report results/bm25 --suite paper --output suite
report-suite-mixed     report results --suite xquad --json
suites-list            suites list
suites-show            suites show paper
bad-suite              run --model bm25 --suite papr
explain                explain results/bm25/xquad-r
explain-query          explain results/bm25/xquad-r --query 56beb4343aeaaa14008c925b --query-language de
explain-json           explain results/char-ngram/sample --top 3 --json
compare                compare results/bm25/xquad-r results/char-ngram/xquad-r --output compared
compare-json           compare results/bm25/xquad-r results/char-ngram/xquad-r --measure AP --measure rank-distance --format json
compare-latex          compare results/char-ngram/sample results/my-model/sample --format latex
compare-md             compare results/char-ngram/sample results/my-model/sample --format markdown --x size=1,2
compare-other          compare results/char-ngram/sample results/bm25/xquad-r
baseline               baseline results/my-model/sample
check-pass             check results/my-model/sample --baseline baseline.parquet
check-regressed        check worse/my-model/sample --baseline baseline.parquet --output checked
check-json             check worse/my-model/sample --baseline results/my-model/sample --json --measure nDCG@10
check-md               check worse/my-model/sample --baseline baseline.parquet --markdown --measure rank-distance
check-model            check --model my_model.py:worse --baseline baseline.parquet --task sample --output checked2
check-declared         check --model my_model.py:declared --baseline baseline.parquet
check-config           check
check-strict           check results/my-model/sample --baseline baseline.parquet --margin 0 --strict
score                  score --task xquad-r --run results/char-ngram/xquad-r/runs/{query_language}-{passage_language}.trec.gz --output scored
score-pool             score --task sample --run one.trec --pool multilingual --name x --output scored2 --allow-unknown --json
score-unknown          score --task sample --run one.trec --pool multilingual --output scored3
fuse                   fuse one.trec two.trec --output fused.trec
fuse-wsum              fuse one.trec two.trec --method wsum --weights 0.3,0.7 --output fused2.trec.gz --json
submit                 submit results/my-model/xquad-r --to board --submitter Ada --licence MIT --link https://example.org/x --contamination clean
submit-unknown-task    submit results/my-model/sample --to board --submitter Ada
add-task               leaderboard add-task results/my-model/sample --to board
submit-mine            submit results/my-model/sample --to board --submitter Ada --licence MIT --link https://example.org/x --note hello
lb-report              leaderboard report --task xquad-r --model mBERT --score multilingual:AP=0.29 --citation Somebody --link https://arxiv.org/abs/2004.05484 --submitter Ada --to board
withdraw               leaderboard withdraw board/sample/my-model --by Ada --reason wrong
verify                 verify board/xquad-r/my-model --model my_model.py:make --seed 3 --json
verify-text            verify board/xquad-r/bm25 --model bm25 --seed 3 --sample 400
verify-full            verify results/my-model/sample --model my_model.py:make --full
verify-wrong           verify results/my-model/sample --model my_model.py:worse --seed 1
record                 leaderboard record board/xquad-r/my-model --level sampled --by Ada --evidence verify.json
validate               leaderboard validate board
validate-json          leaderboard validate board/xquad-r --json
validate-shipped       leaderboard validate
build                  leaderboard build board --output site
cache-info             cache info
cache-info-json        cache info --json
cache-verify           cache verify
cache-clear            cache clear
bad-task               run --model bm25 --task xqad-r
bad-model              run --model bm26 --task sample
bad-measure            run --model bm25 --task sample --measure nDCGG@3
bad-toml               tasks validate broken.toml
bad-memory             run --model bm25 --task sample --memory 1KB --output m
bad-usage              run
bad-config             check --config bad.toml
bad-modeltoml          run --model bad-model.toml --task sample
bad-shard              run --model bm25 --task sample --shard 3/2
no-work                run --model bm25 --task sample --work w
version                --version
debug                  report nowhere --debug
"""  # noqa: E501
"""A name and a command each; later ones need what earlier ones wrote."""

MODEL = """
import numpy as np
class MyModel:
    name = "my-model"
    def encode_queries(self, texts, language):
        return np.stack([self.vector(t) for t in texts])
    encode_passages = encode_queries
    def vector(self, text):
        return np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256).astype(np.float32)
def make():
    return MyModel()
class Worse(MyModel):
    def vector(self, text):
        return super().vector(text[:1])
def worse():
    return Worse()
class Nan(MyModel):
    def vector(self, text):
        return super().vector(text) * np.float32("nan")
def nan():
    return Nan()
class Declared(MyModel):
    name = "declared"; identity = "declared 1"; cacheable = True; similarity = "dot"
def declared():
    return Declared()
"""

TASK = """\
name = "lines"
version = "1"
title = "Lines"
languages = ["en", "de", "tr"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "beir"
[source.files]
corpus = "{language}/corpus.jsonl"
queries = "{language}/queries.jsonl"
qrels = "{language}/qrels.tsv"
"""

BROKEN = {
    "broken.toml": 'nam = "x"\nversion = 3\nlanguages = ["en", "en"]\n[source]\nreader = "linez"\n',
    "bad.toml": '[tool.mlbench]\nbaselin = "x"\nmargin = -1\nstrict = 3\n',
    "bad-model.toml": 'modl = "x"\npooling = "meen"\nmax-length = "a"\n',
    "mlbench.toml": 'report = "worse/my-model/sample"\nbaseline = "baseline.parquet"\n',
}
VOLATILE = {"date", "seconds", "peak_memory", "versions", "command", "processor", "platform"}
VOLATILE |= {"cores", "gpus", "peak_gpu_memory"}
NOT_COMPARED = {"cache", "board"}
TIMED = re.compile(r"\d+%|\d+(\.\d+)? s\b|\*\*(command|seconds|date|peak)|<dt>(seconds|date|peak)")
MOST_LINES = 30


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the words of every command."""
    for line in COMMANDS.strip().splitlines():
        name, _, rest = line.partition(" ")
        yield name, shlex.split(rest)


def prepare(folder: Path) -> None:
    """Write the model, the task and the broken files that the commands are given."""
    folder.mkdir(parents=True)
    (folder / "my_model.py").write_text(MODEL)
    (folder / "lines.toml").write_text(TASK)
    for name, text in BROKEN.items():
        (folder / name).write_text(text)
    for code, word in {"en": "stone", "de": "Stein", "tr": "taş"}.items():
        of_language = folder / code
        of_language.mkdir()
        passages = [{"_id": f"p{i}", "text": f"{word} number {i * i} of {code}"} for i in range(60)]
        queries = [{"_id": f"q{i}", "text": f"which {word} {i * i}"} for i in range(20)]
        for name, rows in (("corpus", passages), ("queries", queries)):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (of_language / f"{name}.jsonl").write_text(text, encoding="utf-8")
        judged = "".join(f"q{i}\tp{i}\t1\nq{i}\tp{i + 1}\t1\n" for i in range(20))
        (of_language / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    for name, step in (("one", 1), ("two", -1)):
        lines = [
            f"q{i} Q0 p{j} {j} {100 - step * j - i} {name}\n" for i in range(3) for j in range(5)
        ]
        (folder / f"{name}.trec").write_text("".join(lines))
    shutil.copytree(ROOT / "leaderboards", folder / "board")


def record(folder: Path, only: str) -> None:
    """Run the commands in a new folder, and keep their exit codes and what they print."""
    prepare(folder)
    data = os.environ.get("MLBENCH_DATA", ROOT.parent / "shared" / "data")
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MLBENCH", "PYTEST"))}
    own |= {"MLBENCH_CACHE": str(folder / "cache"), "MLBENCH_DATA": str(data), "COLUMNS": "100"}
    own["PYTHONPATH"] = str(ROOT)
    log = folder / "log"
    log.mkdir()
    for name, words in commands():
        if not re.search(only, name):
            continue
        done = subprocess.run(
            [sys.executable, "-m", "mlbench", *words], cwd=folder, env=own, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        said = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
        (log / f"{name}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False))
        if name == "verify":
            (folder / "verify.json").write_text(done.stdout)
        print(f"{name}: {done.returncode}", flush=True)


def lasting(value: Any) -> Any:
    """Leave out what differs from run to run."""
    if isinstance(value, dict):
        return {key: lasting(entry) for key, entry in value.items() if key not in VOLATILE}
    return [lasting(entry) for entry in value] if isinstance(value, list) else value


def shown(text: str, root: Path) -> list[str]:
    """Return the lines to compare: of JSON what lasts, of other text all but paths and times."""
    try:
        return json.dumps(lasting(json.loads(text)), indent=1, ensure_ascii=False).splitlines()
    except ValueError:
        plain = text.replace(str(root), "FOLDER").replace(str(ROOT), "ROOT")
        return [line for line in plain.splitlines() if not TIMED.search(line[:300])]


def compare(before: Path, after: Path) -> None:
    """Print what differs, and how many files of each kind are equal."""
    counts: Counter[tuple[str, bool]] = Counter()
    for path in sorted(path for path in after.rglob("*") if path.is_file()):
        name = path.relative_to(after)
        other = before / name
        if NOT_COMPARED & set(name.parts) or not other.is_file():
            continue
        pair = other.read_bytes(), path.read_bytes()
        lines: list[str] = []
        if pair[0] != pair[1] and name.parts[0] == "log":
            lines = [
                line
                for part in ("code", "out", "err")
                for line in logged(pair, part, (before, after))
            ]
        elif pair[0] != pair[1] and path.suffix in {".json", ".md", ".html", ".csv"}:
            lines = difference(*(text.decode() for text in pair), (before, after))
        elif pair[0] != pair[1]:
            lines = ["other bytes"]
        counts[path.suffix, not lines] += 1
        if lines:
            print("\n".join([f"== {name}", *(line[:160] for line in lines[:MOST_LINES])]))
    for (suffix, equal), count in sorted(counts.items()):
        print(f"{suffix}: {count} {'equal' if equal else 'differ'}")


def logged(pair: tuple[bytes, bytes], part: str, roots: tuple[Path, Path]) -> list[str]:
    """Compare one part of what a command said."""
    first, second = (str(json.loads(text)[part]) for text in pair)
    return difference(first, second, roots)


def difference(first: str, second: str, roots: tuple[Path, Path]) -> list[str]:
    """Return the lines that differ, with a sign each."""
    one, two = shown(first, roots[0]), shown(second, roots[1])
    return list(difflib.unified_diff(one, two, lineterm="", n=0))[2:]


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden")
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--only", default="", metavar="PATTERN")
    comparing = actions.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.action == "record":
        record(args.folder.resolve(), args.only)
    else:
        compare(args.before.resolve(), args.after.resolve())


if __name__ == "__main__":
    main()
