"""The YAML of cards, changed without touching what is not ours. The oracle is yaml.safe_load for
what the result says, and a comparison of lines for what it left alone."""

from __future__ import annotations

import difflib
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import DataError
from mlbench.integrations.cards import front_matter
from mlbench.integrations.cards.front_matter import parse_card, with_body, with_results
from tests.support.versions import installed

OTHER = {
    "task": {"type": "sts"},
    "dataset": {"type": "mteb/sts12", "name": "STS12"},
    "metrics": [{"type": "spearman", "value": 83.5}],
}
OURS = [{"dataset": {"type": "ours", "name": "Ours"}, "metrics": [{"type": "AP", "value": 0.25}]}]
NEW = [
    {"dataset": {"type": "ours", "name": "Ours"}, "metrics": [{"type": "AP", "value": value}]}
    for value in (0.5, 1e-07)
]
STYLED = """\
# a comment of the owner
license:   mit   # spaces and quotes stay
language: ["de", 'no']
model-index:
  -  name: 'their model'
     results:
       - task: {type: sts}   # flow in block
         dataset:
            type: mteb/sts12
            name: "STS12"
         metrics:
         - {type: spearman,
            value: 83.5}
       # between
       - dataset:
           type: ours
           name: Ours
         metrics:
         - type: AP
           value: 0.25   # ours, old
       - task:
           type: t
         dataset: {type: x, name: y}
         metrics:
         - type: n
           value: .nan
         notes: |
           two
           lines

  -  name: second
     results: []
tags:
- a
- "b: c"
"""
SHARED = [{**OTHER, "task": {"type": name}} for name in "abc"]
ALIASED = yaml.safe_dump({"model-index": [{"name": "m", "results": SHARED}]}) + "# the end\n"
DUMPED = yaml.safe_dump(
    {"license": "mit", "model-index": [{"name": "m", "results": [OTHER, *OURS]}], "z": 1},
    sort_keys=False,
)


def is_ours(result: object) -> bool:
    return isinstance(result, dict) and result["dataset"]["type"] == "ours"


def card_of(head: str, body: str = "# Title\n", newline: str = "\n") -> bytes:
    return f"---\n{head}---\n{body}".replace("\n", newline).encode()


def changed(raw: bytes, made: list[dict] = NEW) -> bytes:
    return with_results(parse_card(raw, "README.md"), "m", made, is_ours).content


def values(raw: bytes) -> dict:
    return yaml.safe_load(re.split(r"^---\s*$", raw.decode("utf-8-sig"), flags=re.M)[1])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "head", [STYLED, DUMPED, ALIASED, "license: mit\n", "# nothing but this\n"]
)
def test_only_our_results_change(head: str, newline: str) -> None:
    before = card_of(head, newline=newline)
    after = changed(before)
    old, new = values(before) or {}, values(after)
    assert repr({k: v for k, v in new.items() if k != "model-index"}) == repr(
        {k: v for k, v in old.items() if k != "model-index"}
    )
    elements = old.get("model-index") or [{"name": "m", "results": []}]
    expected = [r for e in elements for r in e["results"] if not is_ours(r)]
    found = [r for e in new["model-index"] for r in e["results"]]
    assert repr([r for r in found if not is_ours(r)]) == repr(expected)
    assert [r for r in found if is_ours(r)] == NEW
    assert changed(after) == after
    assert b"\n" not in after.replace(b"\r\n", b"") if newline == "\r\n" else b"\r" not in after


def test_lines_of_others_stay_byte_for_byte() -> None:
    after = changed(card_of(STYLED)).decode()
    start, end = (
        STYLED.index("       - dataset:\n"),
        STYLED.index("       - task:\n           type: t"),
    )
    assert after.startswith("---\n" + STYLED[:start])
    assert after.endswith(STYLED[end:] + "---\n# Title\n")
    back = changed(after.encode(), OURS).decode()
    assert back.startswith("---\n" + STYLED[:start])
    assert yaml.safe_load(back.split("---")[1])["model-index"][0]["results"][1] == OURS[0]


def test_ours_are_appended_where_there_are_none_yet() -> None:
    head = STYLED.replace("type: ours", "type: theirs")
    after = changed(card_of(head)).decode()
    cut = head.index("\n  -  name: second")
    assert after.startswith("---\n" + head[:cut])
    assert after.endswith(head[cut:] + "---\n# Title\n")
    assert [r["dataset"]["type"] for r in values(after.encode())["model-index"][0]["results"]] == [
        *("mteb/sts12", "theirs", "x", "ours", "ours")
    ]


def test_aliases_of_others_stay() -> None:
    assert "*id" in ALIASED
    before = card_of(ALIASED)
    told = list(difflib.ndiff(*(raw.decode().splitlines() for raw in (before, changed(before)))))
    assert [line for line in told if line.startswith("- ")] == []
    assert [line for line in told if line.startswith("+ ")] != []


def test_flow_style_is_written_again_and_says_the_same() -> None:
    head = "license: mit\nmodel-index: [{name: m, results: [" + repr(OTHER) + "]}]\ntags: [a]\n"
    after = changed(card_of(head))
    assert values(after)["model-index"] == [{"name": "m", "results": [OTHER, *NEW]}]
    assert after.startswith(b"---\nlicense: mit\nmodel-index:\n")
    assert after.endswith(b"\ntags: [a]\n---\n# Title\n")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("body", ["", "# Title\r\n\r\ntext without an end", "\n\ntext\n", "----\n"])
def test_a_card_without_yaml_gets_some_and_keeps_its_text(body: str, mark: bytes) -> None:
    after = changed(mark + body.encode())
    assert after.startswith(mark + b"---")
    assert after.endswith(body.encode())
    assert values(after)["model-index"] == [{"name": "m", "results": NEW}]
    assert changed(after) == after


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"---\nlicense: mit\na: b: c\n---\n", "README.md, line 3: its YAML cannot be read"),
        (b"---\n- a\n---\n", "its YAML is a list"),
        (b"---\nlicense: mit\n# Title\n", "no second line of --- ends the YAML"),
        (b"---\nmodel-index: 3\n---\n", "model-index: not as the hub writes it"),
        (b"---\nmodel-index: [{name: a, results: 3}]\n---\n", "not as the hub writes it"),
        (b"---\na: 2020-13-45\n---\n", "its YAML cannot be read: month must be in 1..12"),
        (b"# \xff\n", "byte 2 is not UTF-8"),
    ],
)
def test_broken_cards_are_refused_with_one_message(raw: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_card(raw, "README.md")
    assert said in str(caught.value)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    "head",
    [
        "{license: mit}\n",
        "x: &a {dataset: {type: ours, name: o}, metrics: []}\nmodel-index:\n- name: m\n"
        "  results:\n  - &b {dataset: {type: ours, name: o}}\ny: *b\n",
    ],
)
def test_yaml_that_cannot_be_changed_alone_is_refused(head: str) -> None:
    with pytest.raises(DataError, match="cannot be changed without changing other keys"):
        changed(card_of(head))


WHOLE = [{"task": {"type": "retrieval"}, **each} for each in NEW]
TITLE = "# Title\n\ntext\n"
EMPTY = {
    "nothing": "---\n---\n",
    "blank line": "---\n\n---\n",
    "blanks at the end": "---\n--- \t\n",
    "comments": "---\n# of the owner\n\n# more\n---\n",
    "lines above": "\n\n---\n---\n",
    "no end of line": "---\n---",
    "comment and no end of line": "---\n# of the owner\n---",
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("body", ["", TITLE, f"{TITLE}\n---\n\nbelow a rule\n---\n"])
@pytest.mark.parametrize("front", EMPTY.values(), ids=EMPTY)
def test_yaml_that_says_nothing_is_filled(front: str, body: str, mark: bytes, newline: str) -> None:
    from huggingface_hub import ModelCard

    if front == EMPTY["blanks at the end"] and not installed("huggingface-hub", "1.26"):
        pytest.skip("huggingface_hub reads it from 1.26 on")
    if not front.endswith("\n"):
        body = ""
    before = mark + (front + body).replace("\n", newline).encode()
    card = parse_card(before, "README.md")
    assert card.content == before
    assert (card.values, card.body) == ({}, body.replace("\n", newline))
    after = changed(before, WHOLE)
    assert changed(after, WHOLE) == after
    # the hub's own reader sees our figures, and the text as it was
    text = after.decode("utf-8-sig")
    read = ModelCard(text)
    assert read.text == body.replace("\n", newline)
    assert yaml.safe_load(re.split(r"---\s*$", text, flags=re.M)[1])["model-index"] == [
        {"name": "m", "results": WHOLE}
    ]
    assert [each.metric_value for each in read.data.eval_results] == [0.5, 1e-07]
    # and nothing but lines of ours is new
    kept = iter(after.decode().split(newline))
    assert all(line in kept for line in before.decode().split(newline) if line)


@pytest.mark.parametrize("head", ["{}", "null", " ~ "])
@pytest.mark.parametrize("end", [f"\n---\n{TITLE}", "\n---"])
def test_an_empty_value_as_the_yaml_is_filled(head: str, end: str) -> None:
    before = f"---\n{head}{end}".encode()
    assert parse_card(before, "README.md").content == before
    after = changed(before, WHOLE)
    assert after == changed(f"---{end}".encode(), WHOLE) == changed(after, WHOLE)


PIECES = ("---", "--", "\n", "\r\n", "\r", "\u2028", " ", "\t", "a: 1", "#")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_yaml_is_found_where_the_hub_finds_it(text: str) -> None:
    if not installed("huggingface-hub", "1.26"):
        pytest.skip("the pattern of older versions is another one")
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    ours, theirs = front_matter._BLOCK.match(text), REGEX_YAML_BLOCK.match(text)
    assert (ours and ours.groups()) == (theirs and theirs.groups()[:3])


def test_a_document_that_begins_within_the_yaml_is_what_the_hub_reads() -> None:
    from huggingface_hub import ModelCard

    before = f"---\n---\nlicense: mit\n---\n{TITLE}"
    assert ModelCard(before).data.license == "mit"
    assert parse_card(before.encode(), "README.md").values == {"license": "mit"}
    after = ModelCard(changed(before.encode(), WHOLE).decode())
    assert (after.data.license, after.text) == ("mit", TITLE)
    assert len(after.data.eval_results) == 2


def test_blanks_behind_the_first_dashes_are_told_as_the_hub_does_not_read_such_yaml() -> None:
    from huggingface_hub import ModelCard

    text = f"--- \nlicense: mit\n---\n{TITLE}"
    assert ModelCard(text).data.to_dict() == {}
    with pytest.raises(DataError, match="blanks follow the dashes that begin the YAML"):
        parse_card(text.encode(), "README.md")
    with pytest.raises(DataError, match="no second line of --- ends the YAML"):
        parse_card(b"---\nlicense: mit\n", "README.md")


def test_a_text_goes_below_the_last_line_of_dashes() -> None:
    for raw in (b"---\n---", b"---\r\nlicense: mit\r\n---"):
        end = b"\r\n" if b"\r" in raw else b"\n"
        assert with_body(parse_card(raw, "README.md"), "text").content == raw + end + b"text"
    for raw in (b"", b"---\n---\n", b"text"):
        assert with_body(parse_card(raw, "README.md"), "").content == raw.removesuffix(b"text")
