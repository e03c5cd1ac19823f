"""The commands: a row for each, with its words, its help, its examples and where its action is."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass

Action = Callable[[argparse.Namespace], int]


@dataclass(frozen=True)
class Command:
    """A command: its words, where its action is, what help says of it, and its examples.

    ``action`` is MODULE:FUNCTION in this package, ``arguments`` the function of that module that
    adds the arguments. ``foreign`` is true where the command runs a model's code, which may write
    to standard output.
    """

    name: str
    action: str
    arguments: str
    help: str
    examples: str
    foreign: bool = False

    def load(self) -> tuple[Action, Callable[[argparse.ArgumentParser], None]]:
        """Import the command's module; return its action and the function for its arguments."""
        module, _, action = self.action.partition(":")
        loaded = importlib.import_module(f"mlbench.commands.{module}")
        return getattr(loaded, action), getattr(loaded, self.arguments)


GROUPS = {
    "leaderboard": "check, build and maintain the leaderboard",
    "tasks": "list, show, validate and fetch tasks",
    "suites": "list suites of tasks, and show one",
    "models": "list models, test whether a model keeps the contract, and measure its speed",
    "cache": "show, verify and clear the embedding cache",
}


# fmt: off
COMMANDS = (
    Command(
        "run", "run:run", "arguments",
        "evaluate a model on one or more tasks, and write a report for each", """
        mlbench run --model char-ngram --task sample
        mlbench run --model bm25 --task xquad-r --task mlqa-r
        mlbench run --model path/to/my_model.py:make --output results --overwrite
        mlbench run --model random:7 --task xquad-r --measure AP --measure R@5 --json
        mlbench run --model checkpoints/my-encoder --query-prompt 'Query: '
        mlbench run --model bm25 --dry-run
        mlbench run --model openai:text-embedding-3-small --task xquad-r --dry-run
        mlbench run --model checkpoints/my-encoder --suite paper
        """, foreign=True,
    ),
    Command(
        "merge", "merge:merge", "arguments",
        "add up the parts of a streamed run and write its report, without model or data", """
        mlbench merge results/my-model/miracl/partial
        mlbench merge 1-of-3.partial 2-of-3.partial 3-of-3.partial --output results
        """,
    ),
    Command(
        "report", "report:report", "arguments",
        "compute the scores and pages of saved reports again from their tables", """
        mlbench report results/bm25/xquad-r
        mlbench report results
        mlbench report results/bm25/xquad-r --languages ar,de,en
        mlbench report results/bm25/xquad-r --per-query bm25.csv
        mlbench report results/bm25 --suite paper
        mlbench report --from-card checkpoints/my-model
        mlbench report results/bm25/xquad-r --mteb mteb-results
        mlbench report --from-mteb mteb-results
        """,
    ),
    Command(
        "explain", "explain:explain", "arguments",
        "show where a query's relevant passages rank, and which passages outrank them", """
        mlbench explain results/bm25/xquad-r
        mlbench explain results/bm25/xquad-r --query 56beb4343aeaaa14008c925b
        mlbench explain results/bm25/xquad-r --query 56beb4343aeaaa14008c925b --query-language de
        mlbench explain results/bm25/xquad-r --query-language zh --passage-language en --model bm25
        """,
    ),
    Command(
        "compare", "compare:compare", "arguments",
        "compare models by their saved reports on one task, with intervals and tests", """
        mlbench compare results/bm25/xquad-r results/char-ngram/xquad-r
        mlbench compare a/xquad-r b/xquad-r --measure AP --measure rank-distance
        mlbench compare a/xquad-r b/xquad-r --format latex
        mlbench compare c0/xquad-r c1/xquad-r c2/xquad-r --x mixing=0,0.5,1 --output series
        """,
    ),
    Command(
        "baseline", "baseline:baseline", "arguments",
        "write a report's table into one small file, as the baseline for `mlbench check`", """
        mlbench baseline results/bm25/xquad-r
        mlbench baseline results/bm25/xquad-r --output baselines/bm25.parquet
        """,
    ),
    Command(
        "check", "check:check", "arguments",
        "compare a report, or a new run of a model, with a baseline: the result is pass, regressed "
        "(exit code 1) or inconclusive", """
        mlbench check results/bm25/xquad-r --baseline baseline.parquet
        mlbench check results/new/xquad-r --baseline results/old/xquad-r --measure nDCG@10
        mlbench check --model path/to/my_model.py:make --baseline baseline.parquet --strict
        mlbench check
        """, foreign=True,
    ),
    Command(
        "score", "score:score", "arguments",
        "score run files of other tools (TREC, BEIR's JSON, ranx), and write a report", """
        mlbench score --task xquad-r --run 'runs/{query_language}-{passage_language}.trec.gz'
        mlbench score --task xquad-r --run 'runs/{query_language}.json' --pool multilingual
        mlbench score --task miracl --run 'dev-{query_language}.trec' --pool monolingual
        mlbench score --task my-task.toml --run run.trec --pool multilingual --name my-model
        mlbench score --task my-task.toml --run run.trec --pool multilingual --rerank my-reranker
        """,
    ),
    Command(
        "fuse", "fuse:fuse", "arguments",
        "combine several run files into one, using ranx", """
        mlbench fuse bm25.trec dense.trec --output fused.trec
        mlbench fuse bm25.trec dense.trec --method wsum --weights 0.3,0.7 --output fused.trec.gz
        mlbench fuse 'bm25/{query_language}.trec' 'dense/{query_language}.trec' --method rrf \
        --param k=10 --output 'fused/{query_language}.trec'
        """,
    ),
    Command(
        "train", "train:run", "arguments",
        "train a retriever on batches that mix languages, and write it as a model's folder", """
        mlbench train --data sample --steps 200 --batch-size 8 --output models/first
        mlbench train training.toml
        mlbench train training.toml --alpha 0.25 --seed 2 --output models/quarter-2
        mlbench train training.toml --dry-run
        """, foreign=True,
    ),
    Command(
        "overlap", "overlap:run", "arguments",
        "count how much of what a task evaluates stands in a training set", """
        mlbench overlap --data emoji-train --task emoji-names
        mlbench overlap --data my-training.toml --task xquad-r --task mlqa-r --json
        mlbench overlap --data my-training.toml --task xquad-r --strict
        """,
    ),
    Command(
        "study", "study:run", "arguments",
        "train over a grid with several seeds, evaluate, and say what was found and which claims "
        "hold", """
        mlbench study quick
        mlbench study ratio --dry-run
        mlbench study ratio --set base=checkpoints/my-base --set data=mmarco --task xquad-r
        mlbench study my-study.toml --shard 1/3
        mlbench study my-study.toml --report
        """, foreign=True,
    ),
    Command(
        "card", "card:card", "arguments",
        "write the figures of reports into a model's card, for the Hugging Face hub", """
        mlbench card results/my-model/xquad-r --to checkpoints/my-model
        mlbench card results/my-model --to checkpoints/my-model --suite paper --evidence \
        https://example.org/reports
        mlbench card results/my-model --to checkpoints/my-model --dry-run
        mlbench card results/my-model --push me/my-model
        """,
    ),
    Command(
        "track", "track:run", "arguments",
        "log finished reports to MLflow, Weights & Biases or TensorBoard", """
        mlbench track results/my-model/xquad-r --to tensorboard
        mlbench track results/my-model --to mlflow --at sqlite:///mlflow.db --project retrieval
        mlbench track results/step-100 results/step-200 --to mlflow --steps 100,200 --name my-model
        WANDB_MODE=offline mlbench track results/my-model --to wandb
        """,
    ),
    Command(
        "submit", "submit:submit", "arguments",
        "write a report as an entry of the leaderboard, ready for a pull request", """
        mlbench submit results/bm25/xquad-r --to leaderboards --submitter 'Ada Lovelace'
        mlbench submit results/my-model/xquad-r --to leaderboards --submitter 'Ada Lovelace' \
        --licence MIT --link https://example.org/my-model --contamination clean
        """,
    ),
    Command(
        "verify", "verify:verify", "arguments",
        "test whether a model produced an entry, by encoding a sample of the texts again", """
        mlbench verify leaderboards/xquad-r/bm25 --model bm25 --full
        mlbench verify leaderboards/xquad-r/my-encoder --model checkpoints/my-encoder --sample \
        200 --json
        """, foreign=True,
    ),
    Command(
        "leaderboard validate", "leaderboard:validate", "validate_arguments",
        "check entries: their format, tables and scores, and whether they are copies", """
        mlbench leaderboard validate leaderboards
        mlbench leaderboard validate leaderboards/xquad-r/bm25
        mlbench leaderboard validate pr/leaderboards --base base/leaderboards
        """,
    ),
    Command(
        "leaderboard build", "leaderboard:build", "build_arguments",
        "write the leaderboard's page, and the standings as CSV, JSON and Markdown",
        """
        mlbench leaderboard build --output site
        mlbench leaderboard build my-leaderboard --output site
        """,
    ),
    Command(
        "leaderboard badge", "leaderboard:badge", "badge_arguments",
        "write an entry's badge, an SVG for a model's README",
        "mlbench leaderboard badge leaderboards/xquad-r/bm25 --to badge.svg",
    ),
    Command(
        "leaderboard report", "leaderboard:report", "report_arguments",
        "write an entry with figures from a publication, without evidence", """
        mlbench leaderboard report --task xquad-r --model mBERT --score multilingual:AP=0.29 \
        --citation 'Somebody et al., 2020' --link https://arxiv.org/abs/2004.05484 --submitter \
        'Ada Lovelace' --to leaderboards
        """,
    ),
    Command(
        "leaderboard withdraw", "leaderboard:withdraw", "withdraw_arguments",
        "withdraw an entry: it stays, is marked, and is no longer ranked", """
        mlbench leaderboard withdraw leaderboards/xquad-r/my-model --by 'Ada Lovelace' \
        --reason 'a wrong prompt'
        """,
    ),
    Command(
        "leaderboard add-task", "leaderboard:add_task", "add_task_arguments",
        "for maintainers: add a report's task to the leaderboard, or update the task's digest",
        "mlbench leaderboard add-task results/bm25/xquad-r --to leaderboards",
    ),
    Command(
        "leaderboard record", "leaderboard:record", "record_arguments",
        "for maintainers: record that an entry was verified or is disputed", """
        mlbench leaderboard record leaderboards/xquad-r/my-model --level sampled --by \
        'Ada Lovelace' --evidence verify.json
        """,
    ),
    Command(
        "leaderboard lift", "leaderboard:lift", "lift_arguments",
        "for maintainers: end the dispute of an entry, which stays on record with the reason", """
        mlbench leaderboard lift leaderboards/xquad-r/my-model --by 'Ada Lovelace' \
        --reason 'the prompt was given, and the run reproduced'
        """,
    ),
    Command(
        "tasks list", "tasks:show_tasks", "list_arguments",
        "list the built-in tasks by group, and whether their data is on this machine",
        "mlbench tasks list",
    ),
    Command(
        "tasks show", "tasks:show", "show_arguments",
        "show a task, and the number of queries of each of its settings", """
        mlbench tasks show xquad-r
        mlbench tasks show path/to/my-task.toml
        """,
    ),
    Command(
        "tasks validate", "tasks:validate", "validate_arguments",
        "check a task file, and its data if it is on this machine",
        "mlbench tasks validate my-task.toml",
    ),
    Command(
        "tasks fetch", "tasks:fetch", "fetch_arguments",
        "download the data of tasks into the cache, or show where it is", """
        mlbench tasks fetch xquad-r
        mlbench tasks fetch xquad-r mlqa-r
        mlbench tasks fetch --suite xquad
        """,
    ),
    Command(
        "suites list", "suites:show_suites", "list_arguments",
        "list the built-in suites",
        "mlbench suites list",
    ),
    Command(
        "suites show", "suites:show", "show_arguments",
        "show a suite: its tasks and their figures", """
        mlbench suites show paper
        mlbench suites show path/to/my-suite.toml
        """,
    ),
    Command(
        "models list", "models:show_models", "list_arguments",
        "list the models and the ways to name one",
        "mlbench models list",
    ),
    Command(
        "models check", "models:check", "check_arguments",
        "test whether a model keeps the contract between models and mlbench", """
        mlbench models check bm25
        mlbench models check path/to/my_model.py:make
        """, foreign=True,
    ),
    Command(
        "models speed", "models:speed", "speed_arguments",
        "measure how fast a model encodes fixed text, and what its vectors take", """
        mlbench models speed bm25
        mlbench models speed checkpoints/my-encoder --rounds 3
        mlbench models speed path/to/my_model.py:make --json
        """, foreign=True,
    ),
    Command(
        "doctor", "doctor:doctor", "arguments",
        "show versions, devices, libraries, the cache, data at hand and extras, for a report of a "
        "problem", """
        mlbench doctor
        mlbench doctor --json
        """,
    ),
    Command(
        "completion", "completion:completion", "arguments",
        "print a script that completes commands, options and the names of tasks in a shell", """
        mlbench completion bash > ~/.local/share/bash-completion/completions/mlbench
        mlbench completion zsh > ~/.zfunc/_mlbench
        """,
    ),
    Command(
        "trust", "trust:change_trust", "arguments",
        "allow a file to run the code that it names, until it or that code changes; list such "
        "files, or withdraw the trust", """
        mlbench trust mlbench.toml
        mlbench trust
        mlbench trust --withdraw mlbench.toml
        """,
    ),
    Command(
        "cache info", "cache:info", "json_argument",
        "show what the embedding cache holds",
        "mlbench cache info",
    ),
    Command(
        "cache verify", "cache:verify", "json_argument",
        "read the whole embedding cache and find damaged files",
        "mlbench cache verify",
    ),
    Command(
        "cache clear", "cache:clear", "no_arguments",
        "remove all cached embeddings",
        "mlbench cache clear",
    ),
)
# fmt: on
