"""Letters as searches compare them."""

from typing import Any


def plain_letters(strings: Any) -> Any:
    """Returns Arrow strings in small letters, without accents, with single spaces."""
    import pyarrow.compute as pc

    letters = pc.replace_substring_regex(pc.utf8_normalize(strings, "NFKD"), r"\p{Mn}+", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(letters), r"\s+", " "))
