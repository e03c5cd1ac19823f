"""A model's card as text: the YAML at its top and the Markdown below, changed only where mlbench
has something to say, so that all else stays byte for byte."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlbench.common.errors import DataError, Fault

INDEX = "model-index"
_FIRST = r"(\s*---(?:\r\n|\r|\n))"
_LAST = r"---[ \t]*(?:\r\n|\n|\Z)"
_BLOCK = re.compile(rf"{_FIRST}(.*?)((?:\r\n|\r|\n){_LAST})", re.DOTALL)
"""YAML between two lines of dashes, as the hub reads it. The pattern of huggingface_hub before
version 1.26 finds less."""
_EMPTY = re.compile(rf"{_FIRST}({_LAST})")
"""YAML that says nothing: one line of dashes directly below another."""
SAYS_NOTHING = ("{}", "null", "~")
Result = dict[str, Any]


@dataclass(frozen=True)
class Card:
    """A card in its parts, which joined are the file again. ``head`` is the YAML between the lines
    of dashes, ``opening`` and ``closing``; all three are "" where a card has no YAML. ``values``
    are what the YAML says, ``where`` is how messages name the card."""

    where: str
    mark: str
    opening: str
    head: str
    closing: str
    body: str
    newline: str
    values: Mapping[str, Any]

    @property
    def content(self) -> bytes:
        """The file."""
        return "".join((self.mark, self.opening, self.head, self.closing, self.body)).encode()

    @property
    def index(self) -> list[Any]:
        """The elements of ``model-index``."""
        return list(self.values.get(INDEX) or [])


def parse_card(raw: bytes, where: str) -> Card:
    """Take a card apart. Raises DataError where it is not UTF-8, or its YAML is broken."""
    mark = codecs.BOM_UTF8.decode() if raw.startswith(codecs.BOM_UTF8) else ""
    try:
        text = raw.decode("utf-8").removeprefix(mark)
    except UnicodeDecodeError as error:
        found = f"byte {error.start:,} is not UTF-8"
        raise DataError(Fault(where, found, "a card in UTF-8")) from None
    newline = "\r\n" if "\r\n" in text and text.index("\r\n") < text.index("\n") else "\n"
    match, empty = _BLOCK.match(text), _EMPTY.match(text)
    if empty and not (match and _is_mapping(match.group(2))):
        return Card(where, mark, empty[1], "", empty[2], text[empty.end() :], newline, {})
    if match is None:
        _refuse_open(text, where)
        return Card(where, mark, "", "", "", text, newline, {})
    opening, head, closing = match.group(1), match.group(2), match.group(3)
    return Card(where, mark, opening, head, closing, text[match.end() :], newline,
                _parsed(head, where, opening.count("\n")))  # fmt: skip


def _is_mapping(head: str) -> bool:
    """Say whether what follows two lines of dashes is YAML, whose document begins with the second
    one, up to a third; else the third line is a rule in the text."""
    try:
        return bool(_parsed(head, ""))
    except DataError:
        return False


def _refuse_open(text: str, where: str) -> None:
    """Raise DataError where a card begins like YAML, and the hub does not read it as such."""
    first, *others = text.lstrip().splitlines() or [""]
    if first.rstrip() != "---":
        return
    expected = "YAML between two lines of ---"
    if first != "---" and "---" in (line.rstrip() for line in others):
        found = "blanks follow the dashes that begin the YAML, so that the hub does not read it"
        raise DataError(Fault(where, found, expected, "remove these blanks"))
    found = "begins with ---, and no second line of --- ends the YAML"
    mend = "end the YAML at the top of the card with a line of ---"
    raise DataError(Fault(where, found, expected, mend))


def _parsed(head: str, where: str, above: int = 0) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.load(head, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:  # a day that no calendar has is a ValueError
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1 + above}" if place else ""
        problem = getattr(error, "problem", None) or error
        found = f"its YAML cannot be read: {problem}"
        mend = "mend the YAML at the top of the card; the card is left as it is"
        raise DataError(Fault(f"{where}{line}", found, "YAML", mend)) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        found = f"its YAML is a {type(values).__name__}"
        raise DataError(Fault(where, found, "keys and values, such as `license: mit`"))
    index = values.get(INDEX)
    sound = isinstance(index or [], list) and all(
        isinstance(each, dict) and isinstance(each.get("results") or [], list)
        for each in index or []
    )
    if not sound:
        expected = "a list of models, each with a `name` and a list of `results`"
        raise DataError(Fault(f"{where}, {INDEX}", "not as the hub writes it", expected))
    return values


def with_results(
    card: Card, name: str, made: Sequence[Result], replaced: Callable[[Any], bool]
) -> Card:
    """Return a card whose ``model-index`` has the results ``made``, of the model ``name``, in the
    place of the first one that is ``replaced``, or at the end; the others stay.

    Only the lines of ``model-index`` change and, as far as it is written in blocks, only those of
    what is replaced. The YAML that results is read again and compared with what it has to say.
    """
    wanted = _expected(card.index, name, made, replaced)
    if card.head.strip() in SAYS_NOTHING:
        card = replace(card, head="")
    for edit in (_edited, _written_again):
        head = edit(card, wanted, made, replaced)
        if head is not None and _same(head, {**card.values, INDEX: wanted}):
            return _with_head(card, head)
    found = "its YAML cannot be changed without changing other keys"
    mend = "write it as lines such as `license: mit`, as the hub does"
    raise DataError(Fault(f"{card.where}, {INDEX}", found, "plain YAML", mend))


def _expected(
    index: Sequence[Any], name: str, made: Sequence[Result], replaced: Callable[[Any], bool]
) -> list[Any]:
    """Return what ``model-index`` has to say."""
    wanted: list[Any] = []
    put = False
    for element in index:
        results: list[Any] = []
        for result in element.get("results") or []:
            if not replaced(result):
                results.append(result)
            elif not put:
                results += made
                put = True
        wanted.append({**element, "results": results})
    if not put and wanted:
        wanted[0]["results"] = [*wanted[0]["results"], *made]
    elif not put:
        wanted = [{"name": name, "results": list(made)}]
    return wanted


def _same(head: str, values: Mapping[str, Any]) -> bool:
    """Say whether a YAML has these values, in this order; as printed, since NaN is not NaN."""
    try:
        return repr(_parsed(head, "")) == repr(dict(values))
    except DataError:
        return False


def with_body(card: Card, body: str) -> Card:
    """Return a card with another text, below whole lines."""
    closing = card.closing
    unended = body and closing and not closing.endswith("\n")
    return replace(card, closing=closing + card.newline if unended else closing, body=body)


def _with_head(card: Card, head: str) -> Card:
    values = _parsed(head, card.where)
    line = card.newline
    if card.opening:
        ends = card.closing.startswith(("\n", "\r"))
        closing = card.closing if ends else line + card.closing
        return replace(card, head=head, closing=closing, values=values)
    space = line if card.body and not card.body.startswith(("\n", "\r\n")) else ""
    return replace(
        card, opening=f"---{line}", head=head, closing=f"{line}---{line}", values=values,
        body=space + card.body,
    )  # fmt: skip


def _edited(
    card: Card, wanted: Sequence[Any], made: Sequence[Result], replaced: Callable[[Any], bool]
) -> str | None:
    """Return the YAML with only our lines changed; None where it is not written in blocks."""
    import yaml

    if not card.values.get(INDEX):
        return None
    node = _value_of(yaml.compose(card.head, Loader=yaml.SafeLoader), INDEX)
    ends = _ends(card.head)
    spans: list[tuple[int, int, bool]] = []
    last = None
    for element, values in zip(node.value, card.index, strict=True):
        results = _value_of(element, "results")
        if results is None or not results.value or results.flow_style or element.flow_style:
            if values.get("results"):
                return None
            continue
        items = [_lines_of(card.head, item, ends) for item in results.value]
        if any(item is None for item in items):
            return None
        for (start, end), result in zip(filter(None, items), values["results"], strict=True):
            spans.append((start, end, replaced(result)))
        last = last or spans[-1]
    ours = [span for span in spans if span[2]]
    if last is None:
        return None
    first = ours[0] if ours else last
    indent = card.head[first[0] :].split("-", 1)[0]
    block = _block(made, indent, card.newline)
    pieces, at = [], 0
    for start, end, is_ours in spans:
        if is_ours:
            pieces.append(card.head[at:start])
            at = end
            if (start, end, is_ours) == first:
                pieces.append(block)
        elif not ours and (start, end, is_ours) == first:
            piece = card.head[at:end]
            pieces += [piece, "" if piece.endswith("\n") else card.newline, block]
            at = end
    head = "".join([*pieces, card.head[at:]])
    return head.removesuffix(card.newline) if not card.head.endswith("\n") else head


def _value_of(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _lines_of(text: str, item: Any, ends: Sequence[int]) -> tuple[int, int] | None:
    """Return where the lines of an item of a list begin and end; None where they are not its own.

    The lines end behind its last value, so that comments and blank lines below stay.
    """
    start = text.rfind("\n", 0, item.start_mark.index) + 1
    if text[start : item.start_mark.index].strip() != "-":
        return None
    end = text.find("\n", max(item.start_mark.index, _end(item, ends) - 1))
    return start, len(text) if end < 0 else end + 1


def _ends(text: str) -> list[int]:
    """Return where each value of a YAML ends, in order. Nodes do not say it of aliases, which stand
    elsewhere, and of blocks, whose end is where the next value begins."""
    import yaml

    return [
        event.end_mark.index
        for event in yaml.parse(text, Loader=yaml.SafeLoader)
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent)
        and not isinstance(event, yaml.CollectionStartEvent)
        and (isinstance(event, yaml.NodeEvent) or event.end_mark.index > event.start_mark.index)
    ]


def _end(node: Any, ends: Sequence[int]) -> int:
    """Return where the last value below a node ends."""
    return ends[bisect_right(ends, node.end_mark.index) - 1]


def _written_again(
    card: Card, wanted: Sequence[Any], _: Sequence[Result], __: Callable[[Any], bool]
) -> str | None:
    """Return the YAML with ``model-index`` written again as a whole, or added at the end."""
    import yaml

    block = _block([{INDEX: list(wanted)}], None, card.newline).removesuffix(card.newline)
    if INDEX not in card.values:
        space = card.newline if card.head and not card.head.endswith("\n") else ""
        return card.head + space + block
    root = yaml.compose(card.head, Loader=yaml.SafeLoader)
    if root.flow_style:
        return None
    at, (key, value) = next(
        (at, pair) for at, pair in enumerate(root.value) if pair[0].value == INDEX
    )
    start = card.head.rfind("\n", 0, key.start_mark.index) + 1
    following = root.value[at + 1][0].start_mark.index if at + 1 < len(root.value) else None
    if following is None:
        newline = card.head.find("\n", max(_end(value, _ends(card.head)) - 1, 0))
        rest = "" if newline < 0 else card.head[newline:]
        return card.head[:start] + block + ("\r" * (card.newline != "\n" and bool(rest))) + rest
    return card.head[:start] + block + card.newline + card.head[following:]


def _block(values: Sequence[Any], indent: str | None, newline: str) -> str:
    """Return values as YAML in blocks: a list's items after an indent or, without one, the keys of
    the one value."""
    from huggingface_hub.utils import yaml_dump

    data = list(values) if indent is not None else values[0]
    text: str = yaml_dump(data, sort_keys=False, line_break="\n")
    lines = ((indent or "") * bool(line) + line for line in text.split("\n")[:-1])
    return "".join(line + newline for line in lines)
