"""A checkpoint folder, checked before any library opens it.

Libraries' own flags against foreign code have failed before, so what a library is given is not
the folder but a view of it: a new folder of links to those files that were looked at, and no
others. Pickles, Python files, and whatever else lies in the folder are not in the view.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.common.errors import Fault, ModelError, UsageError, first_faults
from mlbench.common.files import sha256_of_all
from mlbench.models.neural.checkpoint import ADAPTER_FILE, Adapter, Checkpoint
from mlbench.models.neural.files import (
    CODE_MEND,
    LEFT_OUT,
    MODELS_OF_BYTES,
    MODULES,
    OF_BYTES,
    PLAIN,
    PROCESSORS,
    TOKENIZERS,
    TRANSFORMER,
    leads_out,
    module_name,
    read_json,
    tensors,
)
from mlbench.models.neural.graphs import Unreadable, choose_file, weight_files, which_file
from mlbench.models.neural.kinds import (
    MODEL_TYPES,
    OF_FAMILY,
    RERANKER,
    adapter,
    kind_of_class,
    model2vec_modules,
    other_weights,
    pickled_weights,
    says_reranker,
)
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.outputs import DENSE, FAMILIES, LATE, without_vectors
from mlbench.models.neural.view import View, joined

MODULES_FILE = "modules.json"
CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
MODEL_FILE = "config_sentence_transformers.json"
STANFORD, METADATA = "HF_ColBERT", "artifact.metadata"
"""The class that a checkpoint of Stanford's ColBERT names, and the file of its settings."""
_SETTINGS: tuple[tuple[str, type, str], ...] = (
    ("similarity_fn_name", str, "one text, such as cosine or dot; null for none"),
    ("default_prompt_name", str, "the name of a prompt; null for none"),
    ("truncate_dim", int, "a number of dimensions; null for all"),
)
_LIKE_TRANSFORMER = ("MLMTransformer", "CLIPModel")
_READ_TEXTS = ("Transformer", "StaticEmbedding", "SparseStaticEmbedding")
_FIRST = (None, *_READ_TEXTS, *_LIKE_TRANSFORMER, "Router", "Asym")
"""Modules that texts can be given to; a class of other code may be one."""
_TABLES = {"embedding.weight", "embeddings"}
"""The names that a StaticEmbedding's table may have, its own and model2vec's."""
_SINGLE = {False: "model.safetensors", True: "pytorch_model.bin"}
_ADAPTED = {False: "adapter_model.safetensors", True: "adapter_model.bin"}
_PICKLED = (
    "pickled weights, which can run code when they are opened",
    "safetensors",
    "convert them to safetensors, or give --allow-pickle if you trust their source",
)
_EXPORTED = {"onnx": re.compile(r".*\.onnx"), "openvino": re.compile(r".*\.(xml|bin)")}


def inspect_folder(folder: Path, options: NeuralOptions) -> Checkpoint:
    """Check a checkpoint folder and find the files that make the model.

    Raises ModelError, with every fault, for weights that are pickled, missing, damaged or Git
    LFS pointers, for classes and code that are not the libraries' own, for links that lead out
    of the folder, and where files are missing; UsageError for a backend that runs dense encoders
    only, where it is another.
    """
    inspection = _Inspection(folder.resolve(), options)
    inspection.run()
    if options.backend != "torch" and not inspection.family.dense:
        found = f"{folder} is {inspection.family.what}"
        expected = "a dense encoder, or --backend torch"
        raise UsageError(Fault(f"option --backend {options.backend}", found, expected))
    if inspection.faults:
        raise ModelError(*first_faults(inspection.faults))
    files = tuple(sorted(set(inspection.files)))
    sha256 = sha256_of_all(inspection.root, files)
    return Checkpoint(
        inspection.root,
        inspection.layout,
        files,
        sha256,
        inspection.settings,
        tuple(inspection.modules),
        inspection.graph,
        inspection.adapter,
        made=inspection.made,
        family=inspection.family,
    )


class _Inspection(View):
    """One pass over a folder: what makes the model, and what is wrong with it."""

    def __init__(self, root: Path, options: NeuralOptions) -> None:
        super().__init__(root, options)
        self.settings: dict[str, Any] = {}
        self.modules: list[tuple[str | None, str]] = []
        self.graph = ""
        self.adapter: Adapter | None = None
        self.made: dict[str, str] = {}
        self.family = DENSE
        bare = not (root / MODULES_FILE).is_file()
        self.layout = "transformers" if bare else "sentence-transformers"

    def run(self) -> None:
        """Check the folder's own files, then each module's."""
        names = self._folder("")
        if self.layout == "transformers":
            self._bare(names)
            return
        if MODEL_FILE in names:
            self.settings = self._settings()
        kind = self.settings.get("model_type", "SentenceTransformer")
        if str(kind) not in FAMILIES:
            other = MODEL_TYPES.get(str(kind))
            found = f"a model of type {kind!r}" + (f": {other.what}" if other else "")
            self.fault(MODEL_FILE, found, ", ".join(FAMILIES), other.mend if other else "")
            return
        self.family = FAMILIES[str(kind)]
        modules, unread = read_json(self.root / MODULES_FILE)
        if not unread:  # which was said already: it is one of the folder's files
            self._listed(modules)

    def _listed(self, modules: Any) -> None:
        """Check what modules.json says, and each module."""
        if not isinstance(modules, list) or not modules:
            self.fault(MODULES_FILE, "no list of modules", "a list of modules, not empty")
            return
        self._names_of_modules(modules)
        for entry in modules:
            if isinstance(entry, dict):
                self._module(entry.get("type"), entry.get("path"), MODULES_FILE)
        if not self.faults and not self._gives_vectors():
            self.fault(MODULES_FILE, *without_vectors(self.family))
        elif not self.faults and (first := module_name(modules[0]["type"])) not in _FIRST:
            found = f"its first module is {first}, which reads no texts"
            self.fault(MODULES_FILE, found, "the modules in their order, what reads texts first")

    def _bare(self, names: list[str]) -> None:
        """Check a folder without modules.json."""
        if ADAPTER_FILE in names:
            return
        config = self.object_of(CONFIG_FILE) if CONFIG_FILE in names else {}
        modules = model2vec_modules(config)
        if says_reranker(config):
            found = f"sentence_transformers in it says: {RERANKER.what}"
            self.fault(CONFIG_FILE, found, "a dense encoder", RERANKER.mend)
        elif modules:
            self.layout, self.made = "sentence-transformers", {MODULES_FILE: modules}
            self._listed(json.loads(modules))
        else:
            if STANFORD in config.get("architectures", ()):
                self.family = LATE
                self.files += [METADATA] * (METADATA in names)
            self.modules.append(("Transformer", ""))
            self._weighty("", "Transformer", names)

    def _settings(self) -> dict[str, Any]:
        """Return what config_sentence_transformers.json says; of the wrong type are faults."""
        said = self.object_of(MODEL_FILE)
        prompts = said.get("prompts", {})
        if not isinstance(prompts, dict):
            found = f"prompts = {json.dumps(prompts)[:200]}"
            self.fault(MODEL_FILE, found, 'an object, name -> text; {} for none: "prompts": {}')
            prompts = {}
        for name, text in prompts.items():
            if text is not None and not isinstance(text, str):
                found = f"prompt {name!r} = {json.dumps(text)[:200]}"
                self.fault(MODEL_FILE, found, "a text; null for none")
        for key, kind, expected in _SETTINGS:
            value = said.get(key)
            if value is not None and type(value) is not kind:
                self.fault(MODEL_FILE, f"{key} = {json.dumps(value)[:200]}", expected)
        default = said.get("default_prompt_name")
        if isinstance(default, str) and default not in {"query", "document", *prompts}:
            found = f"default_prompt_name = {default!r}, which is none of the prompts"
            self.fault(MODEL_FILE, found, ", ".join(prompts) or "null: it has no prompts")
        return said

    def _names_of_modules(self, modules: list[Any]) -> None:
        """Check that each module is an object with a name of its own: the library keeps one."""
        seen: set[str] = set()
        for entry in modules:
            if not isinstance(entry, dict):
                self.fault(MODULES_FILE, f"{entry!r}", "an object with type, path and name")
                continue
            name = entry.get("name")
            if not isinstance(name, str) or name in seen:
                found = f"a module of the name {name!r}" + (", twice" if name in seen else "")
                self.fault(MODULES_FILE, found, "a text, another for each module")
            else:
                seen.add(name)

    def _gives_vectors(self) -> bool:
        """Say whether some module makes the vectors of a text; of unknown classes one may."""
        return any(
            name in (None, "CLIPModel", *self.family.made_by)
            or (name == "Transformer" and self._output(folder) == "sentence_embedding")
            for name, folder in self.modules
        )

    def _output(self, folder: str) -> Any:
        """Return what a Transformer's own configuration says that it gives."""
        names = [name for name in self.names_in(folder) if TRANSFORMER.fullmatch(name)]
        said = [self.object_of(joined(folder, name)) for name in names]
        return next((each.get("module_output_name") for each in said if each), None)

    def _module(self, kind: Any, path: Any, where: str) -> None:
        """Check one module: its class, its path and its files."""
        name = module_name(kind)
        other = kind_of_class(kind)
        allowed = other is OF_FAMILY.get(self.family.library)
        if other and not allowed:
            found = f"names the class {kind!r}: {other.what}"
            self.fault(where, found, f"{self.family.what}, of modules of its own", other.mend)
            return
        if name is None and not self.options.trust_remote_code:
            found = f"names the class {kind!r}, which is not one of sentence-transformers' modules"
            self.fault(where, found, ", ".join(MODULES), CODE_MEND)
            return
        if not isinstance(path, str) or leads_out(path):
            self.fault(where, f"the path {path!r}", "a folder within this one")
            return
        folder = PurePosixPath(path).as_posix().removeprefix(".")
        if not (self.root / folder).is_dir():
            if name in ("Normalize", "Dropout"):
                self.modules.append((name, folder))
                return
            self.fault(where, f"names the folder {path!r}, which is not there", "the module")
            return
        names = self._folder(folder) if folder else sorted(self.names_in(""))
        self.modules.append((name, folder))
        if name in ("Pooling", "Dense") and CONFIG_FILE not in names:
            self.fault(joined(folder, CONFIG_FILE), "no such file", f"what the {name} does")
        if name in ("Router", "Asym"):
            self._router(folder, names)
        elif name is None or MODULES[name]:
            kind = "Transformer" if name in _LIKE_TRANSFORMER else name or ""
            self._weighty(folder, kind, names)

    def _router(self, folder: str, names: list[str]) -> None:
        config = next((n for n in ("router_config.json", CONFIG_FILE) if n in names), None)
        if config is None:
            self.fault(folder, "no router_config.json", "the routes' modules")
            return
        where = joined(folder, config)
        types = self.object_of(where).get("types")
        if not isinstance(types, dict):
            self.fault(where, "no types", "an object: module -> class")
            return
        for path, kind in types.items():
            self._module(kind, path if leads_out(path) else joined(folder, path), where)

    def _folder(self, folder: str) -> list[str]:
        """Take in the files of one folder that are no weights; return all their names."""
        names = sorted(self.names_in(folder))
        for name in names:
            code = name.endswith(".py") and self.options.trust_remote_code
            if (PLAIN.fullmatch(name) and not LEFT_OUT.fullmatch(name)) or code:
                self.take(joined(folder, name))
        if ADAPTER_FILE in names:
            self._adapter(folder, names)
        return names

    def _adapter(self, folder: str, names: list[str]) -> None:
        """Take in an adapter in place of a module's weights."""
        said = self.object_of(joined(folder, ADAPTER_FILE))
        pickled = self.options.allow_pickle and _ADAPTED[False] not in names
        weights = _ADAPTED[pickled]
        if self.options.backend != "torch":
            found, mend = adapter(said)
            self.fault(joined(folder, ADAPTER_FILE), found, "--backend torch", mend)
        elif weights not in names and _ADAPTED[True] in names:
            self.fault(joined(folder, _ADAPTED[True]), *_PICKLED)
        elif weights not in names:
            found = "a PEFT adapter without its weights"
            self.fault(folder or ".", found, weights, "save or download that file too")
        elif self.adapter is not None:
            self.fault(joined(folder, ADAPTER_FILE), "a second adapter", "one adapter")
        else:
            self.take(joined(folder, weights))
            self.adapter = Adapter(self.root / folder, (ADAPTER_FILE, weights), folder, said)

    def _weighty(self, folder: str, kind: str, names: list[str]) -> None:
        """Check the files of a module that has weights, unless it is an adapter."""
        if ADAPTER_FILE in names:
            return
        exported = self._exported(folder) if kind == "Transformer" else []
        onnx = self.options.backend == "onnx" and kind == "Transformer"
        if onnx:
            self._run_by_onnx(folder, exported)
        for name in exported if not onnx else ():
            self.take(name)
        whole = onnx or self._weights(folder, names, pickled=False) or exported
        if not whole and self._pickled(folder, kind, names) and CONFIG_FILE not in names:
            return
        single = joined(folder, _SINGLE[False])
        if kind == "StaticEmbedding" and single in self.files and not self.faults:
            self._table(single)
        if kind == "Transformer" and CONFIG_FILE not in names:
            self.fault(joined(folder, CONFIG_FILE), "no such file", "the model's configuration")
        if kind in _READ_TEXTS and not self._tokenises(folder, kind, names):
            mend = "save the tokenizer into the folder: tokenizer.save_pretrained(folder)"
            self.fault(folder or ".", "no tokenizer in it", "tokenizer.json", mend)

    def _table(self, single: str) -> None:
        """Check the table of a StaticEmbedding."""
        tables = {
            name: kind for name, kind in tensors(self.root / single).items() if name in _TABLES
        }
        if not tables:
            self.fault(single, "no table of embeddings", f"one of {', '.join(sorted(_TABLES))}")
        elif whole := [kind for kind in tables.values() if kind.startswith(("I", "U"))]:
            found = (
                f"embeddings in whole numbers ({whole[0]}), which sentence-transformers cannot use"
            )
            mend = "save it again: StaticModel.from_pretrained(FOLDER, quantize_to='float32')"
            self.fault(single, found, "floating-point numbers", mend)

    def _tokenises(self, folder: str, kind: str, names: list[str]) -> bool:
        """Say whether the folder has a tokenizer, or names one that needs no vocabulary."""
        if kind == "StaticEmbedding" or self.options.backend == "onnx":
            return TOKENIZER_FILE in names
        if any(TOKENIZERS.fullmatch(name) or PROCESSORS.fullmatch(name) for name in names):
            return True
        said = [
            self.object_of(joined(folder, name))
            for name in ("tokenizer_config.json", CONFIG_FILE)
            if name in names
        ]
        return any(
            OF_BYTES.fullmatch(str(each.get("tokenizer_class")))
            or each.get("model_type") in MODELS_OF_BYTES
            for each in said
        )

    def _exported(self, folder: str) -> list[str]:
        """Return the files of the ONNX or OpenVINO model, where one of these is to run."""
        wanted = _EXPORTED.get(self.options.backend)
        if wanted is None:
            return []
        below = joined(folder, self.options.backend)
        folders = [folder, below] if (self.root / below).is_dir() else [folder]
        found = [joined(place, name) for place in folders for name in self.names_in(place)]
        return [name for name in found if wanted.fullmatch(PurePosixPath(name).name)]

    def _run_by_onnx(self, folder: str, exported: list[str]) -> None:
        """Take in the ONNX file that is to be run, and the files of its weights."""
        graph = choose_file(exported, self.options.onnx_file)
        if graph is None:
            self.fault(folder or ".", *which_file(exported, self.options.onnx_file))
            return
        self.take(graph)
        if self.faults:
            return
        try:
            beside = weight_files(self.root / graph)
        except Unreadable as error:
            self.fault(graph, str(error), "an ONNX file that onnxruntime runs by itself")
            return
        self.graph = graph
        for name in sorted(beside):
            file = PurePosixPath(graph).parent / name
            if leads_out(name) or not self.stays_within(self.root / file):
                self.fault(graph, f"its weights are in {name!r}", "a file in this folder")
            elif not (self.root / file).is_file():
                found = f"its weights are in {name!r}, which is not there"
                self.fault(graph, found, "all files of the export", "download that file too")
            else:
                self.take(file.as_posix())

    def _weights(self, folder: str, names: list[str], *, pickled: bool) -> bool:
        """Take in a module's weights, one file or the shards of an index, if they are there."""
        single = _SINGLE[pickled]
        index = f"{single}.index.json"
        if single in names:
            self.take(joined(folder, single))
        elif index in names:
            self.take(joined(folder, index))
            shards = self.object_of(joined(folder, index)).get("weight_map")
            listed = set(shards.values()) if isinstance(shards, dict) else set()
            for shard in sorted(map(str, listed)):
                if shard not in names or Path(shard).suffix != Path(single).suffix:
                    expected = f"a {Path(single).suffix} file in this folder"
                    self.fault(joined(folder, index), f"names the shard {shard!r}", expected)
                else:
                    self.take(joined(folder, shard))
        return single in names or index in names

    def _pickled(self, folder: str, kind: str, names: list[str]) -> bool:
        """Take in pickled weights, if they may be opened; else say what is there in their place.

        Returns whether the weights that are there are of another form.
        """
        if self.options.allow_pickle and self._weights(folder, names, pickled=True):
            return False
        pickles = pickled_weights(names)
        if pickles and not self.options.allow_pickle:
            self.fault(joined(folder, pickles[0]), *_PICKLED)
        elif kind:
            below = [
                f"{place}/{name}"
                for place in _EXPORTED
                if (self.root / folder / place).is_dir()
                for name in self.names_in(joined(folder, place))
            ]
            backends = kind == "Transformer"
            other = other_weights([*names, *below], backends=backends)
            found, mend = other or ("no weights in it", "")
            self.fault(folder or ".", found, _SINGLE[False], mend)
            return other is not None
        return False
