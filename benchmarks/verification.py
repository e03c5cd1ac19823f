"""How often `mlbench verify` refuses honest and forged tables: python -m benchmarks.verification.

Generated vectors of XQuAD-R's shape, of models of two kinds, or those of a model on a task; the
table is counted on all of them, the sample compared is the same vectors rounded otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from tabulate import tabulate

from benchmarks.data import Problem, xquad_r_shape
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.leaderboard.verifying.agreement import Agreement, compare
from mlbench.leaderboard.verifying.claims import TOLERANCES
from mlbench.leaderboard.verifying.samples import draw, part_of, parts_of
from mlbench.leaderboard.verifying.verify import usual_queries
from mlbench.models.cache import open_cache
from mlbench.models.encoding import Embedded, Encoding
from mlbench.models.registry import load_adapter
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks

ROUNDING = 1e-6
GENERATED = {"strong": 384, "weak": 12}
"""By the vectors' dimension: the fewer, the more passages outrank a relevant one."""

Forge = Callable[[Ranks, np.random.Generator], Ranks]


def lower(share: float, where: Callable[[Ranks], object] = lambda ranks: True) -> Forge:
    """Lower counts by a share, rounded to the nearest, ``where`` (rows, languages) says so."""

    def forge(ranks: Ranks, generator: np.random.Generator) -> Ranks:
        counts = np.rint(ranks.above * (1 - share)).astype(np.int32)
        return replace(ranks, above=np.where(where(ranks), counts, ranks.above))

    return forge


def perfect(share: float) -> Forge:
    """Claim that nothing outranks the relevant passages of a share of the queries."""

    def forge(ranks: Ranks, generator: np.random.Generator) -> Ranks:
        chosen = generator.random(len(ranks.query_ids)) < share
        return replace(ranks, above=np.where(chosen[ranks.query][:, None], 0, ranks.above))

    return forge


def swapped(ranks: Ranks, generator: np.random.Generator) -> Ranks:
    """Give each query the counts of another one of its language; macro scores stay the same."""
    size = len(ranks.languages)
    queries = np.arange(len(ranks.query_ids)).reshape(size, -1)
    other = np.concatenate([generator.permutation(row) for row in queries])
    rows = (ranks.starts[other][:, None] + np.arange(size)).ravel()
    return replace(ranks, above=ranks.above[rows])


def own(ranks: Ranks) -> object:
    """The counts that monolingual scores are made of."""
    language = ranks.query_language[ranks.query]
    columns = np.arange(len(ranks.languages))
    return (ranks.passage_language == language)[:, None] & (language[:, None] == columns)


def of_queries(ranks: Ranks) -> object:
    """The rows of two query languages."""
    return np.isin(ranks.query_language[ranks.query], [0, 1])[:, None]


FORGERIES: dict[str, Forge] = {
    "honest": lambda ranks, generator: ranks,
    "all counts 5% lower": lower(0.05),
    "all counts 10% lower": lower(0.1),
    "all counts 20% lower": lower(0.2),
    "counts of 2 passage languages 20% lower": lower(0.2, lambda ranks: np.arange(11) < 2),
    "counts of 2 passage languages 50% lower": lower(0.5, lambda ranks: np.arange(11) < 2),
    "rows of 2 query languages 20% lower": lower(0.2, of_queries),
    "monolingual counts 20% lower": lower(0.2, own),
    "monolingual counts 50% lower": lower(0.5, own),
    "1% of the queries perfect": perfect(0.01),
    "5% of the queries perfect": perfect(0.05),
    "counts swapped between queries": swapped,
}


def verified(problem: Problem, ranks: Ranks, seed: int, queries: int, passages: int) -> Agreement:
    """Hold a table against a sample of the vectors, rounded otherwise."""
    generator = np.random.default_rng(seed)
    sample = draw(ranks, problem.collection, queries, passages, seed)
    part = part_of(ranks, problem.collection, sample)
    sides = [
        side * (1 + ROUNDING * generator.standard_normal(side.shape)).astype(np.float32)
        for side in (problem.queries[part.queries], problem.passages[part.passages])
    ]
    return compare(part.claims, part.vectors(Embedded(*sides, (), {})), TOLERANCES["float32"])


def pair(ranks: Ranks) -> object:
    """The rows of the first pair of languages, in both directions."""
    codes = [ranks.languages.index(code) for code in ranks.pairs[0].languages]
    asked, searched = ranks.query_language[ranks.query], ranks.passage_language
    return (np.isin(asked, codes) & np.isin(searched, codes))[:, None]


def direction(ranks: Ranks) -> object:
    """The rows of the first pair whose queries are of its first language."""
    asked = ranks.languages.index(ranks.pairs[0].languages[0])
    return np.asarray(pair(ranks)) & (ranks.query_language[ranks.query] == asked)[:, None]


def into_common(ranks: Ranks) -> object:
    """The rows of passages in the language that all pairs have."""
    common = ranks.languages.index(str(ranks.roles.pivot))
    return (ranks.passage_language == common)[:, None]


def dealt(ranks: Ranks, generator: np.random.Generator) -> Ranks:
    """Deal the counts of each setting of pairs to its queries anew; all scores stay the same."""
    above = ranks.above.copy()
    searched = parts_of(ranks)[0]
    for number in np.unique(searched):
        rows = np.flatnonzero(searched[ranks.query] == number)
        above[rows] = above[generator.permutation(rows)]
    return replace(ranks, above=above)


FORGERIES_OF_PAIRS: dict[str, Forge] = {
    "honest": lambda ranks, generator: ranks,
    "all counts 5% lower": lower(0.05),
    "all counts 10% lower": lower(0.1),
    "all counts 20% lower": lower(0.2),
    "all directions into the common language 5% lower": lower(0.05, into_common),
    "all directions into the common language 20% lower": lower(0.2, into_common),
    "one pair 20% lower": lower(0.2, pair),
    "one pair 50% lower": lower(0.5, pair),
    "one pair perfect": lower(1.0, pair),
    "one direction of one pair 50% lower": lower(0.5, direction),
    "one direction of one pair perfect": lower(1.0, direction),
    "1% of the queries perfect": perfect(0.01),
    "5% of the queries perfect": perfect(0.05),
    "counts swapped between queries": dealt,
}


def refused(problem: Problem, ranks: Ranks, forge: Forge, args: argparse.Namespace) -> list[object]:
    """Return how many verifications, and which of their checks, refuse a forged table."""
    counts = np.zeros(3, int)
    for seed in range(args.draws):
        found = verified(
            problem, forge(ranks, np.random.default_rng(seed)), seed, args.sample, args.passages
        )
        evidence = not all(worst.agrees for worst in found.families.values())
        counts += np.array([not found.agrees, found.exceeded.any(), evidence])
    return [f"{count / args.draws:.0%}" for count in counts]


def problems(args: argparse.Namespace) -> Iterator[tuple[str, Problem]]:
    """Yield the generated models, or the one asked for."""
    if args.model is None:
        for name, dimension in GENERATED.items():
            yield name, xquad_r_shape(dimension, scale=args.scale)
        return
    task = find_task(args.task)
    collection = read_collection(task, Locator(offline=True).of(task))
    model = load_adapter(args.model)
    embedded = Encoding(model, collection, open_cache()).encode()
    yield model.name, Problem(collection, embedded.queries, embedded.passages)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print. ``arguments`` are sys.argv's if None."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=__doc__)
    parser.add_argument("--draws", type=int, default=100, help="verifications of each (100)")
    parser.add_argument("--sample", type=int, help="queries (as many as verify draws)")
    parser.add_argument("--passages", type=int, default=100, help="passages a language (100)")
    parser.add_argument("--model", metavar="SPEC", help="one that gives dense vectors")
    parser.add_argument("--task", default="xquad-r", help="of the model (xquad-r)")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the task")
    parser.add_argument("--only", metavar="NAME", help="one table")
    args = parser.parse_args(arguments)
    rows = []
    for model, problem in problems(args):
        ranks, _ = rank_collection(problem.collection, problem.queries, problem.passages)
        args.sample = args.sample or usual_queries(ranks)
        for name, forge in (FORGERIES_OF_PAIRS if ranks.pairs else FORGERIES).items():
            if args.only in (None, name):
                rows.append([model, name, *refused(problem, ranks, forge, args)])
                print(*rows[-1], sep=", ", flush=True)
    header = ["model", "table", "refused", "by bounds", "by evidence"]
    print("\n" + tabulate(rows, header, "github", disable_numparse=True))


if __name__ == "__main__":
    main()
