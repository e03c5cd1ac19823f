"""A checkpoint's tokenizer.json and the settings around it, read without the libraries of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError, UsageError
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.files import TRANSFORMER, read_json
from mlbench.models.neural.folder import CONFIG_FILE, TOKENIZER_FILE
from mlbench.models.neural.forms import PROBES, sound
from mlbench.models.neural.routes import UNCUT

_BEHIND = ("roberta", "camembert", "mpnet", "longformer", "data2vec-text", "esm", "xmod", "luke")
"""Kinds of model (``model_type`` holds one of these) whose positions begin behind the padding's."""
_CUTTING = {"max_length", "truncation", "padding"}


@dataclass(frozen=True)
class Settings:
    """What the files beside a tokenizer say: of the Transformer (``own``), of the tokenizer
    (``said``) and of the network (``config``)."""

    folder: Path
    own: dict[str, Any]
    said: dict[str, Any]
    config: dict[str, Any]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Settings:
        """Read them. Raises ModelError for texts that go through a chat template."""
        place = checkpoint.modules[0][1]
        folder = checkpoint.folder / place

        def read(name: str) -> dict[str, Any]:
            path = folder / name
            value = read_json(path)[0] if path.is_file() else {}
            return value if isinstance(value, dict) else {}

        names = sorted(path.name for path in folder.iterdir() if TRANSFORMER.fullmatch(path.name))
        own = read(names[0]) if names else {}
        settings = cls(folder, own, read("tokenizer_config.json"), read(CONFIG_FILE))
        ways = own.get("modality_config") or {"text": {}}
        asked = {*settings._processing} - _CUTTING
        if "text" not in ways or asked:
            found = (
                f"{names[0]} has texts go through {', '.join(sorted(asked)) or 'a chat template'}"
            )
            mend = "run it with --backend torch"
            raise ModelError(Fault(str(folder), found, "a tokenizer alone", mend))
        return settings

    @property
    def _processing(self) -> dict[str, Any]:
        given = self.own.get("processing_kwargs") or {}
        return (given.get("common") or {}) | (given.get("text") or {})

    @property
    def positions(self) -> int | None:
        """For how many tokens the network has positions; None if it does not say so."""
        positions = self.config.get("max_position_embeddings")
        if not isinstance(positions, int) or positions < 1:
            return None
        behind = any(kind in str(self.config.get("model_type")) for kind in _BEHIND)
        return positions - behind * (int(self.config.get("pad_token_id") or 0) + 1)

    def length(self, wanted: int | None, notes: list[str]) -> int | None:
        """Return the tokens after which texts are cut, within the positions; None for never.

        Raises UsageError for a ``wanted`` length beyond these.
        """
        positions = self.positions
        if wanted and positions and wanted > positions:
            found = f"the model has {plural(positions, 'position')}"
            raise UsageError(Fault(f"option --max-length {wanted}", found, f"at most {positions}"))
        own = self._processing.get("max_length") or self.own.get("max_seq_length")
        given = wanted or own or self.said.get("model_max_length")
        length = int(given) if isinstance(given, int | float) and 0 < given < UNCUT else None
        if positions is None or (length is not None and length <= positions):
            return length
        if length is not None:
            notes.append(
                f"its tokenizer allows {plural(length, 'token')}, the model has "
                f"{plural(positions, 'position')}: "
                "texts are cut there"
            )
        return positions


class Tokens:
    """A tokenizer, read when it is first asked. Raises ModelError where it cannot be read."""

    def __init__(self, settings: Settings, length: int | None) -> None:
        self._settings, self.length = settings, length

    @cached_property
    def _read(self) -> tuple[Any, int]:
        """The tokenizer, set to pad nothing, and the id to pad with."""
        from tokenizers import Tokenizer, normalizers

        path = self._settings.folder / TOKENIZER_FILE
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more special
            found = f"cannot be read: {error}"
            raise ModelError(Fault(str(path), found, "a file of the tokenizers library")) from error
        if self._settings.own.get("do_lower_case"):
            both = [normalizers.Lowercase(), tokenizer.normalizer]
            tokenizer.normalizer = normalizers.Sequence([each for each in both if each is not None])
        token = self._settings.said.get("pad_token")
        token = token.get("content") if isinstance(token, Mapping) else token
        known = tokenizer.token_to_id(token) if isinstance(token, str) else None
        saved = (tokenizer.padding or {}).get("pad_id", 0)
        tokenizer.no_padding()
        return tokenizer, saved if known is None else known

    @property
    def pad(self) -> int:
        """The id of the token that fills a batch up."""
        return self._read[1]

    @property
    def _tokenizer(self) -> Any:
        return self._read[0]

    def rows(self, texts: Sequence[str], *, whole: bool = False) -> list[bytes]:
        """Return the ids of each text, int32, cut to the maximum length unless ``whole``."""
        return [np.array(each.ids, np.int32).tobytes() for each in self._encoded(texts, whole)]

    def _encoded(self, texts: Sequence[str], whole: bool) -> list[Any]:
        tokenizer = self._tokenizer
        if self.length is None or whole:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(self.length)
        found: list[Any] = tokenizer.encode_batch_fast([sound(text) for text in texts])
        return found

    def prompt_length(self, prompt: str) -> int:
        """Return how many tokens a prompt has at the start of a text, as the library counts."""
        if not prompt:
            return 0
        encoded = self._encoded([prompt], whole=False)[0]
        added = self._tokenizer.get_added_tokens_decoder()
        last = added.get(encoded.ids[-1]) if encoded.ids else None
        return len(encoded.ids) - bool(last and last.special)

    def types(self) -> set[int]:
        """Return the types of token (``token_type_ids``) that single texts have."""
        return {kind for each in self._encoded(PROBES, whole=False) for kind in each.type_ids}
