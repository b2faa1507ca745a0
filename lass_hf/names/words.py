"""The words of an id: what an entity, relation or category is called that has no name of its own."""

import re
from urllib.parse import unquote

from ..core.vocabulary import text_of_id

# Before a capital letter in camel case, and before the last capital of an acronym: "has|DNA|Sequence".
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_IS_PREFIXED = re.compile(r"(?:[^\W\d_][\w.+-]*)?:[^\s:\\]")  # prefixed names and IRIs, but no path of Windows


def text_for_id(id: str) -> str:
    """Makes the text of an entity that has nothing but its id: words of a prefixed name or IRI, else `text_of_id`."""
    return words_of_id(id) if _IS_PREFIXED.match(id) else text_of_id(id)


def is_made_of_id(text: str, id: str) -> bool:
    """Checks whether a text says no more than the id does."""
    return text == id or (len(text) <= len(id) and text in (text_of_id(id), text_for_id(id)))


def words_of_id(id: str) -> str:
    """Makes words of an id, without its namespace or prefix.

    Args:
        id: an IRI, a prefixed name or a plain name.

    Returns:
        The words in lower case, acronyms as they are: "biolink:SmallMolecule" becomes "small molecule", "subClassOf"
        "sub class of", "hasDNASequence" "has DNA sequence", "ACTED_IN" "acted in". A code stays what it is: "P31",
        "RO:0002211"; so do words: "Tochter von".
    """
    local = re.split(r"[/#]", id.rstrip("/#"))[-1] if "://" in id else id
    if "://" in id and (decoded := unquote(local)).isprintable() and "\ufffd" not in decoded:
        local = decoded
    name = re.sub(r"^[\w.-]*:+(?=[^:\\])", "", local)
    if not any(letter.islower() for letter in name):
        if not re.search(r"[^\W\d_]", name) or re.search(r"\d", name):
            return local or id
        return text_of_id(name).lower()
    if re.search(r"\s", name):
        return text_of_id(name)  # words already, perhaps of a language that writes nouns with capitals
    words = text_of_id(_WORD_STARTS.sub(" ", name).replace("::", " ")).split()
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)
