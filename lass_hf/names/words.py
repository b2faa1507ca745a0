"""The words of an id: what a relation or a category is called that has no name of its own."""

import re
from urllib.parse import unquote

from ..core.vocabulary import text_of_id

# Before a capital letter in camel case, and before the last capital of an acronym: "has|DNA|Sequence".
WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of_id(id: str) -> str:
    """Makes words of an id, without its namespace or prefix.

    Args:
        id: an IRI, a prefixed name or a plain name.

    Returns:
        The words in lower case, acronyms as they are: "biolink:SmallMolecule" becomes "small molecule", "subClassOf"
        "sub class of", "hasDNASequence" "has DNA sequence", "ACTED_IN" "acted in". A code stays what it is: "P31",
        "RO:0002211".
    """
    local = re.split(r"[/#]", id.rstrip("/#"))[-1] if "://" in id else id
    if "://" in id and (decoded := unquote(local)).isprintable() and "\ufffd" not in decoded:
        local = decoded
    name = re.sub(r"^[\w.-]*:+(?=[^:\\])", "", local)
    if not any(letter.islower() for letter in name):
        if not re.search(r"[^\W\d_]", name) or re.search(r"\d", name):
            return local or id
        return text_of_id(name).lower()
    words = text_of_id(WORD_STARTS.sub(" ", name).replace("::", " ")).split()
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)
