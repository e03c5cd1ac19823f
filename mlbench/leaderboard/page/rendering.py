"""What all pages of the leaderboard are made with: templates, style, and what a page may load."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from mlbench.leaderboard.entries.strict import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment() -> Environment:
    """Return the environment of the templates: every value is escaped, and what cannot be seen in
    it is written out."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    report = PrefixLoader({"report": PackageLoader("mlbench.reports")})
    return Environment(
        loader=ChoiceLoader([PackageLoader("mlbench.leaderboard.page"), report]),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def source(environment: Environment, *names: str) -> str:
    """Return files beside the templates as they are, one after the other."""
    loader = environment.loader
    return "".join(loader.get_source(environment, name)[0] for name in names) if loader else ""


def style_of(environment: Environment) -> str:
    """Return the style of all pages."""
    return source(environment, "report/report.css", "leaderboard.css")


def content_policy(style: str, script: str = "") -> str:
    """Return the content security policy: this style and this script, and nothing else."""
    scripts = f"script-src {_sha256(script)}; " if script else ""
    return (
        f"default-src 'none'; style-src {_sha256(style)}; {scripts}"
        "img-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
