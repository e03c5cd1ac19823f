"""Names: what may stand in them, which look alike, and the folders they give."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.files import RESERVED, slug
from mlbench.leaderboard.entries.board import SLUG, Place, is_maintainers, place_of
from mlbench.leaderboard.entries.strict import (
    link_fault,
    name_fault,
    shown,
    skeleton,
    text_fault,
    visible,
)

TRICKY = (
    "a/b", "a__b", "a--b", "a-b", "A-b", "a b", "a\\b", "a:b", "..", ".", "../..", "...", "",
    " ", "-", "con", "CON", "con.txt", "prn", "aux", "nul", "com1", "lpt9", "com1.json",
    "x" * 299, "x" * 300, "X" * 300, "x" * 60 + "y", "x" * 60 + "z", "ä", "a\u0308", "\u00e4",
    "e5", "E5", "\u0435" + "5", "\x00", "\x1b[31m", "a\u202eb", "a\nb", "日本", "日木", "\ud800",
    "bm25", "bm25-0123456789", "bm25.", ".bm25", "bm25 ", "records", "entry.json", "ranks.parquet",
)  # fmt: skip


def test_tricky_names_have_folders_of_their_own() -> None:
    folders = [slug(name) for name in TRICKY]
    distinct = {name.encode("utf-8", "surrogatepass") for name in TRICKY}
    assert len({folder.casefold() for folder in folders}) == len(distinct)


@given(st.text(max_size=310) | st.sampled_from(TRICKY))
def test_any_name_gives_a_safe_folder(name: str) -> None:
    folder = slug(name)
    assert re.fullmatch(r"[a-z0-9._-]{1,71}", folder)
    assert folder not in (".", "..")
    assert not folder.startswith((".", "-"))
    assert not folder.endswith((".", " "))
    assert not RESERVED.fullmatch(folder)
    assert folder == folder.casefold()


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@given(st.text(max_size=310))
def test_every_folder_of_a_name_that_may_be_submitted_is_known_to_the_layout(name: str) -> None:
    if not name_fault(name):
        from pathlib import PurePosixPath

        path = PurePosixPath("task", slug(name), "entry.json")
        assert place_of(path) == Place("task", slug(name))
        assert SLUG.fullmatch(slug(name))
        assert not is_maintainers(path)


@pytest.mark.parametrize(
    "name",
    ["bm25", "BM25", "all-MiniLM-L6-v2", "intfloat/multilingual-e5-large", "X-X (mono)", "ΛaBSE",
     "日本語モデル", "model v1.2 [int8]", "5-gram", "a+b", "“x”", "नमस्ते", "x" * 200],
)  # fmt: skip
def test_plain_names_are_taken(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", "empty"), (" a", "space at an end"), ("a ", "space at an end"), ("a\t", "space"),
        ("x" * 201, "201 characters"), ("=1", "formula"), ("+1", "formula"), ("-1", "formula"),
        ("@a", "formula"), ("a<b", "'<'"), ("a>b", "'>'"), ("a\x00b", "U+0000"),
        ("a\x85b", "U+0085"), ("a\u200eb", "left-to-right mark"), ("a\ufeffb", "U+FEFF"),
        ("a\u2029b", "U+2029"), ("a\ud800b", "U+D800"), ("a\U000e0041b", "tag latin capital"),
        ("bm25\u3164", "hangul filler"), ("bm25\uffa0", "hangul filler"), ("bm\u034f25", "U+034F"),
        ("bm25\ufe0f", "variation selector"), ("bm25\u2800", "braille"), ("bm\u206525", "U+2065"),
        ("a" + "\u0301" * 5, "marks on a letter"),
    ],
)  # fmt: skip
def test_other_names_are_not(name: str, found: str) -> None:
    fault = name_fault(name)
    assert found in fault
    assert text_fault(fault) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bm25", "BM25"), ("bm25", "bm-25"), ("bm25", "bm 25"), ("bm25", "bm_25"),
        ("bm25", "bm25."), ("model", "mode1"), ("model", "modeI"), ("model", "m0del"),
        ("e5-base", "\u04355-base"), ("paper", "\u0440\u0430\u0440\u0435r"), ("ohm", "\u03bfhm"),
        ("LaBSE", "ＬａＢＳＥ"), ("bm25", "bm²⁵"), ("fine", "ﬁne"), ("cafe", "café"),
        ("bm25", "bm\u200b25"), ("bm25", "bm25\u3164"), ("bm25", "b\uffa0m25"),
        ("v1.2", "v1_2"), ("a(b)", "ab"), ("BM25", "\u0392\u039c25"), ("NLLB", "\u039dLLB"),
        ("Hindi", "\u0397indi"), ("Cohere", "\u03f9ohere"), ("bm25", "\u0299\u1d0d25"),
        ("love", "l\u00f8ve"), ("bert", "\u044cert"),
        # Cherokee: Ᏼ Ꮇ, Ꭼ and the small ꮯ; Lisu: ꓐ ꓟ, ꓡ ꓮ ꓐ ꓢ ꓰ and a tone letter
        ("BM25", "\u13f4\u13b725"), ("E5", "\u13ac5"), ("cohere", "\uabafohere"),
        ("BM25", "\ua4d0\ua4df25"), ("LaBSE", "\ua4e1\ua4ee\ua4d0\ua4e2\ua4f0"),
        ("gte.", "gte\ua4f8"), ("GTE", "G\ua4d4\u13ac"), ("LASER", "\u13deASE\u13a1"),
        # Coptic, Canadian syllabics, Old Italic, Deseret, Osage, Armenian, Carian, Lycian
        ("Cohere", "\u2ca4ohere"), ("dense", "\u146fense"), ("BERT", "\U00010301ERT"),
        ("Contriever", "\U00010415ontriever"), ("OpenAI", "\U000104c2penAI"),
        ("nomic", "\u0578omic"), ("MiniLM", "MiniL\U000102b0"), ("BGE", "\U00010282GE"),
        # digits of other scripts that look like o, and Hebrew, Arabic and Myanmar letters
        ("nomic", "n\u0966mic"), ("nomic", "n\u101dmic"), ("nomic", "n\u0647mic"),
        ("model", "mode\u05d5"), ("Qwen3", "Qwen\u0417"), ("mT5", "mT\u01bc"),
        # circles, squares, flags, strokes, hooks, tails, enclosing marks, the bar
        ("BM25", "\U0001f171M25"), ("BM25", "\U0001f151\U0001f15c25"),
        ("BM25", "\U0001f1e7\U0001f1f225"), ("bert", "\u0253er\u0288"), ("glove", "g\u2c61ove"),
        ("kalm", "\u049balm"), ("bert", "\u0180e\u024dt"), ("E5", "E\u20dd5"), ("model", "mode|"),
        # several letters that look like one, and one that looks like two
        ("gemma", "gernma"), ("wow", "vvovv"), ("AE", "\u04d4"), ("aaa", "\ua733a"),
    ],
)  # fmt: skip
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1.12", "v11.2"), ("v1.2", "v12"), ("e5-small", "e5-base"), ("gte-2", "gte-3"),
        ("qwen-0.6b", "qwen-6b"), ("X-X", "X-Y"), ("labse", "laser"), ("日本", "日木"),
        ("модель", "модуль"), ("नमस्ते १", "नमस्ते २"), ("نموذج ١٠", "نموذج ١"), ("ᏣᎳᎩ", "ᏣᎳᏍ"),
        ("μοντέλο", "μοντέλα"), ("모델 가", "모델 나"), ("แบบ", "แบน"), ("ꓡꓲ", "ꓡꓯ"), ("e5", "e6"),
    ],
)  # fmt: skip
def test_names_that_differ_do_not(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@given(st.text(max_size=100))
def test_what_is_shown_hides_nothing(text: str) -> None:
    assert text_fault(visible(text)) == ""
    assert text_fault(shown(text)) == ""
    assert "\n" not in shown(text)


@pytest.mark.parametrize(
    "link",
    ["https://example.org", "https://arxiv.org/abs/2004.05484", "https://a.b.example.org:8443/x?y=1#z"],
)  # fmt: skip
def test_links_that_are_taken(link: str) -> None:
    assert link_fault(link) == ""


@pytest.mark.parametrize(
    "link",
    ["", "example.org", "http://example.org", "javascript:alert(1)", "JAVASCRIPT:alert(1)",
     "java\nscript:alert(1)", "data:text/html,x", "//example.org", "https://", "https://localhost",
     "https://example.org/a b", "https://example.org/\"x", "https://example.org/<x", "ftp://a.org",
     "https://example.org\\@evil.org", "https://a@evil.org", " https://example.org",
     "https://example.org/\u202e", "vbscript:x", "https:example.org"],
)  # fmt: skip
def test_links_that_are_not(link: str) -> None:
    if "\u202e" not in link:  # what cannot be seen is refused in every text
        assert "is not an https:// link" in link_fault(link)
    else:
        assert text_fault(link)
