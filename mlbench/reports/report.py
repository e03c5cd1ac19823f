"""The report: its documented schema (``mlbench/report/1``), reading and writing.

A report is a folder with ``report.json``, ``ranks.parquet`` and the pages and plots made from
them. ``docs/report.md`` explains every key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, IntegrityError, UsageError, first_faults
from mlbench.common.files import sha256_of, write_atomically
from mlbench.data.task import Kind
from mlbench.data.texts import Texts
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import Scores, SettingScores, compute_scores
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes, read_ranks
from mlbench.reports.clip_score import ClipScore, read_clip_values, with_clip_values
from mlbench.reports.found_first import Example
from mlbench.reports.frames import settings_table
from mlbench.reports.per_query import PerQuery, choose_settings, per_query, require_pandas
from mlbench.reports.provenance import ModelInfo, RunInfo, TaskInfo
from mlbench.reports.reranking import Reranking
from mlbench.reports.retrieved import Retrieved
from mlbench.reports.values import differences, finite
from mlbench.reports.variants import VariantScores

if TYPE_CHECKING:
    import cattrs
    import pyarrow as pa

    from mlbench.models.cache import EmbeddingCache

SCHEMA = "mlbench/report/1"
KEPT_APART = ("ranks", "values", "texts", "variant_reports", "clip_values")
"""Fields of a report that report.json does not hold."""
REPORT_FILE, RANKS_FILE, VALUES_FILE = "report.json", "ranks.parquet", "per-query.parquet"


@dataclass(frozen=True, repr=False)
class Report:
    """One model on one task.

    Attributes:
        task: Which task, and the digest of its data.
        model: Which model, and what is known of it.
        measures: The names of the measures; the first is the one that the report is read by.
        scores: All scores, with intervals where they have some.
        run: How, when and on what machine the report was made.
        warnings: What a reader should know before relying on the scores.
        retrieved: How deep the run files go that it was made from, else None.
        variants: The scores of vectors made smaller.
        reranking: What a reranker did, if there was one.
        clip_score: The CLIPScore of images and captions.
        examples: Examples of what images and captions found.
        ranks: The table that the scores are made from, a file beside report.json; None where it
            was not read, or where there is none. This and what follows is not compared.
        values: What each query scores, of a report on run files.
        texts: The texts of the queries that the page shows, where they are at hand.
        variant_reports: Whole reports on ``variants``, where they were made just now.
        clip_values: The CLIPScore of each query.
    """

    task: TaskInfo
    model: ModelInfo
    measures: tuple[str, ...]
    scores: Scores
    run: RunInfo
    warnings: tuple[str, ...] = ()
    retrieved: Retrieved | None = None
    variants: tuple[VariantScores, ...] = ()
    reranking: Reranking | None = None
    clip_score: ClipScore | None = None
    examples: tuple[Example, ...] = ()
    ranks: Ranks | None = field(default=None, compare=False, repr=False)
    values: PerQuery | None = field(default=None, compare=False, repr=False)
    texts: Texts | None = field(default=None, compare=False, repr=False)
    variant_reports: tuple[Report, ...] = field(default=(), compare=False, repr=False)
    clip_values: PerQuery | None = field(default=None, compare=False, repr=False)

    @property
    def table(self) -> Ranks:
        """The table of ranks. Raises DataError where the report has none."""
        if self.ranks is None:
            where = f"report of {self.model.name} on {self.task.name}"
            expected = "a report of `mlbench run` or mlbench.evaluate"
            raise DataError(Fault(where, "has no table of ranks", expected))
        return self.ranks

    @property
    def macro(self) -> dict[str, dict[str, float]]:
        """The macro score by kind of setting and measure; intervals are in ``scores.macro``."""
        return {
            kind: {name: score.value for name, score in of_kind.items()}
            for kind, of_kind in self.scores.macro.items()
        }

    @property
    def settings(self) -> tuple[SettingScores, ...]:
        """What is known of every setting: its languages, its queries and its scores."""
        return self.scores.settings

    def to_arrow(self) -> pa.Table:
        """Return a pyarrow Table with a row for each measure of each setting; see ``frames``."""
        return settings_table(self)

    def to_frame(self) -> Any:
        """Return ``to_arrow`` as a pandas DataFrame. Raises EnvironmentFault without pandas."""
        require_pandas()
        return self.to_arrow().to_pandas()

    def per_query(
        self,
        kind: str | None = None,
        query_language: str | None = None,
        passage_language: str | None = None,
        measures: str | Iterable[str] | None = None,
    ) -> PerQuery:
        """Return what each query scores in each setting, or in those of a kind, of a query
        language and of a pool of one language.

        ``measures`` are the report's and rank distance unless given. Raises DataError where the
        report has no table of ranks, UsageError where there is no such setting or measure.
        """
        every = self.task.roles.settings([Kind(name) for name in self.task.kinds])
        settings = choose_settings(every, kind, query_language, passage_language)
        if self.values is not None:
            return self.values.chosen(settings, measures)
        return per_query(self.table, settings, measures, self.measures)

    def save(self, folder: str | Path, cache: EmbeddingCache | None = None) -> Path:
        """Write the report as ``mlbench run`` does, with pages and plots; return its folder.

        Plots that ``cache`` has are not drawn again. Texts are those of the evaluation or, for a
        report that was read, of the task's data, if it is on this machine. Raises EnvironmentFault
        where the folder cannot be written. Reports on variants go into folders in it.
        """
        from mlbench.reports.page import report_pages

        path = Path(folder)
        for each in self.variant_reports:
            each.save(path / each.model.variant, cache)
        write_report(path, self, self.ranks, report_pages(self, self.ranks, cache))
        return path

    def __repr__(self) -> str:
        """The report in a line: its macro scores, whatever it holds beside them."""
        name = next(iter(self.measures), "")
        means = [f"{kind} {of[name]:.4f}" for kind, of in self.macro.items() if name in of]
        said = f": {name} {', '.join(means)}" if means else ""
        return f"<Report of {self.model.name} on {self.task.name}{said}>"

    def __str__(self) -> str:
        """The report as a terminal shows it."""
        from mlbench.reports.tables import terminal_text

        return terminal_text(self)

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        from mlbench.reports.page import notebook_html

        return notebook_html(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What qualifies all scores of its task: the task's notes, the languages averaged."""
        name, count = self.task.averaged, len(self.task.languages)
        averaged = f"macro scores average over {name}, which is {plural(count, 'language')}"
        return (*self.task.notes, *([averaged] if name else []))


def report_to_json(report: Report, ranks_sha256: str | None) -> str:
    """Return ``report.json``: strict JSON, values as exact as float64 prints."""
    table = {"schema": SCHEMA, "ranks_sha256": ranks_sha256} | report_values(report)
    table |= table.pop("scores")
    return json.dumps(finite(table), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def report_values(report: Report) -> dict[str, Any]:
    """Return all that a report says, by field, without its table of ranks."""
    bare = replace(report, ranks=None, values=None, texts=None, clip_values=None)
    values = asdict(replace(bare, variant_reports=()))
    return {name: value for name, value in values.items() if name not in KEPT_APART}


def write_report(
    folder: Path, report: Report, ranks: Ranks | None, pages: dict[str, bytes]
) -> None:
    """Write the table and ``pages`` (file name -> content), then report.json, each atomically.

    report.json names the digest of its table, so a folder that was half replaced shows it. A report
    on run files has no table but per-query values; another's are removed.
    """
    digest = None
    if ranks is not None:
        raw = ranks_to_bytes(ranks, report.task.key)
        write_atomically(folder / RANKS_FILE, raw)
        digest = sha256_of(folder / RANKS_FILE)
    else:
        (folder / RANKS_FILE).unlink(missing_ok=True)
    if report.values is not None:
        report.values.save(folder / VALUES_FILE)
    else:
        (folder / VALUES_FILE).unlink(missing_ok=True)
    report = with_clip_values(report, folder)
    for name, content in pages.items():
        write_atomically(folder / name, content)
    write_atomically(folder / REPORT_FILE, report_to_json(report, digest).encode())


def read_report(folder: str | Path) -> Report:
    """Read a report folder and check that its files belong together.

    Raises DataError where a file is missing or the report was made from run files and has no
    table, IntegrityError where one is damaged, the table is not the one that report.json was
    written with, or report.json says otherwise than the table of the task, or names measures and
    kinds that there are not.
    """
    folder = Path(folder)
    path = folder / REPORT_FILE
    report, digest = parse_report(path)
    if report.retrieved is not None:
        found = (
            "made by `mlbench score` from run files, which are truncated: it has no table of ranks"
        )
        raise DataError(Fault(str(path), found, "a report of `mlbench run`"))
    ranks, key = read_ranks(folder / RANKS_FILE)
    found = sha256_of(folder / RANKS_FILE)
    if found != digest:
        raise IntegrityError(
            Fault(
                str(folder / RANKS_FILE),
                f"SHA-256 {found}",
                f"{digest}, as {REPORT_FILE} says",
                "run the evaluation again",
            )
        )
    faults = [*_task_faults(report.task, ranks, key), *_name_faults(report)]
    if faults:
        where = f"{path}, "
        placed = [replace(fault, where=where + fault.where) for fault in faults]
        raise IntegrityError(*first_faults(placed))
    return replace(report, ranks=ranks, clip_values=read_clip_values(folder, report.clip_score))


def _task_faults(task: TaskInfo, ranks: Ranks, key: TaskKey) -> Iterator[Fault]:
    """Compare all that the table knows of the task; each fault names a field of report.json.

    The queries of a task are its judged ones: readers leave the others out.
    """
    table = {
        **asdict(key),
        "languages": ranks.languages,
        "queries": dict(zip(ranks.languages, ranks.judged.tolist(), strict=True)),
        "passages": dict(zip(ranks.languages, ranks.pool_sizes.tolist(), strict=True)),
        "relevant_pairs": len(ranks.passage_ids),
        "pairs": [asdict(pair) for pair in ranks.pairs],
    }
    said = {name: getattr(task, name) for name in table}
    said["pairs"] = [asdict(pair) for pair in task.pairs]
    for field_, one, other in differences(finite(said), finite(table), "task"):
        yield Fault(field_, f"{one!r}", f"{other!r}, from {RANKS_FILE}")


def _name_faults(report: Report) -> Iterator[Fault]:
    """Find kinds and measures that there are not, or that are not called so."""
    for number, kind in enumerate(report.task.kinds):
        if kind not in list(Kind):
            yield Fault(f"task.kinds[{number}]", f"{kind!r}", "one of " + ", ".join(Kind))
    try:
        names = tuple(measure.name for measure in parse_measures(report.measures))
    except UsageError as error:
        for fault in error.faults:
            yield replace(fault, where=f"measures, {fault.where}")
    else:
        if names != report.measures:
            yield Fault("measures", ", ".join(report.measures), ", ".join(names))


def parse_report(path: Path) -> tuple[Report, str]:
    """Read report.json: the report, and the SHA-256 of the table it was made from, "" if none."""
    import cattrs

    where = str(path)
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(
            Fault(where, "no such file", "a report folder", "run `mlbench run` first")
        ) from None
    except (NotADirectoryError, IsADirectoryError) as error:
        unread = f"cannot be read: {error.strerror}"
        raise DataError(Fault(where, unread, f"{REPORT_FILE} in a report folder")) from None
    except (ValueError, RecursionError) as error:
        raise IntegrityError(Fault(where, f"broken JSON: {error}", "valid JSON")) from None
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        raise IntegrityError(Fault(where, f"schema {found!r}", SCHEMA))
    scores = {entry.name: table[entry.name] for entry in fields(Scores) if entry.name in table}
    try:
        report = _converter().structure({**table, "scores": scores}, Report)
        digest = str(table["ranks_sha256"] or "")
    except (cattrs.BaseValidationError, KeyError) as error:
        faults = cattrs.transform_error(error) if not isinstance(error, KeyError) else [str(error)]
        raise IntegrityError(
            *first_faults(
                [Fault(where, found, "a report as mlbench writes it") for found in faults]
            )
        ) from None
    return report, digest


@cache
def _converter() -> cattrs.Converter:
    """Return what makes a report of JSON; its table of ranks is no part of that."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=False)
    apart: dict[str, Any] = {name: override(omit=True) for name in KEPT_APART}
    hook = make_dict_structure_fn(Report, converter, **apart)
    converter.register_structure_hook(Report, hook)
    return converter


def rescored(report: Report, ranks: Ranks, folder: Path) -> Report:
    """Compute all scores again from the table and return the report with them.

    Raises IntegrityError, with the first scores that differ, where report.json says otherwise
    by more than 1e-9 of the score.
    """
    settings = report.task.roles.settings([Kind(kind) for kind in report.task.kinds])
    scores = compute_scores(ranks, settings, parse_measures(report.measures))
    differing = list(differences(finite(asdict(report.scores)), finite(asdict(scores)), ""))
    if differing:
        where = folder / REPORT_FILE
        raise IntegrityError(
            *first_faults(
                [
                    Fault(f"{where}, {key}", f"{said!r}", f"{found!r}, from {RANKS_FILE}")
                    for key, said, found in differing
                ]
            )
        )
    return replace(report, scores=scores, ranks=ranks)
