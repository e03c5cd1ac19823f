from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models import char_ngram
from mlbench.models.char_ngram import DIMENSIONS, LONGEST, _mix, encode
from mlbench.models.tokens import runs

TEXTS = ["The lake freezes over.", "ทะเลสาบกลายเป็นน้ำแข็ง", "湖面会结冰。", "झील जम जाती है।", "!"]


def _slowly(text: str) -> np.ndarray:
    """The definition, n-gram by n-gram."""
    sums: Counter[int] = Counter()
    for word in runs(text):
        marked = f" {word} "
        for n in range(1, LONGEST + 1):
            for start in range(len(marked) - n + 1):
                ngram = marked[start : start + n]
                state = np.zeros(1, np.uint64)
                for length, character in enumerate(ngram, start=1):
                    state = _mix((state ^ np.uint64(ord(character))) + np.uint64(length))
                value = int(state[0])
                if ngram != " ":
                    sums[value % DIMENSIONS] += -1 if value >> 63 else 1
    vector = np.zeros(DIMENSIONS)
    for column, total in sums.items():
        vector[column] = np.sign(total) * np.sqrt(abs(total))
    return vector.astype(np.float32)


@given(st.lists(st.text(max_size=30), max_size=4))
def test_equals_the_definition(texts: list[str]) -> None:
    expected = np.array([_slowly(text) for text in texts], np.float32).reshape(-1, DIMENSIONS)
    assert np.array_equal(encode(texts), expected)


@given(st.permutations([*TEXTS, "a" * 600, "", "b"]))
def test_order_free_and_batch_free(texts: list[str]) -> None:
    apart = np.concatenate([encode([text]) for text in texts])
    assert np.array_equal(encode(texts), apart)


def test_more_texts_than_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(TEXTS)
    monkeypatch.setattr(char_ngram, "_ROWS_AT_ONCE", 2)
    assert np.array_equal(encode(TEXTS), whole)


def test_same_bytes_on_every_machine() -> None:
    vectors = encode(TEXTS)
    assert vectors.dtype == np.float32
    assert (
        hashlib.sha256(vectors.tobytes()).hexdigest()
        == "a73814399e58bccc16f0d6b46e740cc747652d42b91d3c13ee3d9863d86fef8f"
    )


def test_same_in_another_process() -> None:
    program = (
        "import sys, hashlib; from mlbench.models.char_ngram import encode;"
        "print(hashlib.sha256(encode([sys.argv[1]]).tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, TEXTS[0]], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(encode(TEXTS[:1]).tobytes()).hexdigest()


def test_case_width_and_spacing_do_not_matter() -> None:
    vectors = encode(["Lake  FREEZES", " lake\tfreezes!", "ｌａｋｅ freezes"])
    assert (vectors == vectors[0]).all()


def test_no_letters_no_texts() -> None:
    assert not encode(["?!", ""]).any()
    assert encode([]).shape == (0, DIMENSIONS)


def test_near_texts_are_nearer_than_others() -> None:
    vectors = encode(["where does the lake freeze", TEXTS[0], "Copper was traded along the coast."])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 2 * (unit[0] @ unit[2])
