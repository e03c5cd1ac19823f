"""The loop for static embeddings, against torch and sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.training.static import Table, Tokens, info_nce, learn

torch = pytest.importorskip("torch")


def random_bags(chance, texts, vocabulary):
    sizes = chance.integers(1, 9, texts)
    tokens = chance.integers(0, vocabulary, sizes.sum())
    return tokens.astype(np.int64), np.cumsum([0, *sizes[:-1]]).astype(np.int64)


def test_steps_are_those_of_sparse_adam_over_an_embedding_bag():
    chance = np.random.default_rng(3)
    begin = torch.from_numpy(chance.standard_normal((50, 16)).astype(np.float32))
    table = Table.begin(begin.clone())
    bag = torch.nn.EmbeddingBag.from_pretrained(begin.clone(), freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam(bag.parameters(), lr=0.03)
    for _ in range(12):
        tokens, starts = random_bags(chance, 12, 50)
        vectors = bag(torch.from_numpy(tokens), torch.from_numpy(starts))
        loss = info_nce(vectors[:6], vectors[6:], 20.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert learn(table, (tokens, starts), 6, 20.0, 0.03) == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(table.vectors, bag.weight, atol=1e-5)
    assert not torch.allclose(table.vectors, begin, atol=1e-2)


@pytest.mark.parametrize("more", [0, 5])
def test_the_loss_is_that_of_sentence_transformers(more):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    queries, passages = torch.randn(7, 8), torch.randn(7 + more, 8)
    theirs = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=30.0)
    given = [queries, passages[:7]] + ([torch.cat([passages[7:], passages[7:9]])] if more else [])
    wanted = theirs.compute_loss_from_embeddings(given, None)
    ours = info_nce(queries, torch.cat(given[1:]), 30.0)
    assert ours.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_loss_by_hand():
    queries = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    passages = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    cosines = np.array([[1, 0.5**0.5], [0, 0.5**0.5]])
    shares = np.exp(2 * cosines) / np.exp(2 * cosines).sum(1, keepdims=True)
    wanted = -np.log(np.diag(shares)).mean()
    assert info_nce(queries, passages, 2.0).item() == pytest.approx(wanted, rel=1e-6)


def test_a_loss_that_is_no_number_changes_nothing():
    vectors = torch.randn(20, 4)
    vectors[3] = float("nan")
    table = Table.begin(vectors.clone())
    tokens, starts = np.array([1, 3, 2, 4], np.int64), np.array([0, 1, 2, 3], np.int64)
    assert np.isnan(learn(table, (tokens, starts), 2, 20.0, 0.1))
    assert table.step == 0
    assert torch.equal(torch.nan_to_num(table.vectors), torch.nan_to_num(vectors))


def test_texts_are_tokenised_as_the_model_does_it():
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "red", "blue", "house"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = ["red house", "", "blue blue sky", "red house", "house"]
    theirs = StaticEmbedding(tokenizer, embedding_dim=2).preprocess(texts)
    known = Tokens(tokenizer)
    for _ in range(2):  # read, then remembered
        tokens, starts = known(texts)
        assert tokens.tolist() == theirs["input_ids"].tolist()
        assert starts.tolist() == theirs["offsets"].tolist()
