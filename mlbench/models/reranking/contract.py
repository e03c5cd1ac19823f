"""The check behind ``mlbench models check --reranker``: does a reranker keep its contract?

Pairs of small texts in many scripts go through a reranker in several orders and batches; each row
of CHECKS says whether one clause of ``mlbench.models.reranking.protocol`` holds, and what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.boundary import attribute, calling
from mlbench.models.company import ROUNDING
from mlbench.models.contract import FIRST, ODD, SENTENCE, SHORTEST, TEXTS, Broken, CheckResult
from mlbench.models.protocol import Described
from mlbench.models.reranking.protocol import Reranker
from mlbench.models.reranking.scoring import Floats, checked

PAIRS = tuple(
    (query, passage)
    for language, texts in TEXTS.items()
    for query in texts[:2]
    for passage in (*texts, TEXTS[FIRST][0])
)
"""Pairs of a query and a passage within five languages and across them."""
NOTHING = ("", " ")


@dataclass
class _Trial:
    """One reranker under test; ``again`` loads it once more."""

    reranker: Reranker
    again: Callable[[], Reranker]
    pairs: tuple[tuple[str, str], ...] = PAIRS

    def raw(self, pairs: list[tuple[str, str]], reranker: Reranker | None = None) -> Any:
        """Return what the reranker returns, unchecked."""
        queries, passages = ([pair[side] for pair in pairs] for side in (0, 1))
        chosen = reranker or self.reranker
        with calling(chosen.spec, "score_pairs"):
            return chosen.adapter.score_pairs(queries, passages)

    def scores(self, pairs: list[tuple[str, str]], reranker: Reranker | None = None) -> Floats:
        """Return the scores of pairs, or raise ModelError for what is not one finite score each."""
        return self.checked(self.raw(pairs, reranker), pairs)

    def checked(self, value: Any, pairs: list[tuple[str, str]]) -> Floats:
        """Return ``value`` as the scores of pairs."""
        queries, passages = ([pair[side] for pair in pairs] for side in (0, 1))
        return checked(value, f"score_pairs ({plural(len(pairs), 'pair')})", queries, passages)

    @cached_property
    def together(self) -> Floats:
        """The scores of all pairs, from one call."""
        return self.scores([*self.pairs])

    @cached_property
    def rounding(self) -> float:
        """The difference, as a share of the largest score, that rounding may account for."""
        said: object = None
        if isinstance(self.reranker.adapter, Described):
            with calling(self.reranker.spec, "describe"):
                said = self.reranker.adapter.describe()
        dtype = str(said.get("dtype")) if isinstance(said, Mapping) else ""
        return max(
            (ROUNDING[name] for name in ROUNDING if name in dtype), default=ROUNDING["float32"]
        )

    def compare(self, scores: Floats) -> str:
        """Compare ``together`` with the scores of the same pairs found in another way."""
        largest = float(np.abs(self.together).max()) or 1.0
        apart = np.abs(scores - self.together) / largest
        worst = int(apart.argmax())
        if apart[worst] > self.rounding:
            query, passage = self.pairs[worst]
            raise Broken(
                f"the query {query[:40]!r} and the passage {passage[:40]!r} score "
                f"{self.together[worst]:.6g} once and {scores[worst]:.6g} then, which is "
                f"{apart[worst]:.2g} of the largest score apart, and {self.rounding:.0e} is allowed"
            )
        return f"within {apart[worst]:.1g} of the largest score" if apart[worst] else "equal"


def check_reranker(reranker: Reranker, again: Callable[[], Reranker]) -> Iterator[CheckResult]:
    """Test a reranker against its contract, and yield each result as soon as it is known.

    ``again`` loads the same reranker once more. A fault is a failed check, never raised. Where the
    first fails, no other can be tested.
    """
    trial = _Trial(reranker, again)
    for name, check in CHECKS:
        try:
            result = CheckResult(name, True, check(trial))
        except (Broken, ModelError, EnvironmentFault, UsageError) as error:
            result = CheckResult(name, False, str(error))
        yield result
        if not result.passed and check is _returns_scores:
            return


def _returns_scores(trial: _Trial) -> str:
    scores = trial.together
    span = f"from {scores.min():.4g} to {scores.max():.4g}"
    return (
        f"one finite score for each of {plural(len(scores), 'pair')} in "
        f"{plural(len(TEXTS), 'language')}, {span}"
    )


def _repeatable(trial: _Trial) -> str:
    return trial.compare(trial.scores([*trial.pairs]))


def _order_free(trial: _Trial) -> str:
    return trial.compare(trial.scores([*trial.pairs[::-1]])[::-1])


def _batch_free(trial: _Trial) -> str:
    return trial.compare(np.concatenate([trial.scores([pair]) for pair in trial.pairs]))


def _duplicates(trial: _Trial) -> str:
    scores = trial.scores([trial.pairs[0], trial.pairs[1], trial.pairs[0]])
    if abs(scores[0] - scores[2]) > trial.rounding * float(np.abs(trial.together).max()):
        raise Broken(f"a pair that was given twice scored {scores[0]:.6g} and {scores[2]:.6g}")
    return "equal pairs in one call have equal scores"


def _distinct(trial: _Trial) -> str:
    count = len(np.unique(trial.together))
    return f"information: {plural(count, 'distinct score')} for {plural(len(trial.pairs), 'pair')}"


def _direction(trial: _Trial) -> str:
    texts = [texts[:2] for texts in TEXTS.values()]
    own, other = (
        trial.scores([(first, passage) for first, *rest in texts for passage in (first, *rest)])
        .reshape(-1, 2)
        .T
    )
    count = int((own > other).sum())
    return (
        f"information: in {count} of {plural(len(own), 'language')} a text as its own "
        "passage scores higher "
        "than another text; higher must mean more relevant"
    )


def _lists_untouched(trial: _Trial) -> str:
    queries, passages = ([pair[side] for pair in trial.pairs] for side in (0, 1))
    before = [*queries], [*passages]
    with calling(trial.reranker.spec, "score_pairs"):
        trial.reranker.adapter.score_pairs(queries, passages)
    if (queries, passages) != before:
        raise Broken("score_pairs changed a list of texts that it was given")
    return "the lists of texts are left as they were"


def _buffers(trial: _Trial) -> str:
    first, *others = trial.pairs[:4]
    value = trial.raw([first])
    before = trial.checked(value, [first]).copy()
    for other in others:
        trial.raw([other])
    if not np.array_equal(before, trial.checked(value, [first])):
        raise Broken("what score_pairs returned was changed by a later call: return a copy")
    return "a later call leaves earlier results alone"


def _odd_texts(trial: _Trial) -> str:
    text = TEXTS[FIRST][0]
    trial.scores([pair for odd in ODD for pair in ((odd, text), (text, odd), (odd, odd))])
    return "emoji, marks, punctuation alone, control characters, on both sides"


def _long_text(trial: _Trial) -> str:
    text = SENTENCE * (SHORTEST // len(SENTENCE))
    trial.scores([(TEXTS[FIRST][0], text), (text, TEXTS[FIRST][0])])
    return f"a passage and a query of {plural(len(text), 'character')}"


def _empty_texts(trial: _Trial) -> str:
    text = TEXTS[FIRST][0]
    try:
        trial.scores([pair for empty in NOTHING for pair in ((empty, text), (text, empty))])
    except ModelError as error:
        seen = error.faults[0].found.splitlines()[0]
        return f"information: refused, but mlbench never asks for it ({seen})"
    return "information: tolerated, though mlbench never asks for it"


def _empty_list(trial: _Trial) -> str:
    try:
        shape = np.shape(trial.raw([]))
    except ModelError as error:
        seen = error.faults[0].found.splitlines()[0]
        return f"information: refused, but mlbench never asks for it ({seen})"
    return f"information: tolerated (shape {shape})"


def _identity(trial: _Trial) -> str:
    """Two rerankers of one identity must be one reranker: the scores tell."""
    first, other = trial.reranker, trial.again()
    if other.identity == first.identity:
        try:
            seen = trial.compare(trial.scores([*trial.pairs], other))
        except Broken as broken:
            raise Broken(f"loaded again it has the same identity, and yet {broken}") from None
        how = "declared" if attribute(first.spec, first.adapter, "identity", None) else "derived"
        return f"loaded again it has the same identity, which is {how}, and scores are {seen}"
    if other.identity.startswith("declared: ") or first.identity.startswith("declared: "):
        raise Broken(
            f"loaded again it declares another identity, {other.identity[:60]!r} after "
            f"{first.identity[:60]!r}"
        )
    raise Broken(
        "loaded again it gives fixed pairs other scores, so it is another reranker each time; are "
        "there weights that are drawn at random?"
    )


CHECKS: tuple[tuple[str, Callable[[_Trial], str]], ...] = (
    ("scores", _returns_scores),
    ("repeatable", _repeatable),
    ("order-free", _order_free),
    ("batch-free", _batch_free),
    ("duplicate pairs", _duplicates),
    ("distinct scores", _distinct),
    ("direction", _direction),
    ("lists untouched", _lists_untouched),
    ("buffers not reused", _buffers),
    ("odd texts", _odd_texts),
    ("long text", _long_text),
    ("empty texts", _empty_texts),
    ("empty list", _empty_list),
    ("identity", _identity),
)


def about_keeping(reranker: Reranker) -> str:
    """Say in a sentence whether a reranker's scores are kept, or what that takes."""
    if reranker.cacheable:
        return "its scores are kept in the embedding cache for later runs"
    declared = reranker.identity.startswith("declared: ")
    lacking = "cacheable = True" if declared else "an identity, and cacheable = True"
    return f"its scores are not kept for later runs; for that give it {lacking}"
