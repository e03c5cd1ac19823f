from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import ModelError
from mlbench.models import bm25
from mlbench.models.protocol import Fitted
from mlbench.models.tokens import tokens

PASSAGES = {
    "en": ["the lake freezes", "bees dance on the lake", "the the the", "NFL 2016", "!?"],
    "de": ["der See friert im Winter", "Bienen tanzen", "NFL lake 2016"],
    "zh": ["湖面在冬天都会结冰", "蜜蜂用舞蹈", "短文"],
}


def _fitted(passages: dict[str, list[str]]) -> bm25.BM25:
    model = bm25.make()
    for language, texts in passages.items():
        model.fit(texts, language)
    return model


def _reference(passages: list[str], query: str) -> np.ndarray:
    """The scores of bm25s itself; zeros for a query without a known token."""
    import bm25s

    found = [tokens(passage) for passage in passages]
    model = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    model.index(found, show_progress=False)
    known = {token for words in found for token in words}
    words = [token for token in tokens(query) if token in known]
    return model.get_scores(words) if words else np.zeros(len(passages))


@pytest.mark.parametrize("query", ["the lake the", "NFL lake zebra", "zebra", "", "湖面 dance"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_scores_are_those_of_bm25s(query: str, language: str) -> None:
    model = _fitted(PASSAGES)
    passages = PASSAGES[language]
    scores = model.encode_queries([query], "en") @ model.encode_passages(passages, language).T
    np.testing.assert_allclose(
        scores.toarray()[0], _reference(passages, query), rtol=1e-6, atol=1e-7
    )


def test_score_by_hand() -> None:
    """Kamphuis et al. 2020, table 1, Lucene (accurate): idf * tf / (tf + k1 (1 - b + b l / L))."""
    model = _fitted({"en": ["a b", "a c c d", "e f"]})
    score = (model.encode_queries(["c"], "en") @ model.encode_passages(["a c c d"], "en").T)[0, 0]
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    assert score == pytest.approx(idf * 2 / (2 + 1.5 * (0.25 + 0.75 * 4 / (8 / 3))), rel=1e-6)


def test_one_vocabulary_in_code_point_order_and_sorted_rows() -> None:
    model = _fitted(PASSAGES)
    rows = [model.encode_passages(texts, language) for language, texts in PASSAGES.items()]
    rows += [model.encode_queries(texts, language) for language, texts in PASSAGES.items()]
    size = len({token for texts in PASSAGES.values() for text in texts for token in tokens(text)})
    for matrix in rows:
        assert matrix.format == "csr"
        assert matrix.dtype == np.float32
        assert matrix.shape[1] == size
        for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
            assert (np.diff(matrix.indices[start:end]) > 0).all()
    columns = list(model._vocabulary())
    assert columns == sorted(columns)


def test_statistics_are_those_of_the_passages_own_language() -> None:
    alone, among = _fitted({"en": PASSAGES["en"]}), _fitted(PASSAGES)
    query = ["the lake"]
    assert np.array_equal(
        (alone.encode_queries(query, "en") @ alone.encode_passages(PASSAGES["en"], "en").T).data,
        (among.encode_queries(query, "de") @ among.encode_passages(PASSAGES["en"], "en").T).data,
    )


@settings(max_examples=25, deadline=None)
@given(st.permutations(list(PASSAGES)), st.permutations(PASSAGES["en"]))
def test_order_of_languages_and_texts_does_not_matter(order: list[str], texts: list[str]) -> None:
    model = _fitted({language: PASSAGES[language] for language in order} | {"en": texts})
    expected = _fitted(PASSAGES).encode_passages(PASSAGES["en"], "en").toarray()
    assert np.array_equal(model.encode_passages(PASSAGES["en"], "en").toarray(), expected)
    one_by_one = [model.encode_passages([text], "en").toarray() for text in PASSAGES["en"]]
    assert np.array_equal(np.concatenate(one_by_one), expected)


def test_fitted_again_for_another_collection() -> None:
    model = _fitted(PASSAGES)
    model.encode_queries(["lake"], "en")
    model.fit(["zebra"], "en")
    assert model.encode_passages(["zebra"], "en").nnz == 1
    with pytest.raises(ModelError):
        model.encode_passages(["the lake freezes"], "en")


def test_unfitted_or_unknown_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="before fit"):
        bm25.make().encode_queries(["lake"], "en")
    with pytest.raises(ModelError, match=r"'th'.*\n?.*not fitted on: \['lake'\]"):
        _fitted(PASSAGES).encode_passages(["lake"], "th")


def test_languages_without_any_token_and_empty_lists() -> None:
    model = _fitted({"en": ["!", "?"]})
    assert model.encode_passages(["?", "!"], "en").shape == (2, 1)
    assert model.encode_queries(["lake"], "en").nnz == 0
    fitted = _fitted(PASSAGES)
    assert fitted.encode_passages([], "en").shape == fitted.encode_queries([], "en").shape


def test_is_recognised_as_fitted() -> None:
    assert isinstance(bm25.make(), Fitted)
