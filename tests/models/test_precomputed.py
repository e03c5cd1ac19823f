from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.models.precomputed import Precomputed, make
from mlbench.models.protocol import Bound
from mlbench.models.registry import load_adapter

IDS = {"queries": ["q1", "q2"], "passages": ["p1", "p2", "p3"]}
LANGUAGES = ("en", "th")


def _vectors(role: str, language: str) -> np.ndarray:
    base = 10 * LANGUAGES.index(language) + 100 * (role == "passages")
    return (np.arange(len(IDS[role]) * 4).reshape(-1, 4) + base).astype(np.float32)


def _npy_folder(folder: Path) -> Path:
    for role, ids in IDS.items():
        for language in LANGUAGES:
            np.save(folder / f"{role}.{language}.npy", _vectors(role, language))
            (folder / f"{role}.{language}.ids.txt").write_text("\n".join(ids) + "\n")
    return folder


def _parquet_folder(folder: Path, vector_type: pa.DataType | None = None) -> Path:
    for role, ids in IDS.items():
        half = vector_type is not None and vector_type.value_type == pa.float16()
        rows = [
            {
                "id": id_,
                "language": language,
                "vector": list(vector.astype("f2")) if half else vector.tolist(),
            }
            for language in LANGUAGES
            for id_, vector in zip(ids, _vectors(role, language), strict=True)
        ]
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("language", pa.string()),
                ("vector", vector_type or pa.list_(pa.float32())),
            ]
        )
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{role}.parquet")
    return folder


@pytest.fixture(params=["npy", "parquet"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return (_npy_folder if request.param == "npy" else _parquet_folder)(tmp_path)


def test_vectors_are_found_by_id(folder: Path) -> None:
    model = make(str(folder))
    model.bind("passage", "th", ["p3", "p1"], ["third", "first"])
    model.bind("query", "en", ["q2"], ["first"])
    passages, queries = _vectors("passages", "th"), _vectors("queries", "en")
    assert np.array_equal(model.encode_passages(["first", "third"], "th"), passages[[0, 2]])
    assert np.array_equal(model.encode_passages(["third"], "th"), passages[[2]])
    assert np.array_equal(model.encode_queries(["first"], "en"), queries[[1]])
    assert isinstance(model, Bound)


@pytest.mark.parametrize(
    "vector_type",
    [pa.list_(pa.float16()), pa.list_(pa.float64()), pa.large_list(pa.float32()),
     pa.list_(pa.float32(), 4)],
)  # fmt: skip
def test_parquet_list_types(tmp_path: Path, vector_type: pa.DataType) -> None:
    model = make(str(_parquet_folder(tmp_path, vector_type)))
    model.bind("query", "th", ["q1"], ["t"])
    assert np.array_equal(model.encode_queries(["t"], "th"), _vectors("queries", "th")[:1])


def test_npy_is_memory_mapped(tmp_path: Path) -> None:
    model = make(str(_npy_folder(tmp_path)))
    model.bind("query", "en", ["q1"], ["t"])
    assert isinstance(model._vectors["query", "en"], np.memmap)


def test_missing_ids_are_counted_and_the_first_named(folder: Path) -> None:
    ids = [f"x{i}" for i in range(7)]
    with pytest.raises(ModelError, match=r"no vector for 7 of 8 passages \(en\): 'x0'.* 2 more"):
        make(str(folder)).bind("passage", "en", ["p1", *ids], [*"abcdefgh"])


def test_one_text_has_one_vector(tmp_path: Path) -> None:
    _npy_folder(tmp_path)
    vectors = _vectors("passages", "en")
    vectors[2] = vectors[0] * np.float32(1 + 1e-6)
    np.save(tmp_path / "passages.en.npy", vectors)
    model = make(str(tmp_path))
    model.bind("passage", "en", ["p1", "p3"], ["same", "same"])
    assert np.array_equal(model.encode_passages(["same"], "en"), vectors[:1])
    with pytest.raises(ModelError, match=r"passage ids 'p1' and 'p2' \(en\) have the same text"):
        model.bind("passage", "en", ["p1", "p2"], ["same", "same"])


def test_a_text_must_be_bound(folder: Path) -> None:
    model = make(str(folder))
    with pytest.raises(ModelError, match=r"a query \(en\) whose id it was not told: 'a'"):
        model.encode_queries(["a"], "en")
    model.bind("query", "en", ["q1"], ["a"])
    with pytest.raises(ModelError, match=r"a passage \(en\)"):
        model.encode_passages(["a"], "en")


def test_a_language_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "npy").mkdir()
    with pytest.raises(ModelError, match=r"queries\.de\.npy: no such file"):
        make(str(_npy_folder(tmp_path / "npy"))).bind("query", "de", ["q1"], ["a"])
    with pytest.raises(ModelError, match="no vector for 1 of 1 query"):
        make(str(_parquet_folder(tmp_path))).bind("query", "de", ["q1"], ["a"])


def _bind_english(folder: Path) -> Any:
    return make(str(folder)).bind("query", "en", ["q1"], ["a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no array", "not a readable .npy"),
        (b"", "not a readable .npy"),
        (np.zeros(2, np.float32), r"an array of shape \(2,\)"),
        (np.zeros((3, 2), np.float32), "2 ids for 3 vectors"),
        (np.array([[1, "a"]] * 2, dtype=object), "not a readable .npy"),
    ],
)
def test_broken_npy(tmp_path: Path, content: Any, message: str) -> None:
    path = _npy_folder(tmp_path) / "queries.en.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(ModelError, match=message) as caught:
        _bind_english(tmp_path)
    assert "queries.en.npy" in str(caught.value)


def test_broken_ids(tmp_path: Path) -> None:
    path = _npy_folder(tmp_path) / "queries.en.ids.txt"
    path.write_bytes(b"q1\r\nq2")
    _bind_english(tmp_path)
    path.write_text("q1\nq1\n")
    with pytest.raises(ModelError, match=r"given twice \(en\): \['q1'\]"):
        _bind_english(tmp_path)
    path.write_bytes(b"q1\n\xff\n")
    with pytest.raises(ModelError, match="not UTF-8 at byte 3"):
        _bind_english(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match=r"queries\.en\.ids\.txt: no such file"):
        _bind_english(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["q1"], "vector": [[1.0]]}, "no column language"),
        ({"id": ["q1"], "language": ["en"], "vector": ["x"]}, "not readable as vectors"),
        ({"id": ["q1", "q2"], "language": ["en"] * 2, "vector": [[1.0], [1.0, 2.0]]}, "lengths"),
        ({"id": ["q1", "q2"], "language": ["en"] * 2, "vector": [[1.0], None]}, "lengths"),
        ({"id": ["q1"], "language": ["en"], "vector": [[1.0, None]]}, "missing"),
        ({"id": ["q1", None], "language": ["en"] * 2, "vector": [[1.0]] * 2}, "missing ids"),
        ({"id": ["q1", "q1"], "language": ["en"] * 2, "vector": [[1.0]] * 2}, "given twice"),
    ],
)
def test_broken_parquet(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(table), _parquet_folder(tmp_path) / "queries.parquet")
    with pytest.raises(ModelError, match=message):
        _bind_english(tmp_path)


def test_no_parquet_at_all(tmp_path: Path) -> None:
    (_parquet_folder(tmp_path) / "queries.parquet").write_bytes(b"PAR")
    with pytest.raises(ModelError, match="not readable"):
        _bind_english(tmp_path)


def test_model_toml(folder: Path) -> None:
    assert make(str(folder)).similarity == "cosine"
    (folder / "model.toml").write_text('name = "mine"\nsimilarity = "dot"\nidentity = "v3"\n')
    model = load_adapter(f"precomputed:{folder}")
    assert (model.name, model.similarity, model.kind) == ("mine", "dot", "precomputed")
    assert model.identity.startswith("declared: v3, precomputed/1, sha256 ")


def test_model_toml_faults_come_together(folder: Path) -> None:
    (folder / "model.toml").write_text('nam = "x"\nidentity = 3\nsimilarity = "cosin"\n')
    with pytest.raises(ModelError) as caught:
        make(str(folder))
    assert len(caught.value.faults) == 3
    assert "did you mean 'name'" in str(caught.value)
    assert "did you mean 'cosine'" in str(caught.value)
    (folder / "model.toml").write_text("name = ")
    with pytest.raises(ModelError, match="broken TOML"):
        make(str(folder))


def test_identity_changes_with_any_file(tmp_path: Path) -> None:
    def identity() -> str:
        return Precomputed(tmp_path).identity

    first = identity() if _npy_folder(tmp_path) else ""
    assert identity() == first
    np.save(tmp_path / "queries.th.npy", _vectors("queries", "th") + 1)
    second = identity()
    (tmp_path / "passages.en.ids.txt").write_text("p1\np2\np4\n")
    (tmp_path / "unrelated.txt").write_text("x")
    third = identity()
    assert len({first, second, third}) == 3


def test_a_language_may_be_spelled_otherwise(tmp_path: Path) -> None:
    folders = [tmp_path / "npy", tmp_path / "parquet"]
    for folder in folders:
        folder.mkdir()
    for path in _npy_folder(folders[0]).glob("*.th.*"):
        path.rename(path.with_name(path.name.replace(".th.", ".tha_Thai.")))
    for path in _parquet_folder(folders[1]).glob("*.parquet"):
        table = pq.read_table(path)
        names = ["tha_Thai" if name == "th" else name for name in table["language"].to_pylist()]
        column = pa.array(names).dictionary_encode()
        pq.write_table(table.set_column(1, "language", column), path)
    for folder in folders:
        model = make(str(folder))
        model.bind("query", "tha-Thai", ["q2"], ["second"])
        found = model.encode_queries(["second"], "tha-Thai")
        np.testing.assert_array_equal(found, _vectors("queries", "th")[1:])


def test_vectors_in_both_forms_are_refused(tmp_path: Path) -> None:
    _parquet_folder(_npy_folder(tmp_path))
    with pytest.raises(ModelError, match=r"both queries.parquet and queries.en.npy") as caught:
        make(str(tmp_path))
    assert "both passages.parquet and passages.en.npy" in str(caught.value)
    for path in tmp_path.glob("queries.*.npy"):
        path.unlink()
    with pytest.raises(ModelError, match=r"both passages.parquet and passages.en.npy"):
        make(str(tmp_path))
    (tmp_path / "passages.parquet").unlink()
    assert make(str(tmp_path)).name == tmp_path.name
    (tmp_path / "index.json").touch()
    with pytest.raises(ModelError, match=r"both index.json and passages.en.npy"):
        make(str(tmp_path))


def test_a_language_in_two_spellings_is_refused(tmp_path: Path) -> None:
    model = make(str(_npy_folder(tmp_path)))
    for spelled in ("tha-Thai", "tha_Thai"):
        np.save(tmp_path / f"queries.{spelled}.npy", _vectors("queries", "th"))
    with pytest.raises(ModelError, match=r"both queries.tha-Thai.npy and queries.tha_Thai.npy"):
        model.bind("query", "tha-Thai", ["q2"], ["second"])


def test_folder_without_vectors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no queries in it"):
        make(str(tmp_path))
    with pytest.raises(UsageError, match="no such folder"):
        make(str(tmp_path / "absent"))
