"""``mlbench cache info``, ``verify`` and ``clear``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mlbench.commands.options import shared
from mlbench.commands.output import plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.errors import IntegrityError
from mlbench.models.cache import EmbeddingCache, Entry, embeddings_folder, size_limit
from mlbench.models.cache_files import Head

HELD = {"query": "queries", "passage": "passages", "pair": "pairs"}
"""What the cache holds for a role, as it is called above a column."""
MEBIBYTE = 2**20


def json_argument(parser: ArgumentParser) -> None:
    """Add the one argument of `cache info` and `cache verify`."""
    shared(parser, "--json")


def no_arguments(parser: ArgumentParser) -> None:
    """Add no argument: `cache clear` has none."""


def info(args: Namespace) -> int:
    """Show what the embedding cache holds, the latest used model first."""
    cache = _cache()
    entries = [*cache.entries()]
    models, size = _models(entries), sum(entry.size for entry in entries)
    if args.json:
        facts = {"folder": str(cache.folder), "bytes": size, "limit": cache.limit}
        print_json(facts | {"models": models})
        return 0
    if models:
        held = {role: name for role, name in HELD.items() if any(m[role] for m in models)}
        header = [*held.values(), "dimension", "MiB", "last used", "model"]
        rows = [
            [*(m[role] for role in held), "-" if m["pair"] else m["dimension"],
             f"{m['bytes'] / MEBIBYTE:,.1f}", m["used"][:10], m["model"]]
            for m in models
        ]  # fmt: skip
        print(plain_table(header, rows) + "\n")
    if bad := sum(bool(entry.fault) for entry in entries):
        print(f"{plural(bad, 'file')} cannot be used; see `mlbench cache verify`")
    print(f"{cache.folder}: {size / MEBIBYTE:,.1f} MiB of {cache.limit / MEBIBYTE:,.0f} MiB used")
    return 0


def verify(args: Namespace) -> int:
    """Read all of the embedding cache and compare it with its digests; 6 if any is damaged."""
    entries = [*_cache().entries(check=True)]
    bad = [entry for entry in entries if entry.fault]
    if args.json:
        faults = [{"file": str(entry.path), "fault": entry.fault} for entry in bad]
        print_json({"files": len(entries), "faults": faults})
        return IntegrityError.exit_code if bad else 0
    for entry in bad:
        print(f"{entry.path}: {entry.fault}")
    print(f"{plural(len(entries), 'file')} read, of which {len(bad)} cannot be used")
    if bad:
        print("The next run that needs them removes them and encodes their texts again.")
    return IntegrityError.exit_code if bad else 0


def clear(args: Namespace) -> int:
    """Remove all cached embeddings, and nothing else."""
    cache = _cache()
    print(f"{cache.folder}: {cache.clear() / MEBIBYTE:,.1f} MiB freed")
    return 0


def _models(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return what is held of each model; ``query`` and ``passage`` are numbers of vectors,
    ``pair`` that of a reranker's scores."""
    groups: dict[str, list[tuple[Entry, Head]]] = defaultdict(list)
    for entry in entries:
        if entry.head:
            groups[entry.head.source.identity].append((entry, entry.head))
    models = []
    for identity, group in groups.items():
        latest, head = max(group, key=lambda pair: pair[0].used)
        counts = {
            role: sum(head.rows for _, head in group if head.source.role == role) for role in HELD
        }
        models.append(
            {"model": head.model, "identity": identity, "dimension": head.dimension}
            | counts
            | {
                "bytes": sum(entry.size for entry, _ in group),
                "used": datetime.fromtimestamp(latest.used, UTC).isoformat(timespec="seconds"),
            }
        )
    return sorted(models, key=lambda model: str(model["used"]), reverse=True)


def _cache() -> EmbeddingCache:
    return EmbeddingCache(embeddings_folder(), size_limit())
