"""The kinds of models that come with mlbench: a row for each, which says how it is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuiltIn:
    """A kind of model that comes with mlbench; ``module`` is imported when it is asked for.

    ``value`` names what may follow ``name:`` ("" if nothing may); the factory then takes it as
    a string, "" where it was left out. A folder given as SPEC that holds a file of one of the
    globs ``markers`` is of this kind, and so is one with none of any kind that holds one of
    ``parts``, of which the factory says what is missing. With ``options`` the factory takes two
    more arguments, a mapping of names to values (see ``mlbench.models.neural.options``) and the
    embedding cache or None; ``file`` is the factory for a model file whose ``model`` begins with
    ``name:``, which takes the file's path. Reports call it ``kind``, or ``name`` where that is "".
    """

    name: str
    module: str
    factory: str
    help: str
    value: str = ""
    required: bool = False
    markers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    options: bool = False
    file: str = ""
    kind: str = ""

    @property
    def syntax(self) -> str:
        """Return how it is written, such as ``random[:SEED]``."""
        if not self.value:
            return self.name
        return f"{self.name}:{self.value}" if self.required else f"{self.name}[:{self.value}]"


BUILT_IN = (
    BuiltIn(
        "bm25",
        "mlbench.models.bm25",
        "make",
        "BM25 (Lucene's variant), separately for each language",
    ),
    BuiltIn("char-ngram", "mlbench.models.char_ngram", "CharNgram", "hashed character n-grams"),
    BuiltIn(
        "pixels",
        "mlbench.models.pixels",
        "make",
        "mean colours and edges of images, a floor for models of images; its texts are random",
    ),
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
        "random vectors of texts and images, which any model should beat",
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
        parts=(
            *("adapter_config.json", "config_sentence_transformers.json", "tokenizer.json"),
            *("*.safetensors", "*.gguf", "*.onnx", "onnx/*.onnx", "openvino/*.xml"),
            *("pytorch_model*.bin", "tf_model*.h5", "flax_model*.msgpack", "rust_model.ot"),
        ),
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
        "mteb",
        "mlbench.models.mteb",
        "from_name",
        "a model of MTEB, loaded and prompted as MTEB does",
        value="NAME",
        required=True,
        options=True,
    ),
    BuiltIn(
        "onnx",
        "mlbench.models.neural.adapter",
        "from_onnx",
        "an ONNX export of a neural encoder, in a folder or on the hub, run by onnxruntime",
        value="FOLDER",
        required=True,
        options=True,
    ),
    BuiltIn(
        "openai",
        "mlbench.models.endpoint.adapter",
        "from_name",
        "a model of an OpenAI-compatible server (OPENAI_BASE_URL and OPENAI_API_KEY)",
        value="MODEL",
        required=True,
        options=True,
        file="from_file",
    ),
    BuiltIn(
        "toml",
        "mlbench.models.neural.adapter",
        "from_file",
        "a neural encoder, or a model of a server, with the options in a TOML file",
        value="FILE",
        required=True,
        options=True,
        kind="sentence-transformers",
    ),
)
