"""A model has prompts and a role gets none of them: the report says so, and how to choose one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import MlbenchError
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import Copy

pytest.importorskip("sentence_transformers")

Q, P = "--query-prompt-name", "--passage-prompt-name"
SAVED = {"__version__": {"sentence_transformers": "5.1.0"}}


def _notes(folder: Path, settings: dict[str, Any], **options: Any) -> list[str]:
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    adapter = load_adapter(str(folder), options).adapter
    return [note for note in adapter.describe()["notes"] if "prompt" in note]


@pytest.mark.parametrize(
    ("prompts", "options"),
    [
        ({"s2p_query": "what ", "s2s_query": "who "}, [f"{Q} s2p_query"]),
        ({"web_search_query": "Instruct: x\nQuery: ", "sts_query": "y"}, [f"{Q} web_search_query"]),
        ({"retrieval.query": "q ", "retrieval.passage": "p "},
         [f"{Q} retrieval.query", f"{P} retrieval.passage"]),
        ({"clustering": "c ", "search_query": "q ", "search_document": "d "},
         [f"{Q} search_query", f"{P} search_document"]),
        ({"instruction": "Represent: "}, [f"{Q} instruction", f"{P} instruction"]),
        ({"query": "q: ", "clustering": "c: "}, []),
        ({"query": "q: ", "document": "d: ", "s2p_query": "s: "}, []),
        ({"query": "q: ", "doc": "d: "}, [f"{P} doc"]),
        ({"document": "d: "}, []),
        ({"document": "d: ", "web_search_query": "w: "}, [f"{Q} web_search_query"]),
        ({"query": None, "s2p_query": "s "}, [f"{Q} s2p_query"]),
        ({"query": "", "s2p_query": "s "}, []),
        ({"query": "", "document": ""}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_prompts_that_a_role_may_lack_are_named(
    full_folder: Path, copy: Copy, prompts: dict[str, Any], options: list[str]
) -> None:
    notes = _notes(copy(full_folder), {"prompts": prompts})
    assert len(notes) == len(options)
    for note, option in zip(notes, options, strict=True):
        assert option in note
        assert repr(option.partition(" ")[2]) in note


def test_the_default_prompt_that_both_roles_pass_over(full_folder: Path, copy: Copy) -> None:
    settings = {"prompts": {"other": "o ", "s2p": "what "}, "default_prompt_name": "s2p"}
    notes = _notes(copy(full_folder), settings)
    assert [f"{Q} s2p" in notes[0], f"{P} s2p" in notes[1]] == [True, True]
    assert "its default prompt" in notes[0]


def test_what_is_chosen_is_no_lack(full_folder: Path, copy: Copy) -> None:
    folder, settings = copy(full_folder), {"prompts": {"s2p_query": "s ", "none": ""}}
    assert _notes(folder, settings, query_prompt="") == []
    assert _notes(folder, settings, query_prompt_name="none") == []
    assert _notes(folder, settings, query_prompt_name="s2p_query") == []
    assert len(_notes(folder, settings)) == 1


def test_an_empty_prompt_that_the_library_wrote_is_not_the_models_choice(
    full_folder: Path, copy: Copy
) -> None:
    prompts = {"query": "", "document": "", "s2p_query": "s "}
    (note,) = _notes(copy(full_folder), SAVED | {"prompts": prompts})
    assert f"{Q} s2p_query" in note


def test_prompts_beside_a_module_are_told(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    inner = folder / "query_0_Pooling"
    (folder / "1_Pooling").rename(inner)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = inner.name
    (folder / "modules.json").write_text(json.dumps(modules))
    (inner / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q! "}}')
    (note,) = _notes(folder, {})
    assert f"{inner.name}/config_sentence_transformers.json ('query')" in note
    assert "--query-prompt TEXT" in note


def test_a_prompt_that_is_no_text_is_refused(full_folder: Path, copy: Copy) -> None:
    with pytest.raises(MlbenchError, match="prompt 'query'"):
        _notes(copy(full_folder), {"prompts": {"query": {"en": "q: "}}})
