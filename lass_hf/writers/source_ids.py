"""Ids in the form that the source of a graph has for them: IRIs and prefixed names; and minted ones for all others."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from ..formats.rdf_names import WELL_KNOWN

MINTED = "urn:lass-hf:"  # then entity or relation, a colon, and the percent-encoded id
TERMS = f"{MINTED}terms:"  # what the formats of this package say with words of their own: score, probability, ...
STANDARD = {  # prefixes that mean the same everywhere
    **WELL_KNOWN,
    "semapv": "https://w3id.org/semapv/vocab/",
    "biolink": "https://w3id.org/biolink/vocab/",
}
# Letters that are in no IRI, or look as if they were not there; "[" is in no host here, so that none can be half one.
_NOT_IN_IRIS = r"\x00-\x20\x7f-\x9f<>\"{}|\\^`%#\[\]\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\s"
_PART = rf"(?:%[0-9A-Fa-f]{{2}}|[^{_NOT_IN_IRIS}])"
_IRI = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_PART}+(?:#{_PART}*)?")
_PREFIXED = re.compile(r"([A-Za-z_][\w.-]*):([\w.-]+)", re.ASCII)


@dataclass(frozen=True)
class SourceIds:
    """The ids of a graph in its source's own form.

    Attributes:
        entities: id -> its own form; ids that are missing are in their own form.
        relations: the same for relations.
        prefixes: prefix -> namespace.
    """

    entities: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)

    def own(self, name: str, kind: str = "entity") -> str:
        """Returns the own form of the id of an "entity" or "relation"."""
        return (self.relations if kind == "relation" else self.entities).get(name, name)

    def iri(self, name: str, kind: str = "entity") -> str:
        """Returns the IRI of an id.

        Args:
            name: the id.
            kind: "entity" or "relation".

        Returns:
            The own form where it is an IRI, with or without a known prefix; else `minted_iri`.
        """
        own = self.own(name, kind)
        if "://" not in own and not own.startswith("urn:"):
            prefix, colon, local = own.partition(":")
            namespace = self.prefixes.get(prefix) or STANDARD.get(prefix)
            own = f"{namespace}{local}" if colon and namespace else ""
        return own if _IRI.fullmatch(own) else minted_iri(name, kind)

    def prefixed(self, name: str, kind: str = "entity") -> tuple[str, str, str]:
        """Returns an id as a prefixed name (CURIE) that stands for its IRI.

        Args:
            name: the id.
            kind: "entity" or "relation".

        Returns:
            Prefix, namespace and the rest. The prefix is "" where none is known for an IRI. An id of the form
            `prefix:rest` keeps it, with a minted namespace if the prefix is not known.
        """
        iri = self.iri(name, kind)
        if found := _PREFIXED.fullmatch(name):
            namespace = minted_iri(f"{found[1]}:", kind) if iri.startswith(MINTED) else iri.removesuffix(found[2])
            if namespace + found[2] == iri:
                return found[1], namespace, found[2]
        spaces = {**STANDARD, **self.prefixes, f"lass.{kind}": minted_iri("", kind)}
        fitting = [(namespace, prefix) for prefix, namespace in spaces.items() if prefix and iri.startswith(namespace)]
        namespace, prefix = max(fitting, key=lambda pair: len(pair[0]), default=("", ""))
        if not prefix:
            namespace = iri[: max(map(iri.rfind, "/#:")) + 1]
        return prefix, namespace, iri.removeprefix(namespace)


def minted_iri(name: str, kind: str) -> str:
    """Returns an IRI for an id that has none: `urn:lass-hf:entity:` and the id, percent-encoded."""
    return f"{MINTED}{kind}:{quote(name, safe='')}"
