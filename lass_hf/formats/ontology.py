"""What is read of an ontology in OBO's model, in whatever syntax, and the `Source` that it makes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from ..names.named_triplets import NamedTriplets, to_arrow_strings
from ..names.source import LeftOut, Source, names_table

if TYPE_CHECKING:
    import pyarrow as pa

Triplet = tuple[str, str, str]
OBO_IRIS = "http://purl.obolibrary.org/obo/"
_PREFIX = re.compile(r"([A-Za-z_][\w.-]*):(?!//)")
# What is left out: tag -> in words, and why.
_LOGIC = "a logical statement, which is no relation between two terms"
_NO_RELATION = "no relation between two terms"
LEFT_OUT = {
    "xref": ("cross-references", "the ids of other databases are no terms"),
    "subset": ("memberships of subsets", _NO_RELATION),
    "property_value": ("property values", _NO_RELATION),
    "comment": ("comments", "texts are made of names and definitions"),
    "synonym": (
        "synonyms",
        "a term with a definition has its name and definition as text; other scopes than EXACT differ",
    ),
    "intersection_of": ("logical definitions (intersection_of)", _LOGIC),
    "union_of": ("logical definitions (union_of)", _LOGIC),
    "disjoint_from": ("statements that terms are disjoint", _LOGIC),
    "equivalent_to": ("statements that terms are equivalent", _LOGIC),
    "replaced_by": ("replacements of obsolete terms", "obsolete terms are no entities"),
    "consider": ("replacements of obsolete terms to consider", "obsolete terms are no entities"),
    "qualifier": ("qualifiers of is_a and relationship", "a triplet has no qualifiers"),
    "typedef": ("typedefs", "they are relations: their names are read, and those in use become relations"),
    "relation edge": ("edges between relations", "only terms are entities"),
    "instance": ("instances", "only terms are entities"),
}


@dataclass
class Term:
    name: str | None = None
    definition: str | None = None
    exact_synonyms: list[str] = field(default_factory=list)
    namespace: str | None = None
    is_obsolete: bool = False
    source_id: str | None = None

    def description(self) -> str | None:
        """Returns the definition, or else the exact synonyms in words."""
        others = [synonym for synonym in self.exact_synonyms if synonym != self.name]
        return self.definition or (f"also called {', '.join(others)}" if others else None)


class Ontology:
    """What is read of an ontology, in either syntax.

    Attributes:
        terms: id -> term.
        relations: id -> name and own form of the source.
        triplets: (head, relation, tail), as the statements stand in the file.
        alternatives: other id of a term -> its id.
        namespaces: prefix -> namespace, as the file declares them.
        repeated: id and line of each second stanza of a term.
        others: tag -> how many statements of it were left out, and the first one.
    """

    def __init__(self) -> None:
        self.terms: dict[str, Term] = {}
        self.relations: dict[str, tuple[str | None, str | None]] = {
            "is_a": ("is a", "http://www.w3.org/2000/01/rdf-schema#subClassOf")  # what OBO says it means
        }
        self.triplets: list[Triplet] = []
        self.alternatives: dict[str, str] = {}
        self.namespaces: dict[str, str] = {}
        self.repeated: list[str] = []
        self.others: dict[str, tuple[int, str]] = {}
        self.notes: list[str] = []

    def leave_out(self, tag: str, example: str) -> None:
        """Counts a statement that is left out."""
        count, first = self.others.get(tag) or (0, shorten(example, 100, placeholder=" ..."))
        self.others[tag] = count + 1, first

    def add_synonym(self, term: Term, id: str, text: str, scope: str) -> None:
        """Keeps an exact synonym for terms without a definition, and counts the others."""
        if scope == "EXACT":
            term.exact_synonyms.append(text)
        else:
            self.leave_out("synonym", f"{id}: {text}")

    def to_source(self, path: Path, format: str) -> Source:
        """Returns the terms that are not obsolete, and the triplets between such terms."""
        obsolete = {id for id, term in self.terms.items() if term.is_obsolete}
        terms = {id: term for id, term in self.terms.items() if id not in obsolete}
        for id, term in terms.items():
            if term.definition:
                for synonym in term.exact_synonyms:
                    self.leave_out("synonym", f"{id}: {synonym}")
        others = {id: main for id, main in self.alternatives.items() if id not in self.terms}
        triplets: list[Triplet] = []
        of_obsolete: list[Triplet] = []
        renamed = 0
        for head, relation, tail in self.triplets:
            triplet = (others.get(head, head), relation, others.get(tail, tail))
            renamed += triplet != (head, relation, tail)
            (of_obsolete if obsolete & {triplet[0], triplet[2]} else triplets).append(triplet)
        left_out = [
            LeftOut(what, count, example, reason)
            for tag, (count, example) in self.others.items()
            for what, reason in [LEFT_OUT.get(tag, (f"statements of {tag}", _NO_RELATION))]
        ]
        for what, found in (("obsolete terms", sorted(obsolete)), ("triplets of obsolete terms", of_obsolete)):
            if found:
                example = found[0] if isinstance(found[0], str) else " ".join(found[0])
                left_out.append(LeftOut(what, len(found), example, "obsolete terms are no entities"))
        self._note_ids(terms, triplets, others, renamed)
        columns = zip(*triplets, strict=True) if triplets else ([], [], [])
        return Source(
            path=path,
            format=format,
            files=[path],
            splits={"train": NamedTriplets.from_columns([_chunked(column) for column in columns], None)},
            entities=names_table(
                {
                    "id": list(terms),
                    "name": [term.name for term in terms.values()],
                    "description": [term.description() for term in terms.values()],
                    "category": [term.namespace for term in terms.values()],
                    "source_id": [term.source_id for term in terms.values()],
                }
            ),
            relations=names_table(
                {
                    "id": list(self.relations),
                    "name": [name for name, _ in self.relations.values()],
                    "source_id": [own for _, own in self.relations.values()],
                }
            ),
            prefixes=self._prefixes([*terms, *self.relations, *(tail for _, _, tail in triplets)]),
            left_out=left_out,
            notes=self.notes,
        )

    def _note_ids(self, terms: dict[str, Term], triplets: list[Triplet], others: dict[str, str], renamed: int) -> None:
        """Notes second stanzas and other ids of terms, ids without a term, and a cycle of is_a."""
        if self.repeated:
            self.notes.append(
                f"{len(self.repeated)} stanzas are of a term that has one, such as that of {self.repeated[0]}: they "
                "are read as one"
            )
        if others:
            other, main = next(iter(others.items()))
            self.notes.append(
                f"{len(others)} ids are other ids (alt_id) of terms, such as {other} of {main}; triplets name "
                f"{renamed} times such an id, and the term is read"
            )
        used = dict.fromkeys(id for head, _, tail in triplets for id in (head, tail))
        if missing := [id for id in used if id not in terms]:
            self.notes.append(
                f"{len(missing)} ids of triplets are no terms of the file, such as {missing[0]}: their texts are made "
                "of their ids"
            )
        parents: dict[str, list[str]] = {}
        for head, relation, tail in triplets:
            if relation == "is_a":
                parents.setdefault(head, []).append(tail)
        try:
            TopologicalSorter(parents).prepare()
        except CycleError as error:
            cycle = error.args[1][::-1]
            self.notes.append(f"is_a has a cycle: {' is a '.join(cycle[:6])}{' ...' if cycle[6:] else ''}")

    def _prefixes(self, ids: Iterable[str]) -> dict[str, str]:
        """Returns the namespaces of the prefixes that ids have: those declared, or those of the OBO library."""
        used = dict.fromkeys(found[1] for id in ids if (found := _PREFIX.match(id)))
        return {prefix: self.namespaces.get(prefix, f"{OBO_IRIS}{prefix}_") for prefix in used}


def _chunked(names: Sequence[str]) -> "pa.ChunkedArray":
    import pyarrow as pa

    return pa.chunked_array([to_arrow_strings("ontology", names)])
