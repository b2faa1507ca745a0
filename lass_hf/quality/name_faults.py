"""Finds what is odd about the ids and texts of a graph, and writes names and triplets in words.

Ids are looked at in all of a vocabulary, texts where a triplet uses them. Arrow compares them; nothing is changed.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.vocabulary import Vocabulary, escaped
from ..names.name_forms import find_same_forms, loose_forms, names_text_columns, visible_forms
from ..names.named_triplets import to_arrow_strings
from ..names.words import is_made_of_id
from .findings import Finding

if TYPE_CHECKING:
    from ..core.knowledge_graph import KnowledgeGraph

LONG_TEXT = 2000  # characters: about as many as the 512 tokens hold that most encoders read
SHOWN_TEXT = 40  # characters of a text in an example

CSV_QUOTED = r'^"([^"]|"")*"$'
NUMBER_OR_DATE = (
    r"^([+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s?%?"
    r"|(\d{4}-\d\d?(-\d\d?)?|\d\d?[./]\d\d?[./]\d{2,4})([T ]\d\d?:\d\d.*)?)$"
)
DATABASE_ID = (  # http://..., /m/06rf7, Q42, GO:0008150, n02084071, a UUID, a digest
    r"^(\w+://\S+|/[a-z]/\S+|[LPQ]\d+|[\w.]+:\w*\d\w*|[A-Za-z.]{1,12}[_-]?\d{5,}"
    r"|(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{13,})|(?i:[0-9a-f]{16,}))$"
)
# kind -> pattern of Arrow's (RE2), what was counted, meaning, remedy. Of the first four, a text counts for one only.
TEXT_PATTERNS = {
    "missing_values": (
        r"(?i)^(nan|none|null|n/a|#n/a|<na>|nil|undefined|\[\]|\{\})$",
        "texts that stand for a missing value",
        "A language model reads the word.",
        "Leave these texts out, or the triplets of these entities.",
    ),
    "values": (
        NUMBER_OR_DATE,
        "entities that are numbers or dates",
        "Each value is an answer of its own, and a language model knows little of amounts.",
        "Leave their relations out, unless you ask for such values.",
    ),
    "texts_like_ids": (
        DATABASE_ID,
        "texts that are codes or addresses",
        "A language model cannot learn from them what the entity is.",
        "Add names, and descriptions if there are any.",
    ),
    "short_texts": (
        r"^[^\p{L}\p{N}]*[A-Za-z0-9]?[^\p{L}\p{N}]*$",
        "texts with one letter or digit, or none",
        "A language model learns next to nothing from them.",
        "Add names in words.",
    ),
    "quoted_texts": (
        CSV_QUOTED,
        "texts in quotation marks, as CSV files have them",
        "The marks are read as a part of the text.",
        "Read the source as CSV, or remove the marks.",
    ),
    "doubled_quotes": (
        r'[^"]""+[^"]',
        "texts with doubled quotation marks, as CSV files have them",
        "The marks are read as a part of the text.",
        "Read the source as CSV, or remove one mark of each two.",
    ),
    "markup": (
        r"</?[A-Za-z][^<>]*>|&(?:[A-Za-z]{2,8}|#\d+);|\[\[[^\]]+\]\]|\]\(https?:",
        "texts with HTML, links or other markup in them",
        "The markup takes the place of words.",
        "Remove it.",
    ),
    "damaged_texts": (
        r"\x{fffd}|\x{c3}[\x{80}-\x{bf}]|\x{e2}\x{20ac}|\\u[0-9A-Fa-f]{4}|[\x00-\x08\x0e-\x1f\x7f-\x{9f}]",
        "texts with damaged characters",
        "They were read in another encoding than they were written in.",
        "Save the source as UTF-8, and read it again.",
    ),
    "long_texts": (
        rf"(?s)^.{{{LONG_TEXT // 2}}}.{{{LONG_TEXT // 2}}}.",  # RE2 repeats 1,000 times at most
        f"texts of more than {LONG_TEXT:,} characters",
        "Most encoders read the beginning of such a text only.",
        "See with --encoder how much is cut.",
    ),
}
EXCLUSIVE = tuple(TEXT_PATTERNS)[:4]


def in_words(names: Vocabulary, number: int) -> str:
    """Writes an entity or relation for an example: its text, shortened, and its id where the text is not made of it."""
    text, name = names.texts[number], names.ids[number]
    short = text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
    return name if is_made_of_id(text, name) else f"{short} ({name})"


def triplet_in_words(graph: "KnowledgeGraph", triplet: np.ndarray) -> str:
    """Writes a triplet for an example, in ids and texts."""
    head, relation, tail = triplet.tolist()
    return f"{in_words(graph.entities, head)} -- {in_words(graph.relations, relation)} --> " + in_words(
        graph.entities, tail
    )


def find_name_faults(graph: "KnowledgeGraph") -> Iterator[Finding]:
    """Finds what is odd about ids and texts.

    Args:
        graph: the graph.

    Yields:
        Findings.
    """
    for names, occurring in ((graph.entities, graph.candidates[0]), (graph.relations, graph.candidates[1])):
        part = _Names(names, occurring)
        yield from _find_id_faults(part)
        yield from _find_same_texts(part)
        yield from _find_text_faults(part) if names.kind == "entities" else _find_codes(part)


class _Names:
    """The names of entities or relations as Arrow strings, and which of them occur in triplets."""

    def __init__(self, names: Vocabulary, occurring: np.ndarray):
        self.kind, self.names, self.occurring = names.kind, names, occurring
        self.ids = to_arrow_strings(names.kind, names.ids)
        self.texts = to_arrow_strings(names.kind, names.texts)
        self.occurs = np.zeros(len(names), dtype=bool)
        self.occurs[occurring] = True

    @cached_property
    def visible(self) -> Any:
        """The ids as they look."""
        return visible_forms(self.ids)

    @cached_property
    def loose_texts(self) -> Any:
        """The loose forms of the texts."""
        return loose_forms(self.texts)

    @cached_property
    def loose(self) -> Any:
        """The loose forms of id and text together: many databases have ids of different things that differ in case."""
        import pyarrow as pa
        import pyarrow.compute as pc

        line_end = pa.scalar("\n", pa.large_string())
        return pc.binary_join_element_wise(loose_forms(self.visible), self.loose_texts, line_end)

    def mask(self, found: np.ndarray) -> np.ndarray:
        """Makes a mask over all names of one over those that occur."""
        mask = np.zeros(len(self.names), dtype=bool)
        mask[self.occurring] = found
        return mask

    def finding(self, kind: str, severity: str, found: np.ndarray, words: Sequence[str], example: str = "") -> Finding:
        """Makes the finding of a mask over all names; `words` are what was counted, its meaning and the remedy."""
        what, meaning, remedy = words
        count = int(found.sum())
        example = example or in_words(self.names, int(found.argmax()))
        return Finding(kind, severity, what, count, count / len(found), example, meaning, remedy)


def _find_id_faults(part: _Names) -> Iterator[Finding]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, names = part.kind, part.names

    def pair(positions: list[int]) -> str:
        return " and ".join(escaped(names.ids[position]) for position in positions)

    scattered = "If they are the same, the facts about one thing are scattered over several."
    found, same = find_same_forms(part.ids, part.visible)
    if same:
        what = f"{kind} whose id looks the same as another one"
        words = (what, scattered, "Write the ids alike, or differently for the eye too.")
        yield part.finding(f"{kind}_looking_alike", "wrong", found, words, pair(same))
    found, same = find_same_forms(part.visible, part.loose)
    if same:
        what = f"{kind} whose id differs from another one in case, spaces or underscores"
        words = (what, scattered, "Write the ids alike.")
        yield part.finding(f"{kind}_almost_alike", "doubtful", found, words, pair(same))
    found = np.asarray(pc.match_substring_regex(part.ids, CSV_QUOTED))
    if found.any():
        bare = pc.utf8_slice_codeunits(part.ids.filter(pa.array(found)), 1, -1)
        bare = pc.replace_substring(bare, '""', '"')
        twice = np.asarray(pc.is_in(bare, value_set=part.ids))
        which = int(twice.argmax())
        example = names.ids[int(np.flatnonzero(found)[which])]
        words = (
            f"{kind} with quotation marks around the id, as CSV files have them",
            "The marks are read as a part of the id: without them it is the id of something else.",
            "Read the source as CSV, or remove the marks.",
        )
        if twice.any():
            yield part.finding(f"quoted_{kind}", "wrong", found, words, f"{example} beside {bare[which]}")
        else:
            yield part.finding(f"quoted_{kind}", "doubtful", found, words, example)
    if not part.occurs[0] and names_text_columns(names.ids[0], names.texts[0]):
        words = (
            f"{kind} that are the header of a file",
            "It stands for nothing.",
            "Remove the first line of the file.",
        )
        yield part.finding(f"header_of_{kind}", "doubtful", np.arange(len(names)) == 0, words)


def _find_same_texts(part: _Names) -> Iterator[Finding]:
    """Finds different entities or relations whose texts are the same, or almost."""
    kind, names = part.kind, part.names
    texts = part.texts.take(part.occurring).dictionary_encode()
    codes = texts.indices.to_numpy()
    counts = np.bincount(codes)
    if (counts > 1).any():
        most = int(counts.argmax())
        ids = [names.ids[number] for number in part.occurring[codes == most][:3].tolist()]
        words = (
            f"{kind} that share their text with another one",
            "A language model cannot tell them apart.",
            "Add to their texts what makes them different, such as a description.",
        )
        example = f"{texts.dictionary[most].as_py()[:SHOWN_TEXT]}, the text of {counts[most]:,} ({', '.join(ids)}"
        example += ", …)" if counts[most] > len(ids) else ")"
        yield part.finding(f"{kind}_sharing_a_text", "doubtful", part.mask(counts[codes] > 1), words, example)
    # Names whose ids are the same but for their form have such texts too, and are reported for their ids.
    rest = part.occurring[~find_same_forms(part.ids, part.loose)[0][part.occurring]]
    found, same = find_same_forms(part.texts.take(rest), part.loose_texts.take(rest))
    if same:
        mask = np.zeros(len(names), dtype=bool)
        mask[rest[found]] = True
        words = (
            f"{kind} whose text differs from another one in case, spaces or invisible characters",
            "A language model can hardly tell them apart.",
            "If they are the same, give them one id; else add to their texts what makes them different.",
        )
        example = " and ".join(in_words(names, int(number)) for number in rest[same])
        yield part.finding(f"{kind}_with_similar_texts", "doubtful", mask, words, example)


def _find_codes(part: _Names) -> Iterator[Finding]:
    """Finds relations whose text is a code or an address; the other odd texts are those of entities."""
    import pyarrow.compute as pc

    found = np.asarray(pc.match_substring_regex(part.texts, DATABASE_ID)) & part.occurs
    if found.any():
        words = (
            "relations whose text is a code or an address",
            "A language model cannot learn from it what the relation means.",
            "Add names, such as those that the source has for its properties.",
        )
        yield part.finding("relation_texts_like_ids", "doubtful", found, words)


def _find_text_faults(part: _Names) -> Iterator[Finding]:
    import pyarrow.compute as pc

    names = part.names
    pairs = zip(names.ids, names.texts, strict=True)
    is_id = np.array([is_made_of_id(text, name) for name, text in pairs])
    is_id &= part.occurs
    taken = ~part.occurs
    for kind, (pattern, *words) in TEXT_PATTERNS.items():
        found = np.asarray(pc.match_substring_regex(part.texts, pattern))
        if pattern == DATABASE_ID:  # The text that is made of /m/06rf7 is "m 06rf7".
            found = found | (is_id & np.asarray(pc.match_substring_regex(part.ids, pattern)))
        if kind in EXCLUSIVE:
            found = found & ~taken
            taken = taken | found
        if (found := found & part.occurs).any():
            severity = "fact" if kind == "long_texts" else "doubtful"
            yield part.finding(kind, severity, found, words)
    if is_id.any():
        words = [
            "entities whose only text is their id",
            "A language model reads the id as words, and has nothing else to go by.",
            "Add names and descriptions: name_of and description_of choose columns or properties of the source.",
        ]
        severity = "doubtful" if 2 * is_id.sum() > len(part.occurring) else "fact"
        yield part.finding("entities_without_a_text", severity, is_id, words)
