"""A comparison as an ordinary page: one file that asks for nothing, with charts that answer to the
mouse and the keyboard.

What a name of a model holds is shown, never interpreted. Without its script the page shows the
same charts and tables, and browsers show the points' texts as titles.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mlbench.common.counts import listed, named
from mlbench.comparing.baseline import Saved
from mlbench.comparing.charts import Chart, Point, plane_chart, row_chart, shape
from mlbench.comparing.comparison import Comparison, notes
from mlbench.comparing.comparison_maps import (
    OUTRANKING,
    View,
    bias_table,
    cells,
    difference_maps,
    difference_text,
    fitting,
    outranking_maps,
    score_maps,
    value_text,
)
from mlbench.comparing.comparison_tables import (
    blocks_of,
    in_words,
    main_quantities,
    pairs_that_matter,
)
from mlbench.comparing.differences import (
    NOT_SHOWN,
    Value,
    measure_title,
    shown,
)
from mlbench.comparing.quantities import Quantity
from mlbench.data.task import Kind, Setting
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.pairs import pair_name, row_name
from mlbench.reports.table import Block, Table
from mlbench.reports.templating import page_environment
from mlbench.reports.words import MISSING, kind_name


def comparison_page(comparison: Comparison, saved: Sequence[Saved] = ()) -> str:
    """Return ``comparison.html``; ``saved`` are the compared results in their order, whose tables
    tell which languages outrank relevant passages."""
    from markupsafe import Markup

    environment = page_environment()
    sources = {
        name: environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]
        for name in ("report.css", "plots.css", "plots.js")
    }
    view = View(comparison)
    maps, left_out = fitting([*score_maps(view), *difference_maps(view)])
    bias_maps, bias_out = fitting(outranking_maps(view, saved), sum(map(cells, maps)))
    blocks = blocks_of(comparison, whole=True)
    text: str = environment.get_template("comparison.html.jinja").render(
        comparison=comparison,
        models=[(m, i % 6, shape(i, 7, 7)) for i, m in enumerate(comparison.models)],
        names=view.names,
        reading=reading(comparison),
        headline=_headline(view),
        score_charts=_score_charts(view),
        difference_charts=_difference_charts(view),
        plane_charts=_plane_charts(view),
        series_charts=_series_charts(view),
        fine_charts=_fine_charts(view),
        fine_tables=_fine_tables(view),
        by=pair_name(comparison.task.roles) if comparison.task.roles.two_ways else "query language",
        maps=maps,
        bias=(bias := bias_table(view, saved)),
        told_outranking=OUTRANKING in bias.headers,
        bias_maps=bias_maps,
        left_out=left_out + bias_out,
        blocks=[block for block in blocks if block.title != "Cost"],
        cost=[block for block in blocks if block.title == "Cost"],
        notes=notes(comparison),
        style=Markup(sources["report.css"] + sources["plots.css"]),
        script=Markup(sources["plots.js"]),
        policy=_policy(sources["plots.js"]),
    )
    return text


def _policy(script: str) -> str:
    """Return the content security policy: inline style, this script, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def reading(comparison: Comparison) -> list[str]:
    """Say of each main figure which model is best, or which share the best score as it is shown,
    and better than which others they are shown to be."""
    names = {m.label: f"{m.label} ({m.name})" for m in comparison.models}
    sentences = []
    for quantity in main_quantities(comparison):
        of = [v for v in comparison.scores if v.quantity == quantity]
        top = (min if quantity.lower_is_better else max)(v.value for v in of)
        score = shown(top, quantity.measure)
        best = [v.model for v in of if shown(v.value, quantity.measure) == score]
        others = [v.model for v in of if v.model not in best]
        pairs = [
            d
            for d in comparison.differences
            if d.quantity == quantity and {d.model, d.against}.intersection(best)
        ]
        beaten = {(d.better, d.model if d.better == d.against else d.against) for d in pairs}
        open_ = [name for name in others if any((top, name) not in beaten for top in best)]
        extreme = "lowest" if quantity.lower_is_better else "highest"
        text = f"{in_words(quantity)} is {extreme} for {listed([names[name] for name in best])}, "
        text += f"at {score}{_shown_better(len(best), others, open_)}"
        if any(d.ties_decide for d in pairs):
            text += " The order of tied passages can turn this round."
        sentences.append(text[0].upper() + text[1:])
    return sentences


def _shown_better(best: int, others: Sequence[str], open_: Sequence[str]) -> str:
    """Say whether the ``best`` models are shown to be better than all ``others``; ``open_`` are
    those of them for which this is not shown of every best one."""
    if not others:
        return ", which they share."
    alone = best == 1
    if open_:
        said = "it is not" if alone else "not each of them is"
        return f", but {said} shown to be better than {listed(open_)}."
    if not alone:
        return f", and each of them is shown to be better than {named(others, 'other model')}."
    return f", and it is shown to be better than {'all others' if others[1:] else 'the other'}."


def _ticks(measure: str) -> Any:
    return (lambda v: f"{v:,.0f}") if measure == RANK_DISTANCE else (lambda v: f"{v:g}")


def _headline(view: View) -> Table:
    """Return every model's main figures with their intervals and, of several, groups."""
    comparison = view.comparison
    columns = main_quantities(comparison)
    groups = {(s.model, s.quantity): s.groups for s in comparison.standings}
    rows = []
    for model in comparison.models:
        cells = []
        for quantity in columns:
            value = view.values[model.label, quantity]
            ends = "..".join(shown(end, quantity.measure) for end in (value.low, value.high))
            mark = "~" if value.ties_matter else ""
            group = groups.get((model.label, quantity), "")
            cells.append(f"{shown(value.value, quantity.measure)}{mark} {ends} {group}".rstrip())
        rows.append((f"{model.label} {model.name}", *cells))
    headers = ("\n".join(in_words(quantity).rsplit(" ", 1)) for quantity in columns)
    return Table(("model", *headers), tuple(rows))


def _score_charts(view: View) -> list[Chart]:
    """Return a chart a main figure, a row a model."""
    return [
        row_chart(
            _title(quantity),
            [
                (view.names[name], [view.point(view.values[name, quantity], note=True)])
                for name in view.labels
            ],
            _ticks(quantity.measure),
        )
        for quantity in main_quantities(view.comparison)
    ]


def _title(quantity: Quantity) -> str:
    title = in_words(quantity)
    better = " (lower is better)" if quantity.lower_is_better else ""
    return title[0].upper() + title[1:] + better


def _difference_charts(view: View) -> list[Chart]:
    """Return a chart a main figure, a row a pair of models that matters."""
    charts = []
    for quantity in main_quantities(view.comparison):
        rows = []
        for model, against in pairs_that_matter(view.comparison):
            d = view.differences[model, against, quantity]
            tip = f"{model} - {against}: {difference_text(d)}"
            note = shown(d.difference, quantity.measure, sign=True)
            number = view.number[model]
            point = Point(
                number, d.difference, d.low, d.high, tip, hollow=d.verdict == NOT_SHOWN, note=note
            )
            rows.append((f"{model} - {against}", [point]))
        charts.append(row_chart(_title(quantity), rows, _ticks(quantity.measure), zero=True))
    return charts


def _macro(view: View, kind: str) -> list[Value] | None:
    found = [view.values.get((name, Quantity(kind, view.comparison.headline)))
             for name in view.labels]  # fmt: skip
    return [v for v in found if v is not None] if all(found) else None


def _plane_charts(view: View) -> list[Chart]:
    """Return cross-lingual and multilingual scores against monolingual ones."""
    comparison, title = view.comparison, measure_title(view.comparison.headline)
    mono = _macro(view, Kind.MONOLINGUAL.value)
    charts = []
    for kind in (Kind.CROSSLINGUAL.value, Kind.MULTILINGUAL.value):
        other = _macro(view, kind)
        if mono is None or other is None:
            continue
        order = sorted(
            range(len(view.labels)),
            key=lambda i: (comparison.models[i].x or 0.0, i),
        )
        points = [
            replace(
                view.point(x),
                tip=f"{view.names[x.model]}: monolingual {value_text(x)}; "
                f"{kind_name(kind)} {value_text(y)}",
                up=(y.value, y.low, y.high),
            )
            for x, y in ((mono[i], other[i]) for i in order)
        ]
        charts.append(
            plane_chart(
                f"{kind_name(kind).capitalize()} against monolingual {title}",
                f"monolingual {title}", points, [view.labels[i] for i in order],
                joined=comparison.axis is not None,
            )
        )  # fmt: skip
    return charts


def _series_charts(view: View) -> list[Chart]:
    """Return each main figure along the axis of a series."""
    comparison = view.comparison
    places = [model.x for model in comparison.models]
    if comparison.axis is None or any(x is None for x in places):
        return []
    order = sorted(range(len(places)), key=lambda i: places[i] or 0.0)
    charts = []
    for quantity in main_quantities(comparison):
        points = []
        for i in order:
            value, x = view.values[view.labels[i], quantity], places[i] or 0.0
            point = view.point(value, f", {comparison.axis} {x:g}")
            points.append(
                replace(point, value=x, low=x, high=x, up=(value.value, value.low, value.high))
            )
        labels = [view.labels[i] for i in order]
        charts.append(plane_chart(_title(quantity), comparison.axis, points, labels, joined=True))
    return charts


def _fine(view: View) -> Iterator[tuple[Quantity, dict[str, dict[str, Value]]]]:
    """Yield each main figure and its values by query language, or of pairs by pair, and model."""
    comparison, roles = view.comparison, view.comparison.task.roles
    if not roles.two_ways:
        for quantity in main_quantities(comparison):
            of = {
                code: {
                    name: view.values[key]
                    for name in view.labels
                    if (key := (name, replace(quantity, query_language=code))) in view.values
                }
                for code in roles.queries
            }
            yield quantity, {code: values for code, values in of.items() if values}
        return
    found: dict[str, dict[str, dict[str, Value]]] = {}
    for value in comparison.scores:
        q = value.quantity
        if q.query_language and q.passage_language:
            setting = Setting(Kind.CROSSLINGUAL, q.query_language, (q.passage_language,))
            direction = roles.direction(setting) or q.kind
            row = row_name(roles, q.query_language, q.passage_language)
            found.setdefault(direction, {}).setdefault(row, {})[value.model] = value
    for direction, rows in sorted(found.items()):
        yield Quantity(direction, comparison.headline), rows


def _fine_charts(view: View) -> list[Chart]:
    """Return a chart a main figure, a row a query language or pair, a point a model."""
    return [
        row_chart(
            _title(quantity),
            [
                (row, [view.point(value, f", {row}") for value in values.values()])
                for row, values in of.items()
            ],
            _ticks(quantity.measure),
            apart=True,
        )
        for quantity, of in _fine(view)
        if len(of) > 1
    ]


def _fine_tables(view: View) -> list[Block]:
    """Return a table a main figure, a row a query language or pair, a column a model."""
    return [
        Block(
            _title(quantity),
            Table(
                ("", *view.labels),
                tuple(
                    (
                        row,
                        *(
                            shown(values[name].value, values[name].quantity.measure)
                            if name in values
                            else MISSING
                            for name in view.labels
                        ),
                    )
                    for row, values in of.items()
                ),
            ),
        )
        for quantity, of in _fine(view)
        if len(of) > 1
    ]
