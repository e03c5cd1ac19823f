"""Small data sets in the layouts that ir_datasets downloads, for the built-in tasks by its ids.

Its own code then reads them; nothing is downloaded. ir_datasets looks for its folder when it is
imported, so ``answers`` runs code in a process of its own.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

QUESTIONS, DOCUMENTS = 12, 30

NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not answer."""

MR_TYDI = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ja": "japanese",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
    "th": "thai",
}
MMARCO = {
    "ar": "arabic",
    "de": "german",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "nl": "dutch",
    "pt": "portuguese",
    "ru": "russian",
    "vi": "vietnamese",
    "zh": "chinese",
}


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def lines_of(language: str, role: str, count: int) -> list[str]:
    """Return lines of an id and a text, split by a tab; texts differ by language."""
    return [f"{10 * i}\t{language} {role} {i} of {'abcdefgh'[i % 8] * 3}" for i in range(count)]


def qrels() -> list[str]:
    """Return a judgement for each question but the last."""
    return [f"{10 * i} 0 {20 * i} 1" for i in range(QUESTIONS - 1)]


def write_mr_tydi(home: Path) -> None:
    for code, name in MR_TYDI.items():
        folder = home / "mr-tydi" / f"{code}.data" / f"mrtydi-v1.0-{name}"
        found = (line.split("\t") for line in lines_of(code, "passage", DOCUMENTS))
        write(
            folder / "collection" / "docs.jsonl.gz",
            [json.dumps({"id": id_, "contents": text}) for id_, text in found],
        )
        write(folder / "topic.test.tsv", lines_of(code, "question", QUESTIONS))
        write(folder / "qrels.test.txt", qrels())


def write_mmarco(home: Path) -> None:
    """Of Vietnamese, the passage 20 and the question 30 are not there."""
    folder = home / "mmarco" / "v2"
    for code, name in MMARCO.items():
        passages, asked = (lines_of(code, r, n) for r, n in (("p", DOCUMENTS), ("q", QUESTIONS)))
        if code == "vi":
            del passages[2], asked[3]
        write(folder / f"{name}_collection.tsv", passages)
        write(folder / f"{name}.queries.dev.tsv", asked)
    write(home / "mmarco" / "qrels.dev.small.tsv", qrels())
    folder = home / "msmarco-passage"
    folder.mkdir()
    (folder / "irds_version.txt").write_text("v2")
    write(folder / "collection.tsv", lines_of("en", "p", DOCUMENTS))
    write(folder / "dev" / "small" / "queries.tsv", lines_of("en", "q", QUESTIONS))
    write(folder / "dev" / "small" / "qrels", qrels())


NEUCLIR = {"fa": "fas", "ru": "rus", "zh": "zho"}


def write_neuclir(home: Path) -> None:
    """Topics of 2022 are "0" to "11", each judged in two languages; those of 2023 "200" and on."""
    folder, codes = home / "neuclir", [*NEUCLIR.values()]
    for code, long in NEUCLIR.items():
        documents = (
            {"id": f"{long}-{i}", "title": f"{code} title {i}", "text": f"text {i}"}
            | {"url": "", "time": "", "cc_file": ""}
            for i in range(DOCUMENTS)
        )
        write(folder / "1" / long / "docs.jsonl.gz", [json.dumps(each) for each in documents])
    write(folder / "trec-2022" / "topics.jsonl", [_topic(str(i)) for i in range(QUESTIONS)])
    write(folder / "trec-2023" / "topics.jsonl", [_topic(f"2{i:02}") for i in range(QUESTIONS)])
    judged = [
        f"{i} {long} {long}-{2 * i + more} {grade}"
        for place, long in enumerate(codes)
        for i in range(QUESTIONS)
        if i % 3 != place
        for more, grade in ((0, 3), (1, i % 2))
    ]
    write(folder / "trec-2022" / "qrels", judged)
    packed = folder / "trec-2023" / "qrels.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for long in codes:
            lines = (f"2{i:02} 0 {long}-{i} {i % 4}\n" for i in range(QUESTIONS))
            content = "".join(lines).encode()
            info = tarfile.TarInfo(f"qrels.final.gains.{long}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _topic(id_: str) -> str:
    def said(language: str, source: str) -> dict[str, str]:
        parts = ("title", "description", "narrative")
        texts = {f"topic_{part}": f"{language} {part} {id_}" for part in parts}
        return {"lang": language, "source": source, **texts}

    of_people = [said(long, "human translation") for long in NEUCLIR.values()]
    of_machines = [said(long, "google translation") for long in NEUCLIR.values()]
    topics = [said("eng", "original"), *of_people, *of_machines]
    return json.dumps({"topic_id": id_, "topics": topics, "languages_with_qrels": []})


CLIRMATRIX = ("ar", "de", "en", "es", "fr", "ja", "ru", "zh")


def write_clirmatrix(home: Path) -> None:
    """Each query has two articles in each other language, with the grades 6 and 0 to 6."""
    import lz4.frame

    folder = home / "clirmatrix"

    def listed(path: str, lines: list[str]) -> dict[str, str]:
        write(folder / path, lines)
        return {"url": "https://example.org", "expected_md5": "0" * 32, "cache_path": path}

    def judged(asked: str, language: str) -> list[str]:
        return [
            json.dumps(
                {
                    "src_id": str(10 * i),
                    "src_query": f"{asked} query {i}",
                    "tgt_results": [[str(20 * i), 6], [str(20 * i + 10), i % 7]],
                }
            )
            for i in range(QUESTIONS)
        ]

    pairs = [(asked, code) for asked in CLIRMATRIX for code in CLIRMATRIX if asked != code]
    downloads = {
        "clirmatrix_docs": {
            f"docs/{code}": listed(f"{code}.tsv.gz", lines_of(code, "article", DOCUMENTS))
            for code in (*CLIRMATRIX, "sw")
        },
        "clirmatrix_multi8": {
            f"queries/{asked}_{code}/test1": listed(f"{asked}_{code}.gz", judged(asked, code))
            for asked, code in pairs
        },
        "clirmatrix_bi139_base": {
            "queries/en_sw/test1": listed("en_sw.gz", judged("en", "sw")),
        },
    }
    write(folder / "clirmatrix_downloads.json.gz", [json.dumps(downloads)])
    (folder / "clirmatrix-metadata.json.lz4").write_bytes(lz4.frame.compress(b"{}"))


PREAMBLE = """
import json
from dataclasses import replace

import pytest
from ir_datasets.util import metadata
from mlbench import evaluate, load_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.options import Options
from mlbench.models.registry import load_adapter

metadata.default_metadata_provider._metadata = {}  # it has the counts of the real collections

def data_of(name):
    task = load_task(name)
    return task, read_collection(task, Locator(offline=True).of(task))

def facts_of(name):
    task, data = data_of(name)
    def records(entries):
        parts = [part for part in map(entries.slice, range(len(data.languages)))]
        return {
            code: [(entries.ids[i], entries.texts[i]) for i in range(part.start, part.stop)]
            for code, part in zip(data.languages, parts) if part.stop > part.start
        }
    return {
        "queries": records(data.queries),
        "passages": records(data.passages),
        "relevance": data.qrels.relevance.tolist(),
        "settings": [
            [s.kind, s.query_language, s.passage_languages, *data.query_counts(s)]
            for s in task.settings()
        ],
        "absent": data.absent is not None,
    }

def differences_of_streamed_and_held(name, languages):
    task = replace(load_task(name), languages=tuple(languages.split()))
    data = read_collection(task, Locator(offline=True).of(task))
    options = Options(progress=False, cache=None, threads=1, device="cpu")
    held = evaluate_held(task, data, load_adapter("char-ngram"), options)
    streamed = evaluate("char-ngram", task, options)
    facts = [(r.task.digest, r.scores, r.warnings) for r in (held, streamed)]
    pairs = zip(("digest", "scores", "warnings"), *facts)
    return [fact for fact, one, other in pairs if one != other]
"""


def answer(home: Path, code: str) -> Any:
    """Return the value of an expression, by way of JSON, with the names above at hand."""
    done = python(home, "-c", f"{PREAMBLE}\nprint(json.dumps({code}))")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of mlbench."""
    return python(home, "-m", "mlbench", *arguments)


def python(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where ir_datasets has that home and no network."""
    environment = {
        "IR_DATASETS_HOME": str(home),
        "IR_DATASETS_DL_TRIES": "1",
        "HTTPS_PROXY": NOWHERE,
    }
    environment |= {"HTTP_PROXY": NOWHERE}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
