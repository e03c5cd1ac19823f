"""CLIP and SigLIP folders give the libraries' own vectors of images and texts, and open nothing."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import ModelError
from mlbench.data.building import build_collection
from mlbench.data.images import IMAGE
from mlbench.models.contract import check_adapter
from mlbench.models.encoding import Encoding
from mlbench.models.objects import load_model
from mlbench.models.registry import load_adapter
from tests.support.image_collections import image_records
from tests.support.image_models import (
    CAPTIONS,
    LENGTH,
    WIDTH,
    images,
    make_chat_model,
    make_clip,
    make_siglip,
    make_vision_tower,
    noise,
    saved_by_the_library,
)
from tests.support.web_server import Site, serving

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")
CLOSE = 1e-6


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A CLIP and a SigLIP, each in the form of both libraries."""
    root = tmp_path_factory.mktemp("pictures")
    made = {"clip": make_clip(root / "clip"), "siglip": make_siglip(root / "siglip")}
    made |= {f"{name}-st": saved_by_the_library(made[name], root / f"{name}-st") for name in made}
    return made


@pytest.fixture(scope="module")
def models(folders, tmp_path_factory):
    return {name: load_adapter(str(folder)).adapter for name, folder in folders.items()}


def apart(first, second) -> float:
    """The greatest relative distance of two vectors."""
    first, second = (np.asarray(each, np.float64) for each in (first, second))
    return float((np.linalg.norm(first - second, axis=1) / np.linalg.norm(second, axis=1)).max())


def features_of(found):
    return (found if torch.is_tensor(found) else found.pooler_output).detach().numpy()


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_vectors_are_those_of_transformers(name, folders, models):
    model = transformers.AutoModel.from_pretrained(folders[name]).eval()
    reads = transformers.AutoProcessor.from_pretrained(folders[name])
    with torch.no_grad():
        pixels = reads(images=images(), return_tensors="pt")
        pictures = features_of(model.get_image_features(**pixels))
        tokens = [
            reads(
                text=[text], return_tensors="pt", truncation=True, max_length=LENGTH,
                padding="max_length" if name == "siglip" else False,
            )
            for text in CAPTIONS
        ]  # fmt: skip
        given = [{"input_ids": each["input_ids"]} for each in tokens]
        texts = np.concatenate([features_of(model.get_text_features(**each)) for each in given])
    assert apart(models[name].encode_images(images()), pictures) < CLOSE
    assert apart(models[name].encode_queries(CAPTIONS, "en"), texts) < CLOSE
    assert apart(models[name].encode_passages(CAPTIONS, "en"), texts) < CLOSE


@pytest.mark.parametrize("name", ["clip", "clip-st", "siglip-st"])
def test_vectors_are_those_of_sentence_transformers(name, folders, models):
    theirs = library.SentenceTransformer(str(folders[name]), device="cpu")
    pictures = theirs.encode([{"image": image} for image in images()])
    texts = np.concatenate([theirs.encode([{"text": text}]) for text in CAPTIONS])
    assert apart(models[name].encode_images(images()), pictures) < CLOSE
    assert apart(models[name].encode_queries(CAPTIONS, "en"), texts) < CLOSE
    given = load_model(theirs)
    assert given.adapter.takes_images
    assert apart(given.adapter.encode_images(images()), pictures) < CLOSE


@pytest.mark.parametrize("name", ["clip", "siglip", "siglip-st"])
def test_batches_and_modes_make_no_difference(name, models):
    model, pictures = models[name], images()
    together = model.encode_images(pictures)
    alone = np.concatenate([model.encode_images([image]) for image in pictures])
    assert apart(together, alone) < CLOSE
    assert apart(model.encode_images(pictures[::-1])[::-1], together) < CLOSE
    clear = noise(1).convert("RGBA")
    clear.putalpha(0)
    white = noise(1).convert("L").point(lambda value: 255)
    odd = [noise(0).convert("P"), noise(0).convert("CMYK"), clear]
    found = model.encode_images([*odd, white])
    assert np.isfinite(found).all()
    assert apart(found[2:3], found[3:4]) < CLOSE


def test_a_model_says_whether_it_takes_images(models, full_folder):
    assert all(model.takes_images for model in models.values())
    assert not load_adapter(str(full_folder)).adapter.takes_images
    notes = {name: model.describe()["notes"] for name, model in models.items()}
    filled = "all texts are filled up to the maximum length, as SigLIP is trained"
    assert [name for name in notes if filled in notes[name]] == ["siglip"]


def test_the_contract_is_kept(folders):
    results = [*check_adapter(load_adapter(str(folders["clip"])))]
    assert all(result.passed for result in results), results
    assert any(result.name == "images" for result in results)


def test_texts_that_a_folder_fills_up_are_kept_as_tokens(folders, models, tmp_path):
    folder = shutil.copytree(folders["clip-st"], tmp_path / "filled")
    said = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
    said["processing_kwargs"] = {"text": {"padding": "max_length"}}
    (folder / "sentence_bert_config.json").write_text(json.dumps(said), encoding="utf-8")
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    assert theirs.preprocess(["x"])["input_ids"].shape == (1, LENGTH)
    model = load_adapter(str(folder)).adapter
    form = model._forward.forms["query"]
    assert form.least == LENGTH
    row = form.rows(model._loaded.model, ["x"])
    assert form.features(model._loaded.model, row)["input_ids"].shape == (1, LENGTH)
    assert form.size(row[0]) == LENGTH
    assert form.tokens(row[0]) == 3
    texts = theirs.encode([{"text": text} for text in CAPTIONS])
    assert apart(model.encode_queries(CAPTIONS, "en"), texts) < CLOSE
    assert model.truncation("query", CAPTIONS) == models["clip"].truncation("query", CAPTIONS)


def test_an_image_that_does_not_fit_a_form_is_read_by_the_library(models):
    """Where tensors have the shape of the image, each batch is left to the library."""
    from mlbench.models.neural.forms import Asked
    from mlbench.models.neural.pictures import ImageForm, PixelForm

    model = models["clip"]
    form = model._forward.forms["image"]
    assert isinstance(form, PixelForm)
    plain = ImageForm(Asked("", {}))
    pictures = images()
    rows = plain.rows(None, pictures)
    own = form.asked.pictures(model._loaded.model, pictures)
    found = plain.features(model._loaded.model, rows)
    assert torch.equal(found["pixel_values"], own["pixel_values"])
    assert plain.size(rows[0]) == 1 + 40 * 30 // 256


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory):
    """Texts that name an image: as a path, an address and a data URI; and the server that says
    whether it was asked."""
    raw = io.BytesIO()
    noise(9).save(raw, "png")
    path = tmp_path_factory.mktemp("sentinel") / "sentinel.png"
    path.write_bytes(raw.getvalue())
    with serving(Site(files={"sentinel.png": raw.getvalue()})) as site:
        data = "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()
        yield [str(path), f"{site.address}/sentinel.png", data], site


@pytest.mark.parametrize("name", ["clip", "clip-st", "siglip", "siglip-st"])
@pytest.mark.parametrize("given", ["folder", "object"])
def test_a_text_is_never_opened(name, given, folders, models, sentinels):
    texts, site = sentinels
    theirs = library.SentenceTransformer(str(folders[name]), device="cpu")
    opened = theirs.encode(texts[:1])
    assert apart(opened, theirs.encode([{"image": noise(9)}])) < CLOSE  # so it can be told
    model = models[name] if given == "folder" else load_model(theirs).adapter
    site.asked.clear()
    for role in (model.encode_queries, model.encode_passages):
        found = role([*texts, "a dog"], "en")
        assert apart(found[:1], opened) > 0.1
        typed = np.concatenate([role([text], "en") for text in texts])
        assert apart(found[:3], typed) < CLOSE or name == "siglip-st"
    if given == "folder":
        model.canonical("query", texts)
        model.truncation("query", texts)
    assert not site.asked


@pytest.fixture(scope="module")
def routed(full_folder, tmp_path_factory):
    """A function that makes a model of two towers: of texts, and a CLIP of some dimension or the
    image tower alone of one, whose vectors are pooled."""

    def make(dimension: int | None) -> Path:
        from sentence_transformers.base.modules import Router, Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        folder = tmp_path_factory.mktemp("routed")
        if dimension is None:
            tower = Transformer(str(make_vision_tower(folder / "tower")))
            pictures = [tower, Pooling(WIDTH)]
        else:
            pictures = [Transformer(str(make_clip(folder / "tower", dimension)))]
        texts = [Transformer(str(full_folder)), Pooling(WIDTH)]
        router = Router({"text": texts, "image": pictures})
        library.SentenceTransformer(modules=[router]).save_pretrained(str(folder / "model"))
        return folder / "model"

    return make


@pytest.mark.parametrize("dimension", [WIDTH, None])
def test_a_router_by_modality_takes_images(dimension, routed, sentinels):
    folder = routed(dimension)
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    model = load_adapter(str(folder)).adapter
    assert model.takes_images
    pictures = theirs.encode([{"image": image} for image in images()])
    assert apart(model.encode_images(images()), pictures) < CLOSE
    texts = theirs.encode([{"text": text} for text in CAPTIONS])
    assert apart(model.encode_queries(CAPTIONS, "en"), texts) < CLOSE
    named, site = sentinels
    site.asked.clear()
    found = model.encode_queries(named, "en")
    assert apart(found, theirs.encode([{"text": text} for text in named])) < CLOSE
    assert not site.asked


def test_towers_of_other_dimensions_are_refused_before_all_is_encoded(routed, tmp_path):
    records = image_records({"en": [0, 1, 2]}, 3, tmp_path)
    collection = build_collection(("en", IMAGE), records)
    work = Encoding(load_adapter(str(routed(24))), collection)
    with pytest.raises(ModelError) as error:
        work.try_company()
    said = str(error.value)
    assert "encode_images: returned dense vectors of 24 dimensions" in said
    assert f"returned dense vectors of {WIDTH} dimensions" in said


def test_a_model_of_messages_takes_images(tmp_path, sentinels):
    """A language model that sees, as embedding models made of such are."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    reads = Transformer(str(make_chat_model(tmp_path / "bare")))
    assert "message" in reads.modality_config
    theirs = library.SentenceTransformer(
        modules=[reads, Pooling(WIDTH, "lasttoken")],
        device="cpu",
        prompts={"query": "Find the picture.", "document": ""},
    )
    theirs.save_pretrained(str(tmp_path / "model"))
    model = load_adapter(str(tmp_path / "model")).adapter
    pictures = theirs.encode([{"image": image} for image in images()])
    assert apart(model.encode_images(images()), pictures) < CLOSE
    named, site = sentinels
    site.asked.clear()
    texts = [*CAPTIONS, *named[:2]]
    for given, asked in (
        (model.encode_queries, theirs.encode_query),
        (model.encode_passages, theirs.encode_document),
    ):
        expected = np.concatenate([asked([{"text": text}]) for text in texts])
        assert apart(given(texts, "en"), expected) < CLOSE
    assert not site.asked


def test_the_librarys_old_clip_folder_is_read(folders, tmp_path):
    """A folder as ``clip-ViT-B-32`` has it: everything below 0_CLIPModel."""
    (tmp_path / "old").mkdir()
    (folders["clip"]).rename(tmp_path / "old" / "0_CLIPModel")
    try:
        modules = [
            {"idx": 0, "name": "0", "path": "0_CLIPModel",
             "type": "sentence_transformers.models.CLIPModel"}
        ]  # fmt: skip
        (tmp_path / "old" / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        model = load_adapter(str(tmp_path / "old")).adapter
        theirs = library.SentenceTransformer(str(tmp_path / "old"), device="cpu")
        pictures = theirs.encode([{"image": image} for image in images()])
        assert apart(model.encode_images(images()), pictures) < CLOSE
    finally:
        (tmp_path / "old" / "0_CLIPModel").rename(folders["clip"])
