"""What statements of RDF say about the language and its bookkeeping instead of the things described.

Statements are integer arrays here; no loop runs over them. `rdf.py` reads them, and reports what this module finds.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from .rdf_names import WELL_KNOWN, expand

TYPE, PROPERTY, SUBCLASS, FIRST, REST, ON_PROPERTY, SOME_VALUES, ANNOTATION_PROPERTY, IMPORTS, DEPRECATED = expand(
    "rdf:type rdf:Property rdfs:subClassOf rdf:first rdf:rest owl:onProperty owl:someValuesFrom"
    " owl:AnnotationProperty owl:imports owl:deprecated"
)
STATEMENT = expand("rdf:Statement")  # a triplet as a resource, about which something is said
XL_LABEL, XL_FORM = expand("skosxl:prefLabel skosxl:literalForm")
# Terms of these types are no entities: properties of OWL (typedefs in OBO), and what holds the terms.
NO_ENTITIES = expand(
    "owl:ObjectProperty owl:DatatypeProperty owl:AnnotationProperty owl:OntologyProperty owl:Ontology"
    " owl:TransitiveProperty owl:SymmetricProperty owl:FunctionalProperty owl:InverseFunctionalProperty"
    " owl:ReflexiveProperty owl:IrreflexiveProperty owl:AsymmetricProperty owl:DeprecatedProperty"
    " skos:ConceptScheme skosxl:Label"
)
# What these connect is a property, whether or not its type says so: both ends, or the head alone.
BETWEEN_PROPERTIES = expand("owl:inverseOf rdfs:subPropertyOf owl:equivalentProperty owl:propertyDisjointWith")
OF_PROPERTIES = expand("rdfs:domain rdfs:range owl:propertyChainAxiom")
OBSOLETE = expand("owl:DeprecatedClass owl:DeprecatedProperty")
ANNOTATIONS = expand(
    "rdfs:seeAlso rdfs:isDefinedBy owl:imports owl:versionIRI owl:priorVersion owl:backwardCompatibleWith"
    " owl:incompatibleWith skos:inScheme dcterms:license dcterms:rights dcterms:accessRights dcterms:rightsHolder"
    " dcterms:provenance dcterms:conformsTo dcterms:format dc:rights dc:format foaf:page foaf:homepage foaf:depiction"
    " foaf:isPrimaryTopicOf prov:wasDerivedFrom schema:license sdo:license schema:source sdo:source"
)
# Who made a term, and from what. Of a book or a data set, the same is a fact.
PROVENANCE = expand(
    "dcterms:creator dcterms:contributor dcterms:publisher dcterms:source dc:creator dc:contributor dc:publisher"
    " dc:source prov:wasAttributedTo schema:creator schema:contributor schema:publisher sdo:creator"
    " sdo:contributor sdo:publisher"
)
_LANGUAGE = expand("rdf: rdfs: owl:")
_SKOS_CLASSES = expand("skos:Concept skos:ConceptScheme skos:Collection skos:OrderedCollection")


@dataclass
class Statements:
    """n statements as codes of `terms`.

    Attributes:
        terms: IRIs, blank nodes as `_:1`, and literals as N-Triples writes them, in the order of their codes.
        code_of: term -> code.
        heads: int32 of shape (n,).
        relations: int32 of shape (n,).
        tails: int32 of shape (n,).
    """

    terms: list[str]
    code_of: dict[str, int]
    heads: np.ndarray
    relations: np.ndarray
    tails: np.ndarray

    def __post_init__(self) -> None:
        self.is_blank = self.mark(lambda term: term.startswith("_:"))

    def mark(self, condition: Callable[[str], bool]) -> np.ndarray:
        """Returns which terms meet a condition: bool of shape (terms,)."""
        return np.fromiter(map(condition, self.terms), dtype=bool, count=len(self.terms))

    def is_one_of(self, iris: Iterable[str]) -> np.ndarray:
        """Returns which terms are some of these IRIs: bool of shape (terms,)."""
        marked = np.zeros(len(self.terms), dtype=bool)
        marked[[self.code_of[iri] for iri in iris if iri in self.code_of]] = True
        return marked

    def have_type(self, types: np.ndarray) -> np.ndarray:
        """Returns which terms have one of some types: bool of shape (terms,).

        Args:
            types: which terms are such a type.
        """
        rows = (self.relations == self.code_of.get(TYPE, -1)) & types[self.tails]
        marked = np.zeros(len(self.terms), dtype=bool)
        marked[self.heads[rows]] = True
        return marked

    def keep(self, rows: np.ndarray) -> None:
        """Keeps some statements."""
        self.heads, self.relations, self.tails = self.heads[rows], self.relations[rows], self.tails[rows]

    def first_occurrences(self) -> np.ndarray:
        """Returns which statements no earlier one repeats: bool of shape (n,)."""
        pairs = self.heads.astype(np.int64) * len(self.terms) + self.tails
        order = np.lexsort((self.relations, pairs))
        first = np.ones(len(order), dtype=bool)
        if len(order):
            ordered, relations = pairs[order], self.relations[order]
            first[order[1:]] = (ordered[1:] != ordered[:-1]) | (relations[1:] != relations[:-1])
        return first

    def is_schema_class(self) -> np.ndarray:
        """Returns which terms are classes of the languages RDF, RDFS, OWL and SKOS: bool of shape (terms,)."""
        return self.mark(lambda term: term.startswith(_LANGUAGE)) | self.is_one_of(_SKOS_CLASSES)

    def resolve_restrictions(self) -> int:
        """Replaces `X subClassOf [onProperty P; someValuesFrom C]` by `X P C`, as OBO has it; returns how many."""
        property_of = np.full(len(self.terms), -1, dtype=np.int32)
        filler_of = property_of.copy()
        for iri, of in ((ON_PROPERTY, property_of), (SOME_VALUES, filler_of)):
            rows = (
                (self.relations == self.code_of.get(iri, -1)) & ~self.is_blank[self.tails] & self.is_blank[self.heads]
            )
            of[self.heads[rows]] = self.tails[rows]
        is_restriction = (property_of >= 0) & (filler_of >= 0)
        outer = (self.relations == self.code_of.get(SUBCLASS, -1)) & is_restriction[self.tails]
        outer &= ~self.is_blank[self.heads]
        used = np.zeros(len(self.terms), dtype=bool)
        used[self.tails[outer]] = True
        restrictions = self.tails[outer]
        self.relations[outer], self.tails[outer] = property_of[restrictions], filler_of[restrictions]
        self.keep(~used[self.heads])
        return len(restrictions)

    def are_axioms(self) -> np.ndarray:
        """Returns which statements are axioms about properties that are in use as relations: bool of shape (n,).

        The properties of a vocabulary are in no use; they may be what the graph is about.
        """
        used = np.zeros(len(self.terms), dtype=bool)
        used[self.relations] = True
        both, head = (self.is_one_of(iris)[self.relations] for iris in (BETWEEN_PROPERTIES, OF_PROPERTIES))
        return ((both | head) & used[self.heads]) | (both & used[self.tails])

    def is_expression(self) -> np.ndarray:
        """Returns which blank nodes are class expressions, annotated axioms or lists: bool of shape (terms,)."""
        in_owl = self.mark(lambda term: term.startswith(WELL_KNOWN["owl"]))
        structural = in_owl | self.is_one_of((FIRST, REST))
        marked = self.have_type(in_owl)
        marked[self.heads[structural[self.relations]]] = True
        return marked & self.is_blank


@dataclass(frozen=True)
class Rule:
    """A rule by which statements are left out.

    Attributes:
        what: what they are, in words.
        reason: why they are left out, and how to have them.
        find: returns which of the statements that are left it concerns: bool of shape (n,).
        kind: the value of the option `include` that switches the rule off.
    """

    what: str
    reason: str
    find: Callable[[], np.ndarray]
    kind: str = ""


def find_unrelated(
    statements: Statements, is_obsolete: np.ndarray, chosen: Iterable[str], include: Collection[str]
) -> tuple[np.ndarray, list[Rule]]:
    """Makes the rules by which statements are left out.

    Args:
        statements: all statements of a source.
        is_obsolete: which terms are obsolete: bool of shape (terms,).
        chosen: the predicates that are not left out as annotations, types or the like.
        include: the kinds of what is not left out.

    Returns:
        Which terms are no entities by their type, bool of shape (terms,); and the rules, to be applied in this
        order.
    """
    is_schema = statements.is_schema_class()
    is_no_entity = statements.have_type(statements.is_one_of(NO_ENTITIES))
    is_term = statements.have_type(is_schema)
    is_expression = statements.is_expression()
    is_quoted = statements.mark(lambda term: term.startswith("<<"))
    is_reified = statements.have_type(statements.is_one_of(STATEMENT))
    is_annotation = statements.is_one_of(ANNOTATIONS)
    is_annotation |= statements.have_type(statements.is_one_of([ANNOTATION_PROPERTY]))
    is_provenance, is_type = statements.is_one_of(PROVENANCE), statements.is_one_of((TYPE, SUBCLASS))
    is_free = ~statements.is_one_of(chosen)

    def at_ends(of_terms: np.ndarray) -> np.ndarray:
        return of_terms[statements.heads] | of_terms[statements.tails]

    def has(of_relations: np.ndarray) -> np.ndarray:
        return (of_relations & is_free)[statements.relations]

    by_name = "; naming the predicate in relations chooses them in"
    choosable = 'include="annotations" or naming the predicate in relations chooses them in'
    rules = [
        Rule("repeated statements", "a graph holds a triplet once", lambda: ~statements.first_occurrences()),
        Rule(
            "statements about statements",
            "a triplet connects two resources",
            lambda: is_quoted[statements.tails] | at_ends(is_reified),
        ),
        Rule(
            "statements of class expressions, axioms and lists",
            "only subClassOf and someValuesFrom between named classes are triplets",
            lambda: at_ends(is_expression),
        ),
        Rule(
            "statements with blank nodes",
            'they have no IRI; include="blank_nodes" chooses them in',
            lambda: at_ends(statements.is_blank),
            "blank_nodes",
        ),
        Rule(
            "types and superclasses that belong to RDF, RDFS, OWL or SKOS",
            f"they say that something is a term{by_name}",
            lambda: has(is_type) & is_schema[statements.tails],
        ),
        Rule(
            "statements about properties, ontologies, concept schemes and labels",
            f"these are no entities{by_name}",
            lambda: at_ends(is_no_entity) & is_free[statements.relations],
        ),
        Rule(
            "axioms about relations",
            f"relations of this graph are no entities{by_name}",
            lambda: statements.are_axioms() & is_free[statements.relations],
        ),
        Rule("annotations", choosable, lambda: has(is_annotation), "annotations"),
        Rule(
            "statements about the provenance of terms",
            choosable,
            lambda: has(is_provenance) & is_term[statements.heads],
            "annotations",
        ),
        Rule("statements with obsolete terms", "they are no entities", lambda: at_ends(is_obsolete)),
    ]
    return is_no_entity | is_schema, [rule for rule in rules if rule.kind not in include]
