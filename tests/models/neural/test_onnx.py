from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.contract import check_adapter
from mlbench.models.neural import onnx as module
from mlbench.models.neural import prompts as prompts_module
from mlbench.models.neural.onnx import ALONE, EQUAL
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.session import Session
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import MAX_LENGTH, Copy, edit
from tests.models.neural.exported import export
from tests.models.neural.test_adapter import _texts

pytest.importorskip("onnxruntime")
GAP = 1e-6
TEXTS = [*_texts(40), "", " ", "a", "a", "x" * 70]


def _onnx(folder: Path, **options: Any) -> Any:
    return load_adapter(str(folder), {"backend": "onnx", **options}).adapter


def _same(ours: Any, theirs: Any, gap: float = GAP) -> None:
    for name in ("encode_queries", "encode_passages"):
        found, expected = (getattr(each, name)(TEXTS, "") for each in (ours, theirs))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=gap, rtol=0)


def test_vectors_are_those_of_torch(full_folder: Path, exported_folder: Path) -> None:
    ours, theirs = _onnx(exported_folder), load_adapter(str(full_folder)).adapter
    _same(ours, theirs)
    for role in ("query", "passage"):
        assert ours.canonical(role, TEXTS) == theirs.canonical(role, TEXTS)
        assert ours.truncation(role, TEXTS) == theirs.truncation(role, TEXTS)
    same = ("layout", "max_length", "pooling", "prompts", "dtype", "batch_tokens", "truncate_dim")
    facts, other = ours.describe(), theirs.describe()
    assert {name: facts[name] for name in same} == {name: other[name] for name in same}
    assert 0.9 * other["parameters"] < facts["parameters"] < other["parameters"]  # no pooler
    assert facts["versions"].keys() == {"onnxruntime", "tokenizers"}
    assert facts["notes"] == ["run by onnxruntime from onnx/model.onnx"]


@pytest.mark.parametrize("pooling", ["cls", "max", "lasttoken", "weightedmean"])
def test_options_mean_what_they_mean_for_torch(
    full_folder: Path, exported_folder: Path, pooling: str
) -> None:
    given = {"pooling": pooling, "max_length": 9, "truncate_dim": 8, "query_prompt": "Q: ",
             "passage_prompt_name": "other", "similarity": "dot", "batch_tokens": 30}  # fmt: skip
    ours, theirs = _onnx(exported_folder, **given), load_adapter(str(full_folder), given).adapter
    _same(ours, theirs)
    assert ours.prompts == theirs.prompts
    assert ours.similarity == "dot"
    assert ours.describe()["pooling"] == pooling


def test_a_bare_folder_is_pooled_as_assumed(bare_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    ours = _onnx(export(bare_folder, tmp_path / "bare", "model.onnx"))
    _same(ours, load_adapter(str(bare_folder)).adapter)
    facts = ours.describe()
    assert facts["pooling"] == "mean (assumed)"
    assert any("mean pooling is taken" in note for note in facts["notes"])


def test_it_keeps_the_contract(exported_folder: Path) -> None:
    results = [*check_adapter(load_adapter(f"onnx:{exported_folder}"))]
    assert len(results) > 9
    assert all(result.passed for result in results)


def test_a_report_is_that_of_torch(full_folder: Path, exported_folder: Path) -> None:
    reports = [
        mlbench.evaluate(f"{kind}:{folder}", "sample", cache=None)
        for kind, folder in (("onnx", exported_folder), ("sentence-transformers", full_folder))
    ]
    ours, theirs = (each.macro["multilingual"] for each in reports)
    assert ours["AP"] == pytest.approx(theirs["AP"], abs=1e-6)
    assert reports[0].model.adapter == "onnx"
    assert reports[0].run.versions["onnxruntime"]


def test_the_identity_is_what_vectors_depend_on(exported_folder: Path, copy: Copy) -> None:
    identity = _onnx(exported_folder).identity
    assert identity.startswith("onnx/1, sha256 ")
    folder = copy(exported_folder)
    assert _onnx(folder, name="other", batch_tokens=9, device="cpu").identity == identity
    (folder / "onnx" / "model_other.onnx").write_bytes(b"not looked at")
    (folder / "README.md").write_text("not read")
    assert _onnx(folder).identity == identity
    others = [{"pooling": "cls"}, {"max_length": 9}, {"truncate_dim": 8}, {"query_prompt": "?"}]
    assert len({_onnx(folder, **each).identity for each in others} | {identity}) == 5
    edit(folder / "tokenizer_config.json", changed=1)
    assert _onnx(folder).identity != identity


def _quantised(folder: Path) -> Path:
    quantization = pytest.importorskip("onnxruntime.quantization")
    graph = folder / "onnx" / "model.onnx"
    quantization.quantize_dynamic(graph, folder / "onnx" / "model_quantized.onnx")
    return folder


def test_a_model_that_quantises_whole_batches_reads_each_text_alone(
    full_folder: Path, exported_folder: Path, copy: Copy
) -> None:
    pytest.importorskip("onnx")
    folder = _quantised(copy(exported_folder))
    ours = _onnx(folder, onnx_file="model_quantized")
    assert ours._company == ALONE
    assert ours.batch_sizes("query", ours.canonical("query", TEXTS)) == [1] * len(TEXTS)
    each = np.concatenate([ours.encode_queries([text], "") for text in TEXTS])
    assert np.array_equal(ours.encode_queries(TEXTS, ""), each)
    assert any("encodes each text alone" in note for note in ours.describe()["notes"])
    assert ours.describe()["dtype"] in ("int8", "uint8")
    _same(ours, load_adapter(str(full_folder)).adapter, gap=0.1)


def test_batches_of_a_model_that_ignores_the_mask(
    exported_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Session.run

    def unmasked(self: Session, rows: list[bytes]) -> Any:
        found = run(self, rows)
        tokens = found["last_hidden_state"]
        return found | {"last_hidden_state": tokens + tokens.shape[1]}

    monkeypatch.setattr(Session, "run", unmasked)
    ours = _onnx(exported_folder)
    assert ours._company == EQUAL
    assert any("equal length" in note for note in ours.describe()["notes"])
    forms = sorted(ours.canonical("query", TEXTS), key=len, reverse=True)
    sizes = ours.batch_sizes("query", forms)
    ends = np.cumsum(sizes)
    for start, end in zip(ends - sizes, ends, strict=True):
        assert len({len(form) for form in forms[start:end]}) == 1


def test_too_little_memory_halves_a_batch(
    exported_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = _onnx(exported_folder)
    expected = ours.encode_queries(TEXTS, "")
    run = Session.run

    def small(self: Session, rows: list[bytes]) -> Any:
        if len(rows) > 2:
            raise MemoryError
        return run(self, rows)

    monkeypatch.setattr(Session, "run", small)
    np.testing.assert_allclose(ours.encode_queries(TEXTS, ""), expected, atol=GAP)

    def none(self: Session, rows: list[bytes]) -> Any:
        raise MemoryError

    monkeypatch.setattr(Session, "run", none)
    with pytest.raises(ModelError, match=r"out of memory on a text of \d+ tokens"):
        ours.encode_queries(["a"], "")


def test_weights_in_a_file_of_their_own(exported_folder: Path, copy: Copy) -> None:
    onnx = pytest.importorskip("onnx")
    folder = copy(exported_folder)
    path = folder / "onnx" / "model.onnx"
    model, before = onnx.load(path), _onnx(folder)
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=9)
    apart = _onnx(folder)
    assert "onnx/model.onnx_data" in apart._checkpoint.files
    assert apart.identity != before.identity
    _same(apart, before)
    data = path.with_name("model.onnx_data")
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    assert _onnx(folder).identity != apart.identity
    data.rename(folder / "model.onnx_data")
    with pytest.raises(ModelError, match="which is not there"):
        _onnx(folder)
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data")
    path.write_bytes(path.read_bytes().replace(b"model.onnx_data", b"../nodel.onnxdt"))
    with pytest.raises(ModelError, match="a file in this folder"):
        _onnx(folder)


def test_wrong_options(full_folder: Path, exported_folder: Path) -> None:
    wrong = {"dtype": "float16", "allow_pickle": True, "device": "cpu,cpu"}
    with pytest.raises(UsageError) as caught:
        _onnx(exported_folder, **wrong)
    assert all(f"--{name}" in str(caught.value) for name in ("dtype", "allow-pickle", "device"))
    with pytest.raises(UsageError, match="the model has 32 dimensions"):
        _onnx(exported_folder, truncate_dim=33).encode_queries(["a"], "")
    with pytest.raises(UsageError, match="positions"):
        _onnx(exported_folder, max_length=MAX_LENGTH * 9)
    with pytest.raises(UsageError, match=r"--onnx-file x(.|\n)*--backend onnx"):
        load_adapter(str(full_folder), {"onnx_file": "x"})


def test_no_onnx_file_and_several(full_folder: Path, exported_folder: Path, copy: Copy) -> None:
    with pytest.raises(ModelError, match=r"no ONNX file in it(.|\n)*onnx/model.onnx"):
        _onnx(full_folder)
    folder = copy(exported_folder)
    path = folder / "onnx" / "model.onnx"
    (folder / "onnx" / "one.onnx").write_bytes(path.read_bytes())
    path.rename(folder / "onnx" / "two.onnx")
    with pytest.raises(
        ModelError, match=r"several ONNX files in it\n.*onnx/one.onnx, onnx/two.onnx\n.*--onnx-file"
    ):
        _onnx(folder)
    assert _onnx(folder, onnx_file="two")._checkpoint.graph == "onnx/two.onnx"
    with pytest.raises(ModelError, match="no ONNX file three"):
        _onnx(folder, onnx_file="three")


def test_no_code_of_a_model_is_read(exported_folder: Path, copy: Copy) -> None:
    folder = copy(exported_folder)
    edit(folder / "config.json", auto_map={"AutoModel": "modeling.Evil"})
    _same(_onnx(folder), _onnx(exported_folder))


def test_libraries_that_are_missing(exported_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIBRARIES", ("onnxruntime", "no_such_library"))
    with pytest.raises(EnvironmentFault, match=r"no_such_library(.|\n)*\[onnx\]"):
        _onnx(exported_folder)


def test_prompts_are_chosen_as_the_library_does(exported_folder: Path, copy: Copy) -> None:
    torch = pytest.importorskip("torch")
    st = pytest.importorskip("sentence_transformers").SentenceTransformer
    folder = copy(exported_folder)
    for prompts, default in (
        ({}, None),
        ({"passage": "p: ", "query": "q: "}, None),
        ({"corpus": "c: ", "s2p_query": "s: "}, "s2p_query"),
        ({"document": None}, None),
    ):
        edit(
            folder / "config_sentence_transformers.json",
            prompts=prompts,
            default_prompt_name=default,
        )
        own = module._Prompts.of(json.loads((folder / prompts_module.MODEL_FILE).read_text()))
        theirs = st(modules=[torch.nn.Identity()], prompts=prompts, device="cpu")
        theirs.default_prompt_name = default
        for role in prompts_module.ROLES:
            asked = prompts_module.what_is_asked(own, role)
            assert asked["prompt_name"] == prompts_module.what_is_asked(theirs, role)["prompt_name"]
        options = NeuralOptions()
        assert _onnx(folder).prompts == prompts_module.choose_prompts(theirs, options)


def test_neither_torch_nor_its_libraries_are_needed(exported_folder: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sentence_transformers'): sys.modules[name] = None\n"
        "from mlbench.models.registry import load_adapter\n"
        "model = load_adapter(sys.argv[1]).adapter\n"
        "print(model.encode_queries(['a', 'b'], '').shape, model.truncation('query', ['a']))"
    )
    command = [sys.executable, "-c", code, f"onnx:{exported_folder}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("(2, 32) Truncation(texts=0")
