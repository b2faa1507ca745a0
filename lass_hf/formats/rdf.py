"""Reads RDF: Turtle, N-Triples, N-Quads, TriG, RDF/XML and JSON-LD, a file or a folder of files.

One pass over the statements makes integers of them (`_Reading`); all that follows works on arrays.
"""

from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..names.named_triplets import NamedTriplets, to_arrow_strings
from ..names.source import LeftOut, ReadingOptions, Source, names_table, needs_extra
from . import owl
from .detection import Format, detect_format
from .rdf_names import DEFAULT_LANGUAGE, DESCRIPTIONS, NAMES, TextChooser, forms_of, plain_text, shorten
from .rdf_parsing import parse

SHOWN = 10  # properties or languages that a message lists
CHOOSABLE = 'include="literals" or naming the predicate in relations chooses them in'
DIRECT_CLAIM = "http://wikiba.se/ontology#directClaim"  # from the named property of Wikidata to the predicate in use
EXAMPLE_LENGTH = 120  # characters of an example in a line


def read_rdf(path: str | Path, options: ReadingOptions) -> Source:
    """Reads a file of RDF, or all files of RDF in a folder as one graph.

    A triplet is a statement whose predicate connects two resources. An OWL restriction,
    `X rdfs:subClassOf [owl:onProperty P; owl:someValuesFrom C]`, is the triplet (X, P, C). Left out are: other class
    expressions and lists; types and superclasses of RDF, RDFS, OWL and SKOS; statements about properties of OWL,
    ontologies, concept schemes and labels; axioms about relations of the graph; annotations, and the provenance of
    terms; obsolete terms; literals; blank nodes.

    Names are from rdfs:label, skos:prefLabel, skosxl:prefLabel, schema:name, dcterms:title and dc:title; descriptions
    from rdfs:comment, skos:definition, schema:description, dcterms:description, dc:description and IAO_0000115. A text
    in the preferred language wins; of several, the one whose property stands first here; and then the first one by
    alphabet.

    Args:
        path: the file or folder.
        options: `relations` chooses predicates in that would be left out, by IRI or prefixed name, and `include` kinds.
            `name_of` and `description_of` replace the properties; `language` is English if it is not given.

    Returns:
        The source; its entities are the resources of the triplets, and the labeled resources that are no predicates.

    Raises:
        GraphError: pyoxigraph is missing, a file is damaged, an option names what is not there, or nothing is left.
    """
    kind = detect_format(path)
    options.refuse_others(kind.path, kind.name, ("name_of", "description_of", "language", "include"))
    try:
        import pyoxigraph  # noqa: F401
    except ImportError:
        raise needs_extra(kind.path, kind.name, "rdf") from None
    reading = _Reading(kind, options)
    for part in kind.files:
        reading.read(part)
    reading.name_by_labels()
    reading.check_options()
    return reading.to_source()


class _Reading:
    """One reading of one source: its statements as integers, its texts, and what becomes of both."""

    def __init__(self, kind: Format, options: ReadingOptions):
        self.kind, self.options = kind, options
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []
        self.prefixes: dict[str, str] = {}
        self.code_of: dict[str, int] = {}
        self.columns = (array("i"), array("i"), array("i"))
        language = options.language or DEFAULT_LANGUAGE
        self.names = TextChooser(options.name_of or NAMES, language)
        self.descriptions = TextChooser(options.description_of or DESCRIPTIONS, language)
        self.takers: dict[str, Callable[[int, Any], None]] = {}  # predicate -> what is done with its literals
        self.chosen: set[str] = set()  # the predicates that the option `relations` names
        self.values: dict[int, str] = {}  # code of a literal -> its value
        self.counted: dict[str, list[Any]] = {}  # predicate -> count, head and value of literals that are left out
        self.obsolete: set[int] = set()
        self.label_resources: dict[int, list[Any]] = {}  # label of SKOS-XL -> its literals
        self.graphs: set[Any] = set()
        self.num_blank_nodes = self.num_statements = 0

    def read(self, part: Format) -> None:
        """Reads the statements of one file."""
        import pyoxigraph as ox

        blank_nodes: dict[str, str] = {}  # a file has its own
        code_of, default_graph = self.code_of, ox.DefaultGraph()
        add_head, add_relation, add_tail = (column.append for column in self.columns)

        def encode(resource: Any) -> int:
            name = resource.value
            if type(resource) is ox.BlankNode:
                known = blank_nodes.get(name)
                if known is None:
                    self.num_blank_nodes += 1
                    known = blank_nodes[name] = f"_:{self.num_blank_nodes}"
                name = known
            return code_of.setdefault(name, len(code_of))

        for subject, predicate, value, graph in parse(part, self.prefixes):
            head, relation = encode(subject), predicate.value
            take = self.takers.get(relation) or self._choose_taker(relation)
            if type(value) is ox.Literal:
                take(head, value)
            else:
                add_head(head)
                add_relation(code_of.setdefault(relation, len(code_of)))
                if type(value) is ox.Triple:
                    add_tail(code_of.setdefault(f"<<{value}>>", len(code_of)))
                else:
                    add_tail(encode(value))
            if graph != default_graph:
                self.graphs.add(graph)
            self.num_statements += 1

    def _choose_taker(self, relation: str) -> Callable[[int, Any], None]:
        """Chooses, once for each predicate, what is done with its literals."""
        forms = forms_of(relation, self.prefixes)
        if not forms.isdisjoint(self.options.relations):
            self.chosen.add(relation)
        ranked = [(chooser, chooser.rank_of(forms)) for chooser in (self.names, self.descriptions)]
        if choosers := [(chooser, rank) for chooser, rank in ranked if rank is not None]:
            taker: Callable[[int, Any], None] = partial(self._take_text, choosers)
        elif relation == owl.DEPRECATED:
            taker = self._take_deprecated
        elif relation == owl.XL_FORM:
            taker = self._take_label
        elif relation in self.chosen or ("literals" in self.options.include and not self.options.relations):
            taker = partial(self._take_tail, self.code_of.setdefault(relation, len(self.code_of)))
        else:
            taker = partial(self._count_literal, counted := [0, -1, ""])
            self.counted[relation] = counted
        self.takers[relation] = taker
        return taker

    def _take_text(self, choosers: list[tuple[TextChooser, int]], head: int, literal: Any) -> None:
        for chooser, rank in choosers:
            chooser.add(head, rank, literal.value, literal.language)

    def _take_deprecated(self, head: int, literal: Any) -> None:
        if literal.value in ("true", "1"):
            self.obsolete.add(head)

    def _take_label(self, head: int, literal: Any) -> None:
        self.label_resources.setdefault(head, []).append(literal)

    def name_by_labels(self) -> None:
        """Takes the labels that are resources, as SKOS-XL has them, as names of what they label.

        A predicate of Wikidata is called as the property that claims it.
        """
        rank = self.names.rank_of(forms_of(owl.XL_LABEL, self.prefixes)) if self.label_resources else None
        if rank is not None:
            heads, relations, tails = self.columns
            for row in np.flatnonzero(np.array(relations) == self.code_of.get(owl.XL_LABEL)).tolist():
                for literal in self.label_resources.get(tails[row], ()):
                    self.names.add(heads[row], rank, literal.value, literal.language)
        if DIRECT_CLAIM in self.takers:
            heads, relations, tails = self.columns
            used = {self.code_of[predicate] for predicate in self.takers if predicate in self.code_of}
            for row in np.flatnonzero(np.array(relations) == self.code_of.get(DIRECT_CLAIM)).tolist():
                if tails[row] in used and (name := self.names.chosen.get(heads[row])):
                    self.names.add(tails[row], name[2], name[3], name[1] or None)

    def _take_tail(self, relation: int, head: int, literal: Any) -> None:
        tail = self.code_of.setdefault(str(literal), len(self.code_of))  # as N-Triples write it: a quotation mark first
        self.values[tail] = literal.value
        for column, code in zip(self.columns, (head, relation, tail), strict=True):
            column.append(code)

    def _count_literal(self, counted: list[Any], head: int, literal: Any) -> None:
        counted[0] += 1
        if counted[0] == 1:
            counted[1:] = head, literal.value

    def check_options(self) -> None:
        """Raises GraphError if an option names a property or a language that does not occur."""
        for option, chooser in (("name_of", self.names), ("description_of", self.descriptions)):
            given = getattr(self.options, option)
            if unknown := [name for name in given if name not in chooser.matched]:
                known = shorten(self.takers, self.prefixes)[0]
                raise GraphError(
                    f"{self.kind.path}: {option}={unknown[0]!r}: no statement has this property; expected some of "
                    f"{_list(sorted(known))}"
                )
        if self.options.language and not (self.names.has_language() or self.descriptions.has_language()):
            there = sorted({*self.names.languages(), *self.descriptions.languages()})
            raise GraphError(
                f"{self.kind.path}: language={self.options.language!r}: no name and no description is in it; expected "
                f"one of {_list([language or '(none)' for language in there])}"
            )

    def to_source(self) -> Source:
        """Selects triplets, entities and relations, and reports what was left out."""
        terms = list(self.code_of)
        iris = list(dict.fromkeys([*(term for term in terms if term[0] not in '_"<'), *self.takers]))
        ids, prefixes = shorten(iris, self.prefixes)
        self.id_of = dict(zip(iris, ids, strict=True))
        self.ids = [self.id_of.get(term, term) for term in terms]
        columns = [np.array(column, dtype=np.int32) for column in self.columns]
        statements = owl.Statements(terms, self.code_of, *columns)
        is_entity = self._select(statements)
        if not len(statements.heads):
            most = sorted(self.left_out, key=lambda each: -each.count)[:3]
            reasons = "".join(f"; left out: {each.count} {each.what} ({each.reason})" for each in most)
            raise GraphError(f"{self.kind.path}: no triplet in {self.num_statements} statements{reasons}")
        entities = np.flatnonzero(is_entity).tolist()
        relations = list(dict.fromkeys(statements.relations.tolist()))
        self._report_texts("names", self.names, [*entities, *relations])
        self._report_texts("descriptions", self.descriptions, entities)
        return Source(
            path=self.kind.path,
            format=self.kind.name,
            files=[part.path for part in self.kind.files],
            splits={"train": self._to_triplets(statements)},
            entities=self._to_table(entities, self._plain_descriptions(entities)),
            relations=self._to_table(relations, [None] * len(relations)),
            prefixes=prefixes,
            left_out=self.left_out,
            notes=self.notes,
        )

    def _select(self, statements: owl.Statements) -> np.ndarray:
        """Keeps the statements that are triplets; returns which terms are entities: bool of shape (terms,)."""
        is_property = statements.is_one_of(self.takers) | statements.have_type(statements.is_one_of([owl.PROPERTY]))
        is_obsolete = statements.have_type(statements.is_one_of(owl.OBSOLETE))
        is_obsolete[list(self.obsolete)] = True
        self._note_elsewhere(statements)
        if num_restrictions := statements.resolve_restrictions():
            self.notes.append(
                f"OWL restrictions (someValuesFrom) that are read as triplets of their property: {num_restrictions}"
            )
        no_entities, rules = owl.find_unrelated(statements, is_obsolete, self.chosen, self.options.include)
        for rule in rules:
            if (rows := rule.find()).any():
                row = int(rows.argmax())
                codes = (statements.heads[row], statements.relations[row], statements.tails[row])
                self._leave_out(rule.what, int(rows.sum()), " ".join(self.ids[code] for code in codes), rule.reason)
                statements.keep(~rows)
        if is_obsolete.any():
            first = self.ids[int(is_obsolete.argmax())]
            self._leave_out("obsolete terms", int(is_obsolete.sum()), first, "they are no entities")
        for relation, (count, head, value) in self.counted.items():
            if count:
                name = self.id_of[relation]
                example = f'{self.ids[head]} {name} "{value}"'
                self._leave_out(f"literals of {name}", count, example, CHOOSABLE)
        is_entity = np.zeros(len(self.ids), dtype=bool)
        is_entity[list(self.names.chosen)] = True  # labeled, though it may be in no triplet
        is_entity &= ~(is_property | is_obsolete | no_entities | statements.is_blank)
        is_entity[statements.heads] = is_entity[statements.tails] = True
        return is_entity

    def _note_elsewhere(self, statements: owl.Statements) -> None:
        if self.graphs:
            self.notes.append(f"named graphs that are read as one graph: {len(self.graphs)}")
        if len(imports := statements.tails[statements.is_one_of([owl.IMPORTS])[statements.relations]]):
            names = [f"<{statements.terms[code]}>" for code in imports.tolist()]
            self.notes.append(f"owl:imports {_list(names)}: not fetched; read the files in one folder to have them")

    def _leave_out(self, what: str, count: int, example: str, reason: str) -> None:
        shown = " ".join(example[: 2 * EXAMPLE_LENGTH].split())
        shown = shown if len(shown) <= EXAMPLE_LENGTH else f"{shown[: EXAMPLE_LENGTH - 3]}..."
        self.left_out.append(LeftOut(what, count, shown, reason))

    def _report_texts(self, kind: str, chooser: TextChooser, codes: list[int]) -> None:
        """Reports which texts of one kind were not taken, and what decided about those that were."""
        taken = {code: True for code in codes if code in chooser.chosen}
        if count := chooser.count - len(taken):
            others = {code: chosen[-1] for code, chosen in chooser.chosen.items() if code not in taken}
            code, text = next(iter((chooser.lost or others).items()))
            reason = "one for each entity and each relation is taken"
            self._leave_out(f"other {kind}", count, f'{self.ids[code]} "{text}"', reason)
        if tied := [code for code in taken if code in chooser.tied]:
            text = chooser.chosen[tied[0]][-1][:EXAMPLE_LENGTH]
            self.notes.append(
                f"{kind} of which there are several in one language and property: {len(tied)}; the first by alphabet "
                f"is taken, such as {text!r} for {self.ids[tied[0]]}"
            )
        if languages := chooser.count_other_languages(taken):
            counts = _list([f"{language}: {count}" for language, count in languages.most_common()])
            total = sum(languages.values())
            self.notes.append(
                f"{kind} in another language, as there are none in {chooser.language}: {total} ({counts})"
            )

    def _plain_descriptions(self, codes: list[int]) -> list[str | None]:
        texts = [self.descriptions.text_of(code) for code in codes]
        plain = [text and plain_text(text) for text in texts]
        if changed := [(old, new) for old, new in zip(texts, plain, strict=True) if old != new]:
            self.notes.append(f"descriptions that were freed of HTML, links and escaped line breaks: {len(changed)}")
        return plain

    def _to_table(self, codes: list[int], descriptions: list[str | None]) -> Any:
        terms = list(self.code_of)
        ids: list[str | None] = [self.ids[code] for code in codes]
        names = [self.values.get(code) or self.names.text_of(code) for code in codes]
        sources = [None if self.ids[code] == terms[code] else terms[code] for code in codes]
        return names_table({"id": ids, "name": names, "description": descriptions, "source_id": sources})

    def _to_triplets(self, statements: owl.Statements) -> NamedTriplets:
        columns = [statements.heads, statements.relations, statements.tails]
        used, codes = np.unique(np.stack(columns, axis=1), return_inverse=True)
        names = to_arrow_strings("entities", [self.ids[code] for code in used.tolist()])
        return NamedTriplets.from_codes(names, codes.reshape(-1, 3).astype(np.int32), None)


def _list(names: list[str]) -> str:
    """Lists names for a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
