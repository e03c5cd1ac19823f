from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from mlbench.common.errors import ModelError
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.models import encoding, pace
from mlbench.models.cache import EmbeddingCache
from mlbench.models.encoding import Encoding, encode_shown
from mlbench.models.pace import MOST_TEXTS
from mlbench.models.plan import Plan
from mlbench.models.registry import LoadedModel
from mlbench.ranking.vectors import arrays


class Recorder:
    """Encodes a text as its length and character codes, and remembers what it was given."""

    def __init__(self) -> None:
        self.given: Counter[tuple[str, str, str]] = Counter()
        self.calls: list[int] = []

    def encode_queries(self, texts, language):
        return self._encode("query", texts, language)

    def encode_passages(self, texts, language):
        return self._encode("passage", texts, language)

    def _encode(self, role, texts, language):
        self.given.update((role, language, text) for text in texts)
        self.calls.append(len(texts))
        return np.array([[len(t), ord(t[0]), ord(t[-1])] for t in texts], np.float64)


def loaded(adapter, similarity="cosine", identity="declared: test") -> LoadedModel:
    return LoadedModel("test", "test", "file", adapter, similarity, identity)


def encode(adapter, collection, similarity="cosine", **options):
    return Encoding(loaded(adapter, similarity), collection, **options).encode()


def repeated_collection(extra: int = 0):
    """Texts repeated within and over languages and roles."""
    records = Records()
    for code in ("en", "de"):
        for i, text in enumerate(["alpha", "beta", "alpha", "gamma"] + ["x"] * extra):
            records.passages.append(TextRecord(f"p{i}", code, text, ""))
        records.queries += [
            TextRecord("q0", code, "alpha", ""),
            TextRecord("q1", code, "alpha", ""),
        ]
        records.judgements.append(Judgement("q0", code, "p1", code, 1, ""))
    return build_collection(("en", "de"), records)


def test_each_distinct_text_of_a_role_and_language_is_encoded_once():
    collection, adapter, done = repeated_collection(), Recorder(), []
    work = Encoding(loaded(adapter), collection)
    embedded = work.encode(lambda cost, texts: done.append((cost, texts)))
    assert set(adapter.given.values()) == {1}
    assert len(adapter.given) == 2 * (3 + 1) == work.texts
    assert [sum(told) for told in zip(*done, strict=True)] == [work.cost, work.texts]
    assert work.cached == 0
    assert embedded.counts == {"passage": (6, 0), "query": (2, 0)}
    plan = Plan.of(collection)
    assert [(g.language, len(g.texts), len(g.entry)) for g in plan.passages] == [
        ("en", 3, 4), ("de", 3, 4),
    ]  # fmt: skip
    assert embedded.passages.shape == (8, 3)
    assert np.array_equal(embedded.passages[0], embedded.passages[2])
    assert embedded.passages.dtype == embedded.queries.dtype == np.float32


def test_long_lists_go_in_batches():
    records = Records()
    records.passages = [TextRecord(f"p{i}", "en", f"text {i}", "") for i in range(MOST_TEXTS + 5)]
    records.queries = [TextRecord("q", "en", "text", "")]
    records.judgements = [Judgement("q", "en", "p0", "en", 1, "")]
    collection, adapter = build_collection(("en",), records), Recorder()
    encode(adapter, collection)
    assert sum(adapter.calls) == MOST_TEXTS + 6
    assert min(adapter.calls) == 1
    assert adapter.calls[0] < 100 < max(adapter.calls) <= MOST_TEXTS  # a few first, then many


def test_cosine_vectors_are_normalised_and_dot_vectors_kept():
    collection = repeated_collection()
    cosine, dot = encode(Recorder(), collection), encode(Recorder(), collection, "dot")
    assert np.linalg.norm(cosine.passages, axis=1) == pytest.approx(1)
    assert dot.passages[0].tolist() == [5, ord("a"), ord("a")]


class Collapsed(Recorder):
    def _encode(self, role, texts, language):
        return np.ones((len(texts), 4), np.float32)


def test_a_collapsed_encoder_is_warned_about():
    embedded = encode(Collapsed(), letters(*"abcdefgh"))
    (warning,) = embedded.warnings  # of the passages: one query text shows nothing
    assert "all passage texts" in warning
    assert "has collapsed" in warning


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_an_encoder_of_zeros_alone_has_collapsed(similarity, form):
    adapter = Faulty(lambda v, role, language: form(0 * v))
    embedded = encode(adapter, letters(*"abcdefgh"), similarity)
    assert len(embedded.warnings) == 1


def test_few_distinct_texts_show_no_collapse():
    assert encode(Collapsed(), letters(*"abcdefg")).warnings == ()
    assert encode(Collapsed(), letters(*"abc" * 9)).warnings == ()
    assert encode(Recorder(), letters(*("a" * 20**i for i in range(4)), *"bcde")).warnings == ()


@pytest.mark.parametrize("name", ["cacheable", "language_free", "prompts", "options"])
def test_an_attribute_that_cannot_be_read_is_a_model_error(name):
    def fail(self):
        raise OSError("no such file")

    adapter = type("Broken", (Recorder,), {name: property(fail)})()
    with pytest.raises(ModelError, match=f"attribute {name}: OSError: no such file"):
        encode(adapter, repeated_collection())


@pytest.mark.parametrize(("name", "value"), [("prompts", "query: "), ("options", {"a": {1}})])
def test_an_attribute_of_another_type_is_a_model_error(cache, name, value):
    adapter = type("Broken", (_Asks,), {name: value})()
    with pytest.raises(ModelError, match="attributes prompts and options"):
        encode(adapter, repeated_collection(), cache=cache)


class Faulty(Recorder):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def _encode(self, role, texts, language):
        return self.fault(super()._encode(role, texts, language), role, language)


def _nan(vectors, role, language):
    if (role, language) == ("passage", "de"):
        vectors[1, 1] = np.nan
    return vectors


def _wide(vectors, role, language):
    return np.hstack([vectors, vectors]) if role == "query" else vectors


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_nan, r"NaN or infinity for passage 'p1' \(de\)"),
        (_wide, "6 dimensions.*3 dimensions"),
        (lambda v, role, language: v[:-1], "for 3 texts"),
        (lambda v, role, language: v[0], r"shape \(3,\)"),
        (lambda v, role, language: v.tolist(), "list"),
        (lambda v, role, language: np.array([[1.0], "x"], object), "object"),
    ],
)
def test_broken_vectors_are_model_errors_that_name_the_call(fault, message):
    collection = repeated_collection()
    with pytest.raises(ModelError, match=message) as caught:
        encode(Faulty(fault), collection)
    assert "model test, encode_" in str(caught.value)


def test_fit_and_bind_come_before_anything_is_encoded():
    class Learner(Recorder):
        def __init__(self):
            super().__init__()
            self.log = []

        def fit(self, texts, language):
            self.log.append(("fit", language, tuple(texts)))

        def bind(self, role, language, ids, texts):
            assert len(ids) == len(texts)
            self.log.append(("bind", role, language, tuple(ids)))

        def _encode(self, role, texts, language):
            self.log.append(("encode", role, language))
            return super()._encode(role, texts, language)

    collection, adapter = repeated_collection(), Learner()
    encode(adapter, collection)
    kinds = [entry[0] for entry in adapter.log]
    assert kinds == ["fit"] * 2 + ["bind"] * 4 + ["encode"] * 4
    assert adapter.log[0] == ("fit", "en", ("alpha", "beta", "gamma"))
    assert adapter.log[4] == ("bind", "passage", "en", ("p0", "p1", "p2", "p3"))


class Neural(Recorder):
    """Is told no language, reads texts by their letters alone, and may be cached."""

    cacheable = True
    language_free = True

    def canonical(self, role, texts):
        return ["".join(filter(str.isalpha, text)).lower().encode() for text in texts]

    def _encode(self, role, texts, language):
        """Round as a network does: the vector depends on what stands beside the text."""
        vectors = super()._encode(role, texts, language)
        return vectors + len(texts) / 1024


def letters(*texts, languages=("en", "de")):
    """The texts as passages of each language, in turn, and one query a language."""
    records = Records()
    for place, text in enumerate(texts):
        records.passages.append(TextRecord(f"p{place}", languages[place % 2], text, ""))
    for code in languages:
        records.queries.append(TextRecord("q", code, "what", ""))
        records.judgements.append(Judgement("q", code, f"p{languages.index(code)}", code, 1, ""))
    return build_collection(languages, records)


def test_a_model_that_is_told_no_language_gets_each_text_once_over_all():
    class Free(Recorder):
        language_free = True

    adapter, collection = Free(), repeated_collection()
    embedded = encode(adapter, collection)
    assert adapter.given == Counter(
        [("passage", "", t) for t in ("alpha", "beta", "gamma")] + [("query", "", "alpha")]
    )
    assert embedded.counts == {"passage": (3, 0), "query": (1, 0)}
    told = encode(Recorder(), collection)
    assert embedded.passages.tobytes() == told.passages.tobytes()
    assert embedded.queries.tobytes() == told.queries.tobytes()


def test_texts_that_a_model_reads_alike_are_one_text_and_tie_exactly_across_languages():
    collection = letters("one", "ONE", "four", "o-n-e", "two", "three", "one!")
    adapter, done = Neural(), []
    work = Encoding(loaded(adapter), collection)
    embedded = work.encode(lambda cost, texts: done.append(cost))
    assert work.cost == sum(done) == len("one" + "four" + "two" + "three" + "what")
    assert embedded.counts == {"passage": (4, 0), "query": (1, 0)}
    assert max(adapter.given.values()) == 1
    same = [
        i
        for i, t in enumerate(collection.passages.texts)
        if Neural().canonical("", [t]) == [b"one"]
    ]
    assert len(same) == 4
    assert len({embedded.passages[i].tobytes() for i in same}) == 1


def test_the_longest_texts_are_encoded_first_in_an_order_that_the_texts_alone_decide(monkeypatch):
    class Logged(Neural):
        def __init__(self):
            super().__init__()
            self.batches = []

        def _encode(self, role, texts, language):
            self.batches.append(texts)
            return super()._encode(role, texts, language)

    in_batches(monkeypatch, 2)
    batches = []
    for texts in (("b", "ccc", "a", "dd", "eeee"), ("eeee", "a", "ccc", "b", "dd")):
        adapter = Logged()
        encode(adapter, letters(*texts))
        batches.append(adapter.batches)
    assert batches[0] == batches[1] == [["eeee", "ccc"], ["dd", "a"], ["b"], ["what"]]


@pytest.mark.parametrize("value", [None, ["a", "b"], [b"a"], (b"a", b"b"), [b"a", b"b", b"c"]])
def test_a_canonical_form_must_be_bytes_one_a_text(value):
    class Odd(Neural):
        def canonical(self, role, texts):
            return value

    with pytest.raises(ModelError, match=r"model test, canonical.*\n.*a list of bytes"):
        encode(Odd(), letters("one", "two"))


def test_a_model_that_fails_in_canonical_is_a_model_error():
    class Broken(Neural):
        def canonical(self, role, texts):
            raise ValueError("no tokenizer")

    with pytest.raises(ModelError, match=r"canonical: ValueError: no tokenizer"):
        encode(Broken(), letters("one", "two"))


def test_errors_name_the_text_and_its_language_when_languages_are_encoded_together():
    class Broken(Neural):
        def _encode(self, role, texts, language):
            return np.array([[np.inf if t == "two" else 1.0] for t in texts])

    with pytest.raises(ModelError, match=r"infinity for passage 'p3' \(de\)"):
        encode(Broken(), letters("one", "four", "three", "two"))


def words(size):
    """Different words of two letters, in their order."""
    return [chr(ord("a") + i // 26) + chr(ord("a") + i % 26) for i in range(size)]


def in_batches(monkeypatch, size):
    """Let a model be given ``size`` texts at once."""
    monkeypatch.setattr(pace, "MOST_TEXTS", size)
    monkeypatch.setattr(pace, "FIRST_BYTES", 2**20)


@pytest.fixture
def cache(tmp_path):
    def warn(message):
        raise AssertionError(message)

    return EmbeddingCache(tmp_path / "embeddings", warn=warn)


TEXTS = ("one", "TWO", "three", "two", "five", "six", "seven", "eleven")


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_warm_run_encodes_nothing_and_gives_the_same_bytes(cache, monkeypatch, similarity):
    in_batches(monkeypatch, 3)
    collection = letters(*TEXTS)
    plain = encode(Neural(), collection, similarity)
    cold = encode(Neural(), collection, similarity, cache=cache)
    adapter = Neural()
    work = Encoding(loaded(adapter, similarity), collection, cache)
    assert work.cost == 0
    warm = work.encode()
    assert not adapter.calls
    assert cold.counts == plain.counts == {"passage": (7, 0), "query": (1, 0)}
    assert warm.counts == {"passage": (0, 7), "query": (0, 1)}
    for embedded in (cold, warm):
        assert embedded.passages.tobytes() == plain.passages.tobytes()
        assert embedded.queries.tobytes() == plain.queries.tobytes()


class Mute(Neural):
    """Encodes, but does not say how it reads texts."""

    def canonical(self, role, texts):
        raise AssertionError


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_warm_run_asks_the_model_nothing(cache, similarity):
    collection = letters(*TEXTS, "t-w-o", "ONE")
    cold = encode(Neural(), collection, similarity, cache=cache)
    adapter = Mute()
    warm = encode(adapter, collection, similarity, cache=cache)
    assert not adapter.calls
    assert warm.passages.tobytes() == cold.passages.tobytes()
    assert warm.counts == {"passage": (0, 7), "query": (0, 1)}


def test_a_run_that_must_encode_again_does_so_in_the_same_batches(cache, monkeypatch):
    """Its texts are known, its vectors are gone but for some."""
    in_batches(monkeypatch, 3)
    collection = letters(*TEXTS, "t-w-o", "ONE")
    plain, adapter = encode(Neural(), collection, cache=cache), Neural()
    shards = sorted(entry.path for entry in cache.entries() if entry.head is not None)
    lost = shards[1:]
    for path in lost:
        path.unlink()
    again = encode(adapter, collection, cache=cache)
    assert len(adapter.calls) == len(lost)
    assert again.passages.tobytes() == plain.passages.tobytes()
    assert again.queries.tobytes() == plain.queries.tobytes()
    assert sum(count.cached for count in again.counts.values()) < 8


def test_texts_that_tie_also_tie_with_what_the_cache_holds_from_another_task(cache):
    before = encode(Neural(), letters("one", "two", "three"), cache=cache)
    adapter = Neural()
    embedded = encode(adapter, letters("four", "T-W-O", "ONE", "five"), cache=cache)
    assert sum(adapter.given.values()) == 2
    assert embedded.counts["passage"] == (2, 2)
    assert embedded.passages[1].tobytes() == before.passages[0].tobytes()  # ONE and one, both en
    assert embedded.passages[2].tobytes() == before.passages[2].tobytes()  # two, both de


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "declared: another"},
        {"prompts": {"passage": "passage: ", "query": "query: "}},
        {"options": {"dimension": 2}},
        {"language_free": False},
    ],
)
def test_whatever_may_change_a_vector_misses(cache, change):
    collection = letters(*TEXTS)
    encode(Neural(), collection, cache=cache)
    adapter = Neural()
    identity = change.pop("identity", "declared: test")
    vars(adapter).update(change)
    embedded = Encoding(loaded(adapter, identity=identity), collection, cache).encode()
    assert [count.cached for count in embedded.counts.values()] == [0, 0]


def test_a_model_told_the_language_is_cached_by_language(cache):
    class Told(Recorder):
        cacheable = True

    first = encode(Told(), letters("one", "one", "two"), cache=cache)
    assert first.counts["passage"] == (3, 0)
    again = encode(Told(), letters("one", "two", "two"), cache=cache)  # "two" is new to de alone
    assert again.counts["passage"] == (1, 2)


class Cutting(Neural):
    """Cuts batches of three itself, and rounds as a network does."""

    def __init__(self):
        super().__init__()
        self.given_together = []

    def batch_sizes(self, role, forms):
        return [len(forms[start : start + 3]) for start in range(0, len(forms), 3)]

    def _encode(self, role, texts, language):
        self.given_together.append(texts)
        return super()._encode(role, texts, language)


def test_a_model_that_cuts_batches_itself_is_given_whole_ones(monkeypatch):
    texts = words(20)
    for first in (1, 7, 2**20):
        monkeypatch.setattr(pace, "FIRST_BYTES", first)
        adapter = Cutting()
        encode(adapter, letters(*texts))
        passages = adapter.given_together[:-1]
        assert [text for batch in passages for text in batch] == sorted(texts)
        assert {len(batch) % 3 for batch in passages[:-1]} <= {0}


@pytest.mark.parametrize("counts", [[3], [3, 0], [1, 1, 1]])
def test_a_model_whose_batches_are_not_the_texts_is_refused(counts):
    class Wrong(Neural):
        def batch_sizes(self, role, forms):
            return counts

    with pytest.raises(ModelError, match="batch_sizes: returned batches of 3 texts in all"):
        encode(Wrong(), letters("one", "two"))


class Stopped(Neural):
    """Is stopped by its user after some calls."""

    def __init__(self, calls):
        super().__init__()
        self.left = calls

    def _encode(self, role, texts, language):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super()._encode(role, texts, language)


def test_a_run_that_is_stopped_loses_one_batch_and_says_what_is_kept(cache, monkeypatch, capsys):
    in_batches(monkeypatch, 3)
    collection = letters(*TEXTS)
    with pytest.raises(KeyboardInterrupt) as stop:
        encode(Stopped(2), collection, cache=cache)
    (note,) = stop.value.__notes__
    assert note.startswith("6 of 8 texts are in the embedding cache")
    work = Encoding(loaded(Neural()), collection, cache)
    assert (work.cached, work.texts) == (6, 8)
    encode_shown(work, "t", quiet=False)
    assert capsys.readouterr().err.startswith("t: 6 of 8 texts are in the cache\n")


def test_the_pace_of_a_model_is_kept_so_that_a_later_run_has_the_same_batches(cache, monkeypatch):
    class Slow(Neural):
        def _encode(self, role, texts, language):
            now[0] += len(texts)
            return super()._encode(role, texts, language)

    now = [0.0]
    monkeypatch.setattr(encoding.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pace, "FIRST_BYTES", 1)
    monkeypatch.setattr(pace, "LONG_SECONDS", 4)
    texts = words(60)
    first, again = Slow(), Slow()
    encode(first, letters(*texts), cache=cache)
    for entry in cache.entries():
        if entry.head is not None:
            entry.path.unlink()
    encode(again, letters(*texts), cache=cache)
    assert max(first.calls) < 20
    assert first.calls == again.calls


def test_the_small_files_of_a_run_are_joined(cache, monkeypatch):
    from mlbench.models import cache as cache_module

    in_batches(monkeypatch, 3)
    monkeypatch.setattr(cache_module, "JOINED_TEXTS", 6)
    collection = letters(*TEXTS)
    plain = encode(Neural(), collection)
    encode(Neural(), collection, cache=cache)
    rows = sorted(entry.head.rows for entry in cache.entries(check=True) if entry.head is not None)
    assert rows == [1, 1, 6]  # passages 3 + 3, then 1; the query
    warm = encode(Stopped(0), collection, cache=cache)
    assert warm.passages.tobytes() == plain.passages.tobytes()


class _Asks(Recorder):
    cacheable = True


class _Fitted(_Asks):
    def fit(self, texts, language):
        pass


@pytest.mark.parametrize(
    ("adapter", "identity"),
    [
        (Recorder, "declared: test"),
        (_Asks, "derived: test"),
        (_Fitted, "declared: test"),
    ],
)
def test_what_is_not_safe_to_cache_is_not_cached(cache, adapter, identity):
    for _ in range(2):
        work = Encoding(loaded(adapter(), identity=identity), letters(*TEXTS), cache)
        assert work.encode().counts["passage"].cached == 0
    assert not cache.folder.exists()


def test_a_model_whose_dimension_changed_under_one_identity_is_refused(cache):
    class Wider(Neural):
        def _encode(self, role, texts, language):
            return np.ones((len(texts), 9), np.float32)

    encode(Neural(), letters("one", "two", "three"), cache=cache)
    with pytest.raises(ModelError, match=r"of 9 dimensions; the embedding cache returned .* of 3"):
        encode(Wider(), letters("one", "four", "five"), cache=cache)


class _Sparse(Neural):
    def _encode(self, role, texts, language):
        rows = super()._encode(role, texts, language)
        rows[:, 1] *= np.arange(len(rows)) % 2  # values that are 0
        return sparse.csr_matrix(rows)


def test_sparse_vectors_are_laid_out_as_dense_ones_are():
    class Dense(_Sparse):
        def _encode(self, role, texts, language):
            return super()._encode(role, texts, language).toarray()

    collection = letters("one", "two", "one", "two", "three", "four")
    dense, found = encode(Dense(), collection), encode(_Sparse(), collection)
    assert np.array_equal(found.passages.toarray(), dense.passages)
    assert found.passages.dtype == np.float32


def raw(vectors):
    return [part.tobytes() for part in arrays(vectors)]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_sparse_vectors_are_taken_from_the_cache_and_a_stopped_run_goes_on(
    cache, monkeypatch, similarity
):
    class Stopping(Stopped, _Sparse):
        pass

    in_batches(monkeypatch, 3)
    collection = letters(*TEXTS)
    plain = encode(_Sparse(), collection, similarity)
    with pytest.raises(KeyboardInterrupt):
        encode(Stopping(2), collection, similarity, cache=cache)
    resumed = encode(Stopping(2), collection, similarity, cache=cache)
    warm = encode(Stopping(0), collection, similarity, cache=cache)
    assert resumed.counts == {"passage": (1, 6), "query": (1, 0)}
    assert warm.counts == {"passage": (0, 7), "query": (0, 1)}
    for embedded in (resumed, warm):
        assert raw(embedded.passages) == raw(plain.passages)
        assert raw(embedded.queries) == raw(plain.queries)
