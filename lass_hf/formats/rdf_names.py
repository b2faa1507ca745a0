"""Names in RDF: prefixed names of IRIs, and the names and descriptions among literals.

`rdf.py` reads the statements, and asks this module what to call their resources.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.vocabulary import BLANKS

WELL_KNOWN = {  # prefix -> namespace, for IRIs that the prefixes of a document do not cover
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "skosxl": "http://www.w3.org/2008/05/skos-xl#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "schema": "https://schema.org/",
    "sdo": "http://schema.org/",
    "wd": "http://www.wikidata.org/entity/",
    "wdt": "http://www.wikidata.org/prop/direct/",
    "dbr": "http://dbpedia.org/resource/",
    "dbo": "http://dbpedia.org/ontology/",
    "oboInOwl": "http://www.geneontology.org/formats/oboInOwl#",
    "obo": "http://purl.obolibrary.org/obo/",
}


def expand(names: str) -> tuple[str, ...]:
    """Expands well-known prefixed names, separated by spaces, to IRIs."""
    return tuple(WELL_KNOWN[prefix] + local for prefix, _, local in (name.partition(":") for name in names.split()))


NAMES = expand("rdfs:label skos:prefLabel skosxl:prefLabel schema:name sdo:name dcterms:title dc:title")
DESCRIPTIONS = expand(
    "rdfs:comment skos:definition schema:description sdo:description dcterms:description dc:description obo:IAO_0000115"
)
DEFAULT_LANGUAGE = "en"

_OBO_PREFIX = re.compile(r"http://purl\.obolibrary\.org/obo/([A-Za-z][A-Za-z0-9]*)_(?=\w*\d)")
_INLINE = "a|abbr|b|bdi|bdo|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strong|sub|sup|tt|u|var"
_BLOCK = (
    "blockquote|br|center|dd|div|dl|dt|h[1-6]|hr|img|li|ol|p|pre|table|tbody|td|th|thead|tr|ul|caption|figure|section"
)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s+[\w:-]+\s*=[^<>]*|\s*/?)>", re.I)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s+[\w:-]+\s*=[^<>]*|\s*/?)>", re.I)
_CHARACTER = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.I)
_WIKI_LINK = re.compile(r"\[\[([^\[\]|]+)(?:\|([^\[\]]+))?\]\]")
_ESCAPED_BREAKS = re.compile(r"(?:\\n)+(?![a-z])")  # not \nu, which is a letter in LaTeX
_MARKDOWN_LINK = re.compile(r"\[([^\[\]]+)\]\((?:https?://|/)[^()\s]*\)")


def forms_of(iri: str, prefixes: Mapping[str, str]) -> set[str]:
    """Returns all that a user may write for an IRI: the IRI itself, and its prefixed names.

    Args:
        iri: the IRI.
        prefixes: prefix -> namespace, of the document; the well-known ones count too, where it has no such prefix.
    """
    known = {**WELL_KNOWN, **prefixes}
    if match := _OBO_PREFIX.match(iri):
        known.setdefault(match[1], match[0])
    return {
        iri,
        *(f"{prefix}:{iri[len(space) :]}" for prefix, space in known.items() if space and iri.startswith(space)),
    }


def shorten(iris: Iterable[str], prefixes: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Shortens IRIs to prefixed names, each to another one.

    The longest namespace that an IRI begins with counts, and of several prefixes for it the first one. Purls of OBO
    become ids of OBO (PATO:0000001). A prefix that is the scheme of an IRI is not used: `urn:x` would then be two
    IRIs. An IRI that begins or ends with white space of Unicode, which ids cannot, is written as <IRI>.

    Args:
        iris: the IRIs, all different.
        prefixes: prefix -> namespace, of the document.

    Returns:
        The id of each IRI, and prefix -> namespace of the prefixes in them: `prefixes[prefix] + local` is the IRI of
        the id `prefix:local`. An id whose prefix is not there is an IRI.
    """
    iris = list(iris)
    schemes = {iri.partition(":")[0] for iri in iris}
    purls = {match[1]: match[0] for match in map(_OBO_PREFIX.match, iris) if match}
    usable: dict[str, str] = {}
    for prefix, namespace in [*prefixes.items(), *purls.items(), *WELL_KNOWN.items()]:
        if namespace and prefix not in schemes and re.fullmatch(r"(?!_$)[\w.-]*", prefix):
            usable.setdefault(prefix, namespace)
    prefix_of = {namespace: prefix for prefix, namespace in reversed(usable.items())}
    longest_first = sorted(prefix_of, key=len, reverse=True)
    match_namespace = re.compile(f"(?:{'|'.join(map(re.escape, longest_first))})(?=.)").match
    ids, used = [], set()
    for iri in iris:
        name = iri
        if found := match_namespace(iri):
            prefix = prefix_of[found[0]]
            name = f"{prefix}:{iri[found.end() :]}"
        if name.strip(BLANKS) != name:
            name = f"<{iri}>"
        elif found:
            used.add(prefix)
        ids.append(name)
    return ids, {prefix: namespace for prefix, namespace in usable.items() if prefix in used}


class TextChooser:
    """Chooses one text, a name or a description, for each resource.

    The preferred language wins (then its regional variants, texts without a language, English, and the others by
    alphabet), then the property that is listed first, then the text that is first by alphabet: the choice does not
    depend on the order of the statements.

    Args:
        properties: the properties, the best first, by IRI or prefixed name.
        language: the preferred language.

    Attributes:
        count: how many texts there were.
        matched: the properties that occurred, as `properties` names them.
        chosen: code of a resource -> (rank of language, language, rank of property, text).
        tied: the resources for which alphabetical order decided.
        lost: one text of each resource that was not chosen.
    """

    def __init__(self, properties: tuple[str, ...], language: str):
        self.properties, self.language = properties, language.lower()
        self.count = 0
        self.matched: set[str] = set()
        self.chosen: dict[int, tuple[int, str, int, str]] = {}
        self.tied: set[int] = set()
        self.lost: dict[int, str] = {}
        self._ranks: dict[str, int] = {}

    def rank_of(self, forms: set[str]) -> int | None:
        """Returns the rank of a property, given all its forms; None if it is no such property."""
        for rank, name in enumerate(self.properties):
            if name in forms:
                self.matched.add(name)
                return rank
        return None

    def add(self, resource: int, property_rank: int, text: str, language: str | None) -> None:
        """Considers one text of a resource."""
        self.count += 1
        if not text.strip(BLANKS):
            self.lost.setdefault(resource, text)
            return
        language = language or ""
        rank = self._ranks.get(language)
        if rank is None:
            rank = self._ranks[language] = self._rank_language(language.lower())
        candidate = (rank, language, property_rank, text)
        best = self.chosen.get(resource)
        if best is None or candidate < best:
            self.chosen[resource] = candidate
        if best is not None:
            self.lost.setdefault(resource, max(best, candidate)[-1])
            if best[:3] == candidate[:3] and best[3] != text:
                self.tied.add(resource)
            elif candidate < best:
                self.tied.discard(resource)

    def text_of(self, resource: int) -> str | None:
        """Returns the text of a resource, None if it has none."""
        return self.chosen[resource][-1] if resource in self.chosen else None

    def _rank_language(self, language: str) -> int:
        if language == self.language:
            return 0
        if language.startswith(f"{self.language}-"):
            return 1
        return 2 if not language else 3 if language.partition("-")[0] == DEFAULT_LANGUAGE else 4

    def languages(self) -> list[str]:
        """Returns the languages that texts are in, sorted; "" stands for none."""
        return sorted(self._ranks)

    def has_language(self) -> bool:
        """Checks whether any text is in the preferred language."""
        return any(rank < 2 for rank in self._ranks.values())

    def count_other_languages(self, resources: Iterable[int]) -> Counter[str]:
        """Counts the resources whose text is in another language than the preferred one, by language."""
        chosen = (self.chosen[resource] for resource in resources if resource in self.chosen)
        return Counter(language for rank, language, _, _ in chosen if rank > 2)


def plain_text(text: str) -> str:
    """Makes plain text of HTML, links and escaped line breaks.

    For example, `<p>A [[Thing]] &amp; a < b</p>` becomes `A Thing & a < b`. Only elements of HTML are tags,
    and only names with a semicolon are characters.
    """
    without = _WIKI_LINK.sub(lambda link: link[2] or link[1], text)
    without = _ESCAPED_BREAKS.sub(" ", _MARKDOWN_LINK.sub(r"\1", without))
    without = _INLINE_TAG.sub("", _BLOCK_TAG.sub(" ", without))
    without = _CHARACTER.sub(lambda reference: html.unescape(reference[0]), without)
    return text if without == text else re.sub(r" {2,}", " ", without).strip()
