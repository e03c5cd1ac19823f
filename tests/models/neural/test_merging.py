from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.contract import check_adapter
from mlbench.models.neural import merging
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import Copy, edit
from tests.models.neural.test_adapter import _texts

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")
peft = pytest.importorskip("peft")

RANK, ALPHA = 4, 12
WEIGHTS = "adapter_model.safetensors"
TEXTS = [*_texts(30), "", "x" * 70]


def _adapter(base: Path, target: Path, **more: Any) -> Path:
    """Save an adapter of random weights for the transformers checkpoint in ``base``."""
    from transformers import AutoModel

    torch.manual_seed(3)
    given = {"r": RANK, "lora_alpha": ALPHA, "target_modules": ["query", "value"]} | more
    config = peft.LoraConfig(**given, init_lora_weights=False, task_type="FEATURE_EXTRACTION")
    peft.get_peft_model(AutoModel.from_pretrained(base), config).save_pretrained(target)
    edit(target / "adapter_config.json", base_model_name_or_path=str(base))
    return target


@pytest.fixture(scope="module")
def adapted(full_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter alone, for a sentence-transformers folder."""
    return _adapter(full_folder, tmp_path_factory.mktemp("adapters") / "alone")


@pytest.fixture(scope="module")
def complete(full_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder whose Transformer is an adapter, with a prompt of its own."""
    folder = tmp_path_factory.mktemp("adapters") / "complete"
    shutil.copytree(full_folder, folder, ignore=shutil.ignore_patterns("model.*", "config.json"))
    for module in ("1_Pooling", "2_Normalize"):
        shutil.copytree(full_folder / module, folder / module, dirs_exist_ok=True)
    _adapter(full_folder, folder, target_modules=["key"])
    edit(folder / "config_sentence_transformers.json", prompts={"query": "other: "})
    return folder


def _ours(folder: Path, **options: Any) -> Any:
    return load_adapter(str(folder), options).adapter


def _by_hand(base: Path, adapter: Path) -> Any:
    """Return the base with W + (alpha / r) B A in place of W, made of the adapter's tensors."""
    from safetensors.torch import load_file

    model = library.SentenceTransformer(str(base), device="cpu")
    network = dict(model[0].auto_model.named_parameters())
    for name, first in load_file(adapter / WEIGHTS).items():
        if "lora_A" in name:
            second = load_file(adapter / WEIGHTS)[name.replace("lora_A", "lora_B")]
            own = name.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
            network[own].data += ALPHA / RANK * second @ first
    return model


def test_an_adapter_alone_is_used_as_its_base_is(adapted: Path, full_folder: Path) -> None:
    ours, theirs = _ours(adapted), _by_hand(full_folder, adapted)
    for name, encode in (("queries", "encode_query"), ("passages", "encode_document")):
        found = getattr(ours, f"encode_{name}")(TEXTS, "")
        np.testing.assert_allclose(found, getattr(theirs, encode)(TEXTS), atol=1e-6)
    base = load_adapter(str(full_folder)).adapter
    assert np.abs(ours.encode_queries(TEXTS, "") - base.encode_queries(TEXTS, "")).max() > 1e-3
    facts, other = ours.describe(), base.describe()
    assert ours.prompts == base.prompts
    assert facts["parameters"] == other["parameters"]
    assert (facts["layout"], facts["pooling"]) == ("sentence-transformers", "mean")
    assert f"(LORA) was merged into its base model {full_folder}" in facts["notes"][-1]
    assert ours.name == "alone"


def test_a_complete_folder_says_itself_how_it_is_used(complete: Path, full_folder: Path) -> None:
    ours, theirs = _ours(complete), _by_hand(full_folder, complete)
    expected = theirs.encode_query(TEXTS, prompt="other: ")
    np.testing.assert_allclose(ours.encode_queries(TEXTS, ""), expected, atol=1e-6)
    assert ours.prompts == {"query": "other: ", "passage": ""}


def test_a_bare_base_is_pooled_as_assumed(bare_folder: Path, tmp_path: Path) -> None:
    ours = _ours(_adapter(bare_folder, tmp_path / "bare", use_dora=True))
    assert ours.describe()["pooling"] == "mean (assumed)"
    from transformers import AutoModel

    network = AutoModel.from_pretrained(bare_folder)
    unmerged = peft.PeftModel.from_pretrained(network, tmp_path / "bare").eval()
    forms = ours.canonical("query", ["abc", "d"])
    for text, form in zip(["abc", "d"], forms, strict=True):
        ids = torch.from_numpy(np.frombuffer(form, np.int32).astype(np.int64))[None]
        mean = unmerged(input_ids=ids).last_hidden_state.mean(1).detach().numpy()
        np.testing.assert_allclose(ours.encode_queries([text], ""), mean, atol=1e-5)


def test_it_keeps_the_contract(adapted: Path) -> None:
    assert all(result.passed for result in check_adapter(load_adapter(str(adapted))))


def test_the_identity_is_of_both(adapted: Path, full_folder: Path, copy: Copy) -> None:
    first = _ours(adapted).identity
    assert first != load_adapter(str(full_folder)).adapter.identity
    moved = copy(full_folder, "base")
    assert _ours(adapted, base_model=str(moved)).identity == first
    edit(moved / "config.json", changed=1)
    assert _ours(adapted, base_model=str(moved)).identity != first
    other = copy(adapted, "other")
    edit(other / "adapter_config.json", lora_alpha=ALPHA + 1)
    assert _ours(other).identity != first


def test_where_a_base_is_found(
    adapted: Path, full_folder: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, base = copy(adapted), copy(full_folder, "base")
    identity = _ours(adapted).identity.partition(",")[0]
    for declared in ("../base", str(base)):
        edit(folder / "adapter_config.json", base_model_name_or_path=declared)
        assert _ours(folder).identity.startswith(identity)
    edit(folder / "adapter_config.json", base_model_name_or_path="base")
    monkeypatch.chdir(base.parent)
    assert _ours(folder).identity.startswith(identity)


def test_a_base_on_the_hub(
    adapted: Path, full_folder: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetched(name: str, options: Any) -> Path:
        asked.append((name, options.revision))
        return full_folder

    folder = copy(adapted)
    monkeypatch.setattr(merging, "fetch", fetched)
    edit(folder / "adapter_config.json", base_model_name_or_path="org/base", revision="v2")
    _ours(folder)
    _ours(folder, base_model="org/base")
    assert asked == [("org/base", "v2"), ("org/base", None)]
    with pytest.raises(UsageError, match=r"org/other: the adapter is for org/base"):
        _ours(folder, base_model="org/other")
    monkeypatch.undo()
    with pytest.raises(EnvironmentFault, match=r"adapter .*copy, base model org/base: not on this"):
        load_adapter(str(folder), {"offline": True})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (None, r"does not say which model it is for(.|\n)*--base-model FOLDER"),
        ("/gone/base", r"its base model '/gone/base' is not on this machine(.|\n)*--base-model"),
        (".", r"is an adapter, too"),
    ],
)
def test_a_base_that_is_missing(
    adapted: Path, copy: Copy, declared: str | None, message: str
) -> None:
    folder = copy(adapted)
    edit(folder / "adapter_config.json", base_model_name_or_path=declared)
    with pytest.raises(ModelError, match=message):
        _ours(folder)


def _smaller(folder: Path) -> Path:
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder)
    config.hidden_size = 16
    AutoModel.from_config(config).save_pretrained(folder)
    edit(folder / "1_Pooling" / "config.json", embedding_dimension=16)
    return folder


def test_a_base_other_than_declared(adapted: Path, full_folder: Path, copy: Copy) -> None:
    other = _smaller(copy(full_folder, "smaller"))
    with pytest.raises(ModelError, match=r"a BertModel: (.|\n)*size mismatch") as caught:
        _ours(adapted, base_model=str(other))
    assert "expected: the base model that it was trained for" in str(caught.value)
    fewer = copy(full_folder, "fewer")
    from transformers import AutoModel

    AutoModel.from_pretrained(fewer, num_hidden_layers=1).save_pretrained(fewer)
    with pytest.raises(ModelError, match=r"4 tensors, such as .*layer\.1\..*, that do not match"):
        _ours(adapted, base_model=str(fewer))
    folder = copy(adapted)
    edit(folder / "adapter_config.json", target_modules=["q_proj"])
    with pytest.raises(ModelError, match="q_proj"):
        _ours(folder)


def test_adapters_that_cannot_be_merged(adapted: Path, full_folder: Path, copy: Copy) -> None:
    from transformers import AutoModel

    folder = copy(adapted)
    config = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="FEATURE_EXTRACTION",
                                     token_dim=32, num_attention_heads=4, num_layers=2)  # fmt: skip
    peft.get_peft_model(AutoModel.from_pretrained(full_folder), config).save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(full_folder))
    with pytest.raises(ModelError, match="of type PROMPT_TUNING, which adds tokens to texts"):
        _ours(folder)


def test_what_an_adapters_folder_may_not_hold(adapted: Path, copy: Copy) -> None:
    folder = copy(adapted)
    edit(folder / "adapter_config.json", megatron_config={"a": 1}, megatron_core="os")
    with pytest.raises(ModelError, match=r"megatron_config(.|\n)*--trust-remote-code"):
        _ours(folder)
    edit(folder / "adapter_config.json", megatron_config=None)
    with pytest.raises(ModelError, match=r"a PEFT adapter(.|\n)*--backend torch"):
        _ours(folder, backend="onnx")
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="a PEFT adapter without its weights"):
        _ours(folder)
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickled weights"):
        _ours(folder)


def test_pickled_adapters_where_they_are_allowed(adapted: Path, copy: Copy) -> None:
    from safetensors.torch import load_file

    folder = copy(adapted)
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    found = _ours(folder, allow_pickle=True).encode_queries(TEXTS, "")
    np.testing.assert_array_equal(found, _ours(adapted).encode_queries(TEXTS, ""))


def test_a_tokenizer_of_the_adapters_own_is_taken(
    adapted: Path, full_folder: Path, copy: Copy
) -> None:
    folder = copy(adapted)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(full_folder / name, folder / name)
    assert _ours(folder).describe()["max_length"] == 24
    edit(folder / "tokenizer_config.json", model_max_length=9)
    assert _ours(folder).describe()["max_length"] == 9


def test_options_and_libraries(
    adapted: Path, full_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="given for a model that is no adapter"):
        _ours(full_folder, base_model="x")
    find = merging.importlib.util.find_spec
    monkeypatch.setattr(
        merging.importlib.util, "find_spec", lambda name: None if name == "peft" else find(name)
    )
    with pytest.raises(EnvironmentFault, match=r"peft is not installed(.|\n)*\[peft\]"):
        _ours(adapted)
