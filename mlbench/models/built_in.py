"""The kinds of models that come with mlbench, one row each; nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuiltIn:
    """A kind of model that comes with mlbench; ``module`` is imported when it is asked for.

    ``value`` names what may follow ``name:`` ("" if nothing may); the factory then takes it as
    a string, "" where it was left out. A folder given as SPEC that holds a file of one of the
    globs ``markers`` is of this kind. With ``options`` the factory takes two more
    arguments, a mapping of names to values (see ``mlbench.models.neural.options``) and the
    embedding cache or None. Reports call it ``kind``, or ``name`` where that is "".
    """

    name: str
    module: str
    factory: str
    help: str
    value: str = ""
    required: bool = False
    markers: tuple[str, ...] = ()
    options: bool = False
    kind: str = ""

    @property
    def syntax(self) -> str:
        """Return how it is written, such as ``random[:SEED]``."""
        if not self.value:
            return self.name
        return f"{self.name}:{self.value}" if self.required else f"{self.name}[:{self.value}]"


BUILT_IN = (
    BuiltIn("bm25", "mlbench.models.bm25", "make", "BM25, Lucene's variant, by language"),
    BuiltIn("char-ngram", "mlbench.models.char_ngram", "CharNgram", "hashed character n-grams"),
    BuiltIn(
        "precomputed",
        "mlbench.models.precomputed",
        "make",
        "vectors read from a folder (.npy or Parquet), by the ids of the texts",
        value="FOLDER",
        required=True,
        markers=("passages.*",),
    ),
    BuiltIn(
        "random",
        "mlbench.models.random_vectors",
        "make",
        "random vectors: what any model must beat",
        value="SEED",
    ),
    BuiltIn(
        "sentence-transformers",
        "mlbench.models.neural.adapter",
        "from_folder",
        "a neural encoder: a checkpoint folder of sentence-transformers or transformers",
        value="FOLDER",
        required=True,
        markers=("modules.json", "config.json"),
        options=True,
    ),
    BuiltIn(
        "hub",
        "mlbench.models.neural.adapter",
        "from_hub",
        "a neural encoder from the Hugging Face hub",
        value="ORG/NAME",
        required=True,
        options=True,
        kind="sentence-transformers",
    ),
    BuiltIn(
        "toml",
        "mlbench.models.neural.adapter",
        "from_file",
        "a neural encoder and its options, as a TOML file says",
        value="FILE",
        required=True,
        options=True,
        kind="sentence-transformers",
    ),
)
