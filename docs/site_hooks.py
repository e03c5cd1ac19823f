"""What MkDocs needs to know to build the site: pages from outside docs/, and links to them.

On a plain Git host the pages link to files of the repository by relative paths, such as
``../tasks/README.md``. Here these files become pages of the site too: Markdown as it is, and any
other file or folder that a page links to as a page under ``source/`` that shows its text. So the
site needs no address of a repository, and the strict build finds a link that leads nowhere.

The notebooks in docs/notebooks/ become pages, too, with what they printed when they were saved.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parent.parent
INCLUDED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "leaderboards/README.md",
    "tasks/README.md",
    "tasks/emoji/README.md",
)
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^(```|~~~).*?^\2\s*$)", re.M | re.S)
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*canonical))\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".json": "json", ".md": "markdown"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name headings as Git hosts do, so that a link to a section works in both places."""
    config.site_url = os.environ.get("SITE_URL") or config.site_url
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and a page for each other file that a page links to."""
    for path in INCLUDED:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        name = site_path(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, name, content=notebook_page(path)))
    shown = set()
    for file in files.documentation_pages():
        home = repository_path(file.src_uri)
        for target, _anchor in LINK.findall(FENCE.sub("", file.content_string)):
            path = resolved(home, target)
            if site_path(path).startswith("source/"):
                shown.add(path)
    for path in sorted(shown):
        files.append(File.generated(config, site_path(path), content=source_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let each link to a file of the repository lead to its page of the site."""
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown
    home, start = repository_path(here), posixpath.dirname(here) or "."

    def of_the_site(found: re.Match[str]) -> str:
        target = site_path(resolved(home, found[1]))
        return f"]({posixpath.relpath(target, start)}{found[2] or ''})"

    parts = FENCE.split(markdown)
    return "".join(
        LINK.sub(of_the_site, part) if number % 3 == 0 else part if number % 3 == 1 else ""
        for number, part in enumerate(parts)
    )


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Lead to the leaderboard's page where ``LEADERBOARD`` says that there is one, and where."""
    if address := os.environ.get("LEADERBOARD"):
        nav.items.append(Link("Leaderboard", address))
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that makes a browser fetch something from elsewhere."""
    for page in Path(config.site_dir).rglob("*.html"):
        fetched = FETCHED.search(page.read_text(encoding="utf-8"))
        if fetched:
            raise PluginError(f"{page}: a browser would fetch {fetched[1]} from outside the site")


def repository_path(page: str) -> str:
    """Return where the source of a page of the site lies in the repository."""
    return page if page in INCLUDED else f"docs/{page}"


def resolved(home: str, target: str) -> str:
    """Return the path in the repository that a link in the file ``home`` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(home), target))


def site_path(path: str) -> str:
    """Return the page of the site that shows a file or folder of the repository."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    if path in INCLUDED:
        return path
    if f"{path}/README.md" in INCLUDED:
        return f"{path}/README.md"
    if (ROOT / path).exists() and not path.startswith(".."):
        return f"source/{path.lstrip('.')}.md"
    return path  # leads nowhere, which the strict build reports


def source_page(path: str) -> str:
    """Return a page that shows a text file, or every text file of a folder."""
    place = ROOT / path
    inside = [place] if place.is_file() else sorted(f for f in place.rglob("*") if f.is_file())
    blocks = []
    for file in inside:
        if "__pycache__" in file.parts or ".egg-info" in str(file):
            continue
        name = file.relative_to(ROOT).as_posix()
        heading = [] if place.is_file() else [f"## {name}", ""]
        text = file.read_text(encoding="utf-8").rstrip()
        blocks += [*heading, f"~~~~~~{LANGUAGES.get(file.suffix, 'text')}", text, "~~~~~~", ""]
    wide = [] if len(inside) > 1 else ["---", "hide: [toc]", "---", ""]
    return "\n".join(
        [*wide, f"# {path}", "", "This is a part of mlbench's repository.", "", *blocks]
    )


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown: its text, its code, and what each cell printed or drew."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"~~~~~~python\n{text}\n~~~~~~")
        alt = cell["metadata"].get("mlbench", {}).get("alt", "")
        parts += [shown(output, alt) for output in cell["outputs"]]
    name = html.escape(path.name)
    parts.append(f'<a href="{name}" download>This page is a notebook: download it.</a>')
    return "\n\n".join(parts) + "\n"


def shown(output: dict[str, Any], alt: str) -> str:
    """Return what a cell of a notebook printed or drew, as Markdown or HTML."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).strip()
        return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{picture}">'
    if "text/html" in data:
        return '<div class="printed">' + "".join(data["text/html"]) + "</div>"
    text = "".join(output.get("text") or data.get("text/plain", ())).rstrip()
    return f"~~~~~~text\n{text}\n~~~~~~"
