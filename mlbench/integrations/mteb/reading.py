"""MTEB's results read: as reports where it saved its rankings, else as figures that it reports.

A result of MTEB holds means over queries, without the ranks that they were made from, so they are
*reported*. Where MTEB saved its predictions for tasks of ``mlbench.integrations.mteb``, these are
runs, and ``mlbench score``'s functions make a report of them.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, IntegrityError, UsageError
from mlbench.common.files import sha256_of
from mlbench.common.terminal import fill, printable
from mlbench.data.collection import Collection
from mlbench.data.input_files import Faults, read_json
from mlbench.data.task import Kind, Setting, Task
from mlbench.evaluation.describing import chosen_measures, describe_task
from mlbench.evaluation.loading import load_collection
from mlbench.evaluation.tasks import load_task
from mlbench.integrations.mteb.names import PREFIX, SPLIT, subset_name
from mlbench.reports.report import Report
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, mean
from mlbench.runs.matching import Targets
from mlbench.runs.patterns import Given
from mlbench.runs.run_reports import About, read_runs, runs_report, score_read

META, PREDICTIONS = "model_meta.json", "_predictions.json"
OURS = re.compile(rf"{PREFIX}(.+)-({'|'.join(Kind)})")
SHOWN = ("ndcg_at_10", "map_at_1000", "recall_at_100")
UNKNOWN = "unknown"
TASK_RESULT, PREDICTIONS_FILE = "a TaskResult as MTEB writes it", "predictions as MTEB writes them"


@dataclass(frozen=True)
class MtebResult:
    """What a file of results says: split -> subset -> measure -> value.

    ``task`` is MTEB's name of the task, ``revision`` that of its data set, ``mteb`` the version.
    """

    path: str
    model: str
    task: str
    revision: str
    mteb: str
    scores: dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Predictions:
    """The rankings of a task of ours: subset -> query -> passage -> score."""

    path: Path
    model: str
    task: str
    rankings: dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class MtebFolder:
    """All results and predictions that a file or a folder holds."""

    results: tuple[MtebResult, ...]
    predictions: tuple[Predictions, ...]

    def revisions(self, task: str, model: str) -> set[str]:
        """Return the digests of the data that the results of a task of ours were made on."""
        names = {f"{PREFIX}{task}-{kind.value}" for kind in Kind}
        return {r.revision for r in self.results if r.task in names and r.model == model}


def read_mteb(path: str | Path) -> MtebFolder:
    """Read what MTEB wrote: one file of results or predictions, or all in a folder.

    JSON of other programs is passed over. Raises DataError where nothing of MTEB is found, or for
    a file that is damaged, whoever wrote it.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*.json")))
    faults = Faults()
    results, predictions = [], []
    for file in files:
        if file.name == META:
            continue
        value = read_json(file, faults)
        if file.name.endswith(PREDICTIONS):
            predictions += _predictions(file, value, faults)
        elif isinstance(value, dict) and {"task_name", "scores"} <= value.keys():
            results += _result(file, value, faults)
    faults.check()
    if not results and not predictions:
        expected = "TaskResult files of MTEB, such as results/MODEL/REVISION/TASK.json"
        raise DataError(Fault(str(path), "no results of MTEB", expected))
    return MtebFolder(tuple(results), tuple(predictions))


def _result(path: Path, value: dict[str, Any], faults: Faults) -> list[MtebResult]:
    try:
        scores = {
            split: {str(each["hf_subset"]): dict(_figures(each)) for each in entries}
            for split, entries in value["scores"].items()
        }
    except KeyError as error:
        faults.add(str(path), f"scores without {error}", TASK_RESULT)
        return []
    except (AttributeError, TypeError):
        faults.add(str(path), "scores of another form", TASK_RESULT)
        return []
    said = {"revision": "dataset_revision", "mteb": "mteb_version"}
    names = {ours: str(value.get(theirs) or UNKNOWN) for ours, theirs in said.items()}
    task = str(value["task_name"])
    return [MtebResult(str(path), _model(path, faults), task, scores=scores, **names)]


def _figures(entry: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures of a subset; MTEB writes NaN for what it could not compute."""
    for name, score in entry.items():
        if isinstance(score, int | float) and not isinstance(score, bool):
            with suppress(OverflowError):
                if math.isfinite(score):
                    yield name, float(score)


def _model(path: Path, faults: Faults) -> str:
    """Return the model of a file of results: as model_meta.json beside it says, or its folder."""
    meta = path.parent / META
    if meta.is_file():
        value = read_json(meta, faults)
        return str((value.get("name") if isinstance(value, dict) else "") or UNKNOWN)
    return path.parent.parent.name.replace("__", "/") or UNKNOWN


def _predictions(path: Path, value: Any, faults: Faults) -> list[Predictions]:
    task = path.name.removesuffix(PREDICTIONS)
    if value is None or not OURS.fullmatch(task):
        return []
    try:
        model = str(value["mteb_model_meta"]["model_name"])
        rankings = {name: of[SPLIT] for name, of in value.items() if name != "mteb_model_meta"}
        counts = [len(of.keys()) for ranking in rankings.values() for of in ranking.values()]
    except KeyError as error:
        faults.add(str(path), f"no {error}", PREDICTIONS_FILE)
        return []
    except (AttributeError, TypeError):
        faults.add(str(path), "rankings of another form", PREDICTIONS_FILE)
        return []
    if not any(counts):
        faults.add(str(path), "no passage is ranked", PREDICTIONS_FILE)
        return []
    return [Predictions(path, model, task, rankings)]


def reports_from(
    folder: MtebFolder, task: str | None = None, data_dir: Path | None = None, command: str = ""
) -> list[Report]:
    """Return a report for each model and task whose predictions were saved.

    ``task`` is the file of a task that is not built in. Raises UsageError for rankings on another
    one that is not; IntegrityError where the results
    beside them were made on other data than is at hand; DataError for rankings that do not fit it.
    """
    groups: dict[tuple[str, str], list[Predictions]] = {}
    for each in folder.predictions:
        match = OURS.fullmatch(each.task)
        if match:
            groups.setdefault((each.model, match[1]), []).append(each)
    own = None if task is None else load_task(task)
    tasks = {name: own if own and own.name == name else _built_in(name, found)
             for (_, name), found in groups.items()}  # fmt: skip
    return [
        _report(tasks[name], model, found, folder.revisions(name, model), data_dir, command)
        for (model, name), found in groups.items()
    ]


def _built_in(name: str, found: Sequence[Predictions]) -> Task:
    try:
        return load_task(name)
    except UsageError:
        said, expected = f"rankings on the task {name!r}", "a built-in task, or the one of --task"
        mend = "name the task's file with --task"
        raise UsageError(Fault(str(found[0].path), said, expected, mend)) from None


def _report(
    task: Task,
    model: str,
    found: Sequence[Predictions],
    revisions: set[str],
    data_dir: Path | None,
    command: str,
) -> Report:
    data = _data(task, found, revisions, data_dir)
    settings = {
        subset_name(each.query_language, each.kind.value, each.passage_languages): each
        for each in data.roles.settings(task.kinds)
    }
    measures = chosen_measures(task, ())
    info = describe_task(task, data)
    with tempfile.TemporaryDirectory() as place:
        given, places = _run_files(found, settings, Path(place))
        try:
            read = read_runs(given, Targets.of(data), data.languages)
        except DataError as error:
            raise DataError(*(_moved(fault, places) for fault in error.faults)) from None
        scored = score_read(read, data.roles, task.kinds, measures)
        files = tuple(str(each.path) for each in found)
        about = About(model, files, measures, command, {})
        report = runs_report(read, scored, given, info, about)
    digests = {str(each.path): sha256_of(each.path) for each in found}
    return replace(report, retrieved=report.retrieved and replace(report.retrieved, files=digests))


def _data(
    task: Task, found: Sequence[Predictions], revisions: set[str], data_dir: Path | None
) -> Collection:
    """Return the data that was ranked: the task's, or that of the languages that were ranked."""
    whole = load_collection(task, data_dir=data_dir, progress=False)
    seen = {
        passage.partition(":")[0]
        for each in found
        for ranking in each.rankings.values()
        for of in ranking.values()
        for passage in of
    }
    if revisions == {whole.digest} or (not revisions and seen == {*whole.roles.passages}):
        return whole
    chosen = tuple(code for code in whole.languages if code in seen)
    part = load_collection(task, data_dir=data_dir, languages=chosen or None, progress=False)
    if revisions and revisions != {part.digest}:
        where = ", ".join(str(each.path) for each in found)
        raise IntegrityError(
            Fault(where, f"MTEB ranked data of the digest {', '.join(sorted(revisions))}",
                  f"{whole.digest}, that of {task.name} as it is at hand",
                  "evaluate again, or name the folder of the data that was ranked with --data-dir")
        )  # fmt: skip
    return part


def _run_files(
    found: Iterable[Predictions], settings: dict[str, Setting], folder: Path
) -> tuple[list[Given], dict[str, str]]:
    """Write each subset as a run file, and return these and what to call them in messages."""
    given: list[Given] = []
    places: dict[str, str] = {}
    for each in found:
        for subset, ranking in each.rankings.items():
            where = f"{each.path}, subset {subset!r}"
            if subset not in settings:
                known = ", ".join(settings)
                raise DataError(Fault(where, "no setting of the task", f"one of {known}"))
            setting = settings[subset]
            mixed = setting.kind is Kind.MULTILINGUAL
            path = folder / f"{len(given)}.json"
            path.write_text(json.dumps(ranking), encoding="utf-8")
            pool = setting.kind.value if mixed else setting.passage_languages[0]
            given.append(Given(path, setting.query_language, pool))
            places[str(path)] = where
    return given, places


def _moved(fault: Fault, places: dict[str, str]) -> Fault:
    for path, where in places.items():
        if fault.where == path or fault.where.startswith(f"{path},"):
            named = where + fault.where.removeprefix(path)
            return replace(fault, where=named, mend="evaluate with MTEB again")
    return fault


def results_text(results: Sequence[MtebResult]) -> str:
    """Return what a terminal shows of results that have no rankings."""
    blocks = []
    for model in dict.fromkeys(each.model for each in results):
        of = [each for each in results if each.model == model]
        versions = ", ".join(dict.fromkeys(each.mteb for each in of))
        blocks.append(
            fill(
                f"{printable(model)}: figures that MTEB {printable(versions)} wrote. They are "
                "reported: mlbench has not computed them. Each is the mean over the subsets."
            )
        )
        rows = tuple(
            (each.task, split, str(len(subsets)),
             *(_mean(subsets, name) for name in ("main_score", *SHOWN)))
            for each in of
            for split, subsets in each.scores.items()
        )  # fmt: skip
        headers = ("reported", "split", "subsets", "main\nscore", "ndcg\nat_10", "map\nat_1000",
                   "recall\nat_100")  # fmt: skip
        blocks.append(Table(headers, rows, words=2).text())
    blocks.append(fill(f"{plural(len(results), 'result')} read. {WHY}"))
    return "\n\n".join(blocks)


WHY = (
    "A report needs the rankings: give mteb.evaluate a prediction_folder, and read that folder and "
    "the results together."
)


def _mean(subsets: dict[str, dict[str, float]], name: str) -> str:
    value = mean([each.get(name) for each in subsets.values()])
    return MISSING if value is None else f"{value:.4f}"
