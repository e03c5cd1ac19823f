"""What tasks, settings and languages of mlbench are called in MTEB."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cache

from mlbench.common.errors import EnvironmentFault, Fault, install_extra
from mlbench.data.task import Kind

SPLIT = "test"
MAIN_SCORE = "ndcg_at_10"
PREFIX = "mlbench-"
CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
"""The cutoffs of MTEB's measures of retrieval."""


def need_mteb(where: str) -> None:
    """Raise EnvironmentFault where MTEB is not installed."""
    if importlib.util.find_spec("mteb") is None:
        found = "the library mteb is not installed"
        raise EnvironmentFault(Fault(where, found, mend=install_extra("mteb")))


def task_name(task: str, kind: str) -> str:
    """Return what a task of mlbench is called in MTEB: ``mlbench-xquad-r-monolingual``."""
    return f"{PREFIX}{task}-{kind}"


def subset_name(query_language: str, kind: str, passage_languages: Sequence[str]) -> str:
    """Return the subset of a setting: ``de-en``, or ``de-multilingual`` for the mixed pool."""
    mixed = kind == Kind.MULTILINGUAL.value
    return f"{query_language}-{kind if mixed else passage_languages[0]}"


@cache
def language_script(code: str) -> str:
    """Return a language as MTEB spells it, ``zho-Hans`` for ``zh``.

    A language or a script that MTEB does not know has ISO 15924's code of an unknown one, Zyyy.
    """
    mappings = importlib.import_module("mteb.languages.iso_mappings")
    first, *parts = code.split("-")
    known = mappings._hf_lang_to_iso_lang_script(first) or f"{first}-Zyyy"
    language, _, script = known.partition("-")
    return f"{language}-{next((part for part in parts if len(part) == 4), script)}"
