"""Make a training set of XNLI: a premise asks for its hypotheses, in every pair of languages.

XNLI (Conneau et al., 2018, https://arxiv.org/abs/1809.05053) may not be used commercially, and does
not come with mlbench. Its development and test sets are translated by people into 15 languages.
Give this script a file of JSON lines, each a sentence in all languages (``{"id": ..., "de": ...,
"en": ...}``), in which a premise is followed by its three hypotheses:

    python studies/xnli.py xnli_11way.jsonl my-data
    mlbench tasks show my-data/xnli.toml
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

GROUP = 4
"""A premise and its hypotheses."""
TASK = """name = "xnli"
version = "1"
title = "XNLI, for training: premises and their hypotheses"
group = "training"
languages = {languages}
licence = "CC-BY-NC-4.0"
citation = "XNLI: Conneau et al., EMNLP 2018, https://arxiv.org/abs/1809.05053"

[source]
reader = "rows"

[source.files]
rows = "xnli.jsonl"

[source.options]
query = "premise_{{language}}"
query-id = "premise"
passage = "hypothesis_{{language}}"
passage-id = "hypothesis"
relevance = "parallel"
"""


def rows(sentences: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return a row for each hypothesis, with its premise, and their ids."""
    found = []
    for number, hypothesis in enumerate(sentences):
        premise = sentences[number - number % GROUP]
        if hypothesis is not premise:
            row = {}
            for role, said in (("premise", premise), ("hypothesis", hypothesis)):
                texts = {f"{role}_{code}": text for code, text in said.items() if code != "id"}
                row |= {role: said["id"], **texts}
            found.append(row)
    return found


def main() -> None:
    """Write ``xnli.jsonl`` and the task file ``xnli.toml``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentences", type=Path, help="JSON lines, a sentence in all languages each")
    parser.add_argument("folder", type=Path, help="where the training set goes")
    given = parser.parse_args()
    with given.sentences.open(encoding="utf-8") as file:
        sentences = [json.loads(line) for line in file]
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder / "xnli.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(sentences))
    languages = [code for code in sentences[0] if code != "id"]
    task = TASK.format(languages=json.dumps(languages))
    (given.folder / "xnli.toml").write_text(task, encoding="utf-8")


if __name__ == "__main__":
    main()
