"""Images are encoded once whatever roles they have, from the cache, decoded ahead, or refused."""

from __future__ import annotations

import io
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mlbench.common.errors import DataError, ModelError
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.images import IMAGE, Images, Place, reference_of
from mlbench.models.cache import EmbeddingCache
from mlbench.models.encoding import Encoding
from mlbench.models.endpoint.adapter import Endpoint
from mlbench.models.images import AT_ONCE, as_rgb, ends_of_batches, opened
from mlbench.models.registry import LoadedModel, load_adapter

PICTURES = 12


def loaded(adapter, identity="declared: test") -> LoadedModel:
    return LoadedModel("test", "test", "file", adapter, "cosine", identity)


class Seer:
    """The vector of an image is its mean colour, that of a text its length; remembers both."""

    cacheable = True

    def __init__(self) -> None:
        self.seen: Counter[tuple[int, ...]] = Counter()
        self.batches: list[int] = []
        self.texts: list[str] = []

    def encode_images(self, images):
        assert all(isinstance(image, Image.Image) for image in images)
        means = [np.asarray(image.convert("RGB")).mean((0, 1)) for image in images]
        self.seen.update(tuple(map(int, mean)) for mean in means)
        self.batches.append(len(images))
        return np.array(means, np.float32)

    def encode_queries(self, texts, language):
        return self.encode_passages(texts, language)

    def encode_passages(self, texts, language):
        self.texts += texts
        return np.array([[len(text), 1, 2] for text in texts], np.float32)


def picture(number: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new("RGB", size, (number, 2 * number, 200 - number))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """PICTURES images in files, by reference."""
    folder, places = tmp_path_factory.mktemp("pictures"), {}
    for number in range(PICTURES):
        path = folder / f"{number:02}.png"
        picture(number).save(path)
        places[reference_of(path.read_bytes())] = Place(path, (6, 4))
    return Images(places)


@pytest.fixture(scope="module")
def collection(pictures):
    """Captions of two languages and images, which search each other; some captions are repeated."""
    records, references = Records(), list(pictures.places)
    for number, reference in enumerate(references):
        records.queries.append(TextRecord(f"i{number}", IMAGE, reference, ""))
        records.passages.append(TextRecord(f"i{number}", IMAGE, reference, ""))
        for code in ("de", "en"):
            text = f"{code} " + "x" * (number // 2 + 1)
            records.queries.append(TextRecord(f"c{number}", code, text, ""))
            records.passages.append(TextRecord(f"c{number}", code, text, ""))
            records.judgements += [
                Judgement(f"c{number}", code, f"i{number}", IMAGE, 1, ""),
                Judgement(f"i{number}", IMAGE, f"c{number}", code, 1, ""),
            ]
    records.passages.append(TextRecord("again", IMAGE, references[0], ""))
    records.images = pictures
    return replace(build_collection(("de", IMAGE, "en"), records), images=pictures)


def means(collection, entries):
    """The vectors of images, from their files."""
    of = {
        reference: np.asarray(collection.images.open(reference)).mean((0, 1))
        for reference in collection.images.places
    }
    number = collection.languages.index(IMAGE)
    vectors = np.array([of[text] for text in entries.texts[entries.slice(number)]])
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


@pytest.mark.parametrize("free", [False, True])
def test_each_image_is_encoded_once_for_both_roles(collection, free):
    adapter = Seer()
    adapter.language_free = free
    work = Encoding(loaded(adapter), collection)
    embedded = work.encode()
    assert set(adapter.seen.values()) == {1}
    assert len(adapter.seen) == PICTURES
    assert embedded.counts == {
        "passage": (6 * 2, 0), "query": (6 * 2, 0), "image": (PICTURES, 0),
    }  # fmt: skip
    assert set(embedded.seconds) == {"query", "passage", "image"}
    assert not any("sha256" in text for text in adapter.texts)
    number = collection.languages.index(IMAGE)
    for entries, vectors in (
        (collection.queries, embedded.queries),
        (collection.passages, embedded.passages),
    ):
        assert np.allclose(vectors[entries.slice(number)], means(collection, entries), atol=1e-6)
        lengths = np.array([len(text) for text in entries.texts])
        texts = np.flatnonzero(entries.language != number)
        expected = np.stack([lengths[texts], 1 + 0 * texts, 2 + 0 * texts], axis=1)
        expected = expected / np.linalg.norm(expected, axis=1)[:, None]
        assert np.allclose(vectors[texts], expected, atol=1e-6)


def test_images_come_from_the_cache_by_their_bytes(collection, tmp_path):
    cache = EmbeddingCache(tmp_path)
    first = Encoding(loaded(Seer()), collection, cache).encode()
    work = Encoding(loaded(adapter := Seer()), collection, EmbeddingCache(tmp_path))
    again = work.encode()
    assert not adapter.seen
    assert not adapter.texts
    assert work.cached == work.texts
    assert again.counts["image"] == (0, PICTURES)
    assert np.array_equal(first.queries, again.queries)
    assert np.array_equal(first.passages, again.passages)
    renamed = Images({name: replace(place) for name, place in collection.images.places.items()})
    fewer = Encoding(loaded(Seer()), replace(collection, images=renamed), EmbeddingCache(tmp_path))
    assert fewer.cached == fewer.texts


def test_a_model_of_texts_is_refused_before_anything_is_encoded(collection):
    class TextsOnly(Seer):
        encode_images = None
        takes_images = False

    adapter = TextsOnly()
    with pytest.raises(ModelError, match="encodes texts only, and the task has images") as caught:
        Encoding(loaded(adapter), collection)
    assert "encode_images" in str(caught.value)
    assert not adapter.texts
    for name in ("bm25", "char-ngram"):
        with pytest.raises(ModelError, match="encodes texts only"):
            Encoding(load_adapter(name), collection)


def test_a_server_is_said_to_have_no_images(collection):
    model = object.__new__(Endpoint)
    with pytest.raises(ModelError, match="an OpenAI-compatible server is sent texts only"):
        Encoding(loaded(model), collection)


def test_another_dimension_of_images_is_said_before_all_is_encoded(collection):
    class Narrow(Seer):
        def encode_images(self, images):
            return super().encode_images(images)[:, :2]

    adapter = Narrow()
    with pytest.raises(ModelError, match=r"encode_images.*dense vectors of 2.*dimensions"):
        Encoding(loaded(adapter), collection).try_company()
    assert len(adapter.texts) == 1
    assert adapter.batches == [1]


def test_a_vector_that_depends_on_the_images_beside_it_is_warned_of(collection):
    class Swayed(Seer):
        def encode_images(self, images):
            return super().encode_images(images) + len(images)

    work = Encoding(loaded(Swayed()), collection)
    work.try_company()
    assert any("gives an image another vector alone" in said for said in work.encode().warnings)
    work = Encoding(loaded(Seer()), collection)
    work.try_company()
    assert not work.encode().warnings


def test_a_collapsed_image_tower_is_warned_of(collection):
    class Collapsed(Seer):
        def encode_images(self, images):
            return np.ones((len(images), 3), np.float32)

    warnings = Encoding(loaded(Collapsed()), collection).encode().warnings
    assert len(warnings) == 1
    assert "gives all images nearly the same vector" in warnings[0]


def test_what_is_wrong_with_vectors_of_images_is_told_by_the_images_id(collection):
    class Broken(Seer):
        def encode_images(self, images):
            vectors = super().encode_images(images)
            vectors[-1] = np.nan
            return vectors

    with pytest.raises(ModelError, match=rf"image 'i{PICTURES - 1}' \(zxx\)"):
        Encoding(loaded(Broken()), collection).encode()


def test_too_few_vectors_of_images_are_told_as_such(collection):
    class Lazy(Seer):
        def encode_images(self, images):
            return super().encode_images(images)[1:]

    told = r"returned shape \(\d+, 3\) for \d+ images\n  expected: one row for each image"
    with pytest.raises(ModelError, match=told):
        Encoding(loaded(Lazy()), collection).encode()


def test_an_image_that_cannot_be_decoded_is_named(collection, pictures, tmp_path):
    path = tmp_path / "cut.png"
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "png")
    path.write_bytes(buffer.getvalue()[:600])
    first, *rest = pictures.places
    reference = reference_of(path.read_bytes())
    texts = [reference if text == first else text for text in collection.passages.texts]
    passages = replace(collection.passages, texts=tuple(texts))
    others = {name: pictures.places[name] for name in rest}
    images = Images({first: pictures.places[first], reference: Place(path, (40, 40)), **others})
    spoiled = replace(collection, passages=passages, images=images)
    with pytest.raises(DataError, match=r"cut\.png"):
        Encoding(loaded(Seer()), spoiled).encode()


def test_batches_end_at_so_many_images_or_pixels():
    assert ends_of_batches([]) == []
    assert ends_of_batches([1] * (2 * AT_ONCE + 1)) == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1]
    assert ends_of_batches([2**30, 1, 1, 2**30]) == [1, 3, 4]


def test_the_next_batch_is_decoded_in_threads_meanwhile():
    begun, threads = [], set()

    def open_image(reference):
        begun.append(reference)
        threads.add(threading.get_ident())
        return reference.upper()

    batches = opened(open_image, iter([["a", "b"], ["c"], ["d"]]))
    assert next(batches) == ["A", "B"]
    for _ in range(1000):
        if "c" in begun:
            break
        threading.Event().wait(0.005)
    assert "c" in begun
    assert "d" not in begun
    assert threading.get_ident() not in threads
    assert [*batches] == [["C"], ["D"]]


def test_what_decoding_raises_reaches_the_caller():
    def open_image(reference):
        raise DataError

    with pytest.raises(DataError):
        next(opened(open_image, [["a"]]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_images_of_all_modes_are_read_as_colours(mode):
    image = as_rgb(Image.new("RGB", (3, 2), "white").convert(mode))
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert np.asarray(image).min() >= 250


def test_transparency_is_laid_on_white_and_wide_grey_brought_to_8_bits():
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert as_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    assert as_rgb(half).getpixel((0, 0)) == (255, 127, 127)
    wide = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16))
    assert [each[0] for each in np.asarray(as_rgb(wide))[0]] == [0, 127, 255]
    palette = Image.new("P", (1, 1))
    palette.info["transparency"] = 0
    assert as_rgb(palette).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("name", ["pixels", "random"])
def test_baselines_take_images(name, collection):
    model = load_adapter(name)
    embedded = Encoding(model, collection).encode()
    assert embedded.counts["image"] == (PICTURES, 0)
    one = model.adapter.encode_images([picture(3)])
    both = model.adapter.encode_images([picture(4), picture(3)])
    assert np.array_equal(one[0], both[1])
    assert not np.array_equal(both[0], both[1])
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    tiny = [Image.new(mode, (1, 1)) for mode in ("1", "I;16", "P", "RGBA")]
    assert model.adapter.encode_images(tiny).shape == (4, one.shape[1])


def test_pixels_are_the_mean_colours_and_edges_of_cells():
    """Against sums written out, cell by cell and pixel by pixel."""
    generator = np.random.default_rng(5)
    raw = generator.integers(0, 256, (21, 17, 3), dtype=np.uint8)
    found = load_adapter("pixels").adapter.encode_images([Image.fromarray(raw)])[0]
    height, width = raw.shape[:2]

    def cells(count):
        for row in range(count):
            for column in range(count):
                yield (
                    range(row * height // count, (row + 1) * height // count),
                    range(column * width // count, (column + 1) * width // count),
                )

    colours = [
        np.mean([float(raw[y, x, c]) for y in rows for x in columns]) / 255 - 0.5
        for rows, columns in cells(8)
        for c in range(3)
    ]
    grey = raw.astype(int).sum(axis=2)
    edges = []
    for rows, columns in cells(4):
        strength = [0.0] * 8
        for y in rows:
            for x in columns:
                across = grey[y, x + 1] - grey[y, x - 1] if 0 < x < width - 1 else 0
                down = grey[y + 1, x] - grey[y - 1, x] if 0 < y < height - 1 else 0
                which = 4 * (across < 0) + 2 * (down < 0) + (abs(across) < abs(down))
                strength[which] += abs(across) + abs(down)
        edges += [each / (len(rows) * len(columns)) for each in strength]
    expected = np.concatenate([np.array(h) / np.linalg.norm(h) for h in (colours, edges)])
    assert np.allclose(found, expected, atol=1e-6)
