"""What pages are made of: the environment of their templates, sections, tiles, plots."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlbench.reports.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment


class Safe(str):
    """Markdown that is meant as such."""

    __slots__ = ()


@dataclass(frozen=True)
class Tile:
    """One number at the top of the page."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Section:
    """A table under its title: ``line`` says in words what it shows, ``note`` how to read it."""

    title: str
    table: Table
    note: str
    line: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot: its file, its data URI, what it shows (``alt``) and how to read it."""

    file: str
    uri: str
    alt: str
    how: str


def page_environment(finalize: Any = None) -> Environment:
    """Return a template environment: HTML, escaped, or ``finalize`` on each value instead."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mlbench.reports"),
        autoescape=finalize is None,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def data_uri(svg: bytes) -> str:
    """Return an SVG as the address of an image that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
