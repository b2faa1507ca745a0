"""Reads the dates by which triplets can be split into older and newer ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError, first_line
from ..core.vocabulary import BLANKS

if TYPE_CHECKING:
    import pyarrow as pa

# Years, months, days and times, as ISO 8601 writes them.
DATE = r"^\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$"
HAS_ZONE = r":.*(Z|[+-]\d{2}:?\d{2})$"


def read_dates(dates: "Sequence[Any] | pa.ChunkedArray", count: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the dates of triplets.

    Args:
        dates: numbers, such as years, or dates of ISO 8601 from a year to a time with its zone; None or blank if there
            is none. A time without zone counts as one of UTC.
        count: the number of triplets.

    Returns:
        The dates as numbers, the larger the newer, and where there is one: bool; both of shape (count,).

    Raises:
        GraphError: there are more or fewer dates than triplets, or one cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(dates) != count:
        raise GraphError(f"{len(dates)} dates for {count} triplets; expected one for each")
    if not isinstance(dates, (pa.Array, pa.ChunkedArray)):
        dates = pa.array([None if date is None else str(date) for date in dates], pa.large_string())
    dates = pa.chunked_array(dates) if isinstance(dates, pa.Array) else dates
    texts = pc.utf8_trim(dates, characters=BLANKS)
    texts = pc.if_else(pc.equal(texts, ""), None, texts).combine_chunks()
    is_dated = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    try:
        numbers = pc.fill_null(pc.cast(texts, pa.float64()), 0.0).to_numpy()
        return numbers, is_dated & np.isfinite(numbers)
    except pa.ArrowInvalid:
        pass  # not all of them are numbers
    is_read = pc.fill_null(pc.match_substring_regex(texts, DATE), True).to_numpy(zero_copy_only=False)
    if not is_read.all():
        number = int(is_read.argmin())
        raise GraphError(
            f"triplet {number}: the date is {texts[number].as_py()!r}; expected a number, or a date as in 2024, "
            "2024-05-31 or 2024-05-31T12:00:00Z, in every row or blank"
        )
    for pattern, full in ((r"^(\d{4})$", r"\1-01"), (r"^(\d{4}-\d{2})$", r"\1-01"), (r"(\.\d{6})\d+", r"\1")):
        texts = pc.replace_substring_regex(texts, pattern, full)
    has_zone = pc.match_substring_regex(texts, HAS_ZONE)
    try:
        times = [
            pc.cast(pc.if_else(is_here, texts, None), kind).cast(pa.int64())
            for is_here, kind in ((has_zone, pa.timestamp("us", "UTC")), (pc.invert(has_zone), pa.timestamp("us")))
        ]
    except pa.ArrowInvalid as error:
        raise GraphError(f"a date that is none: {first_line(error)}") from None
    return pc.fill_null(pc.coalesce(*times), 0).to_numpy(), is_dated
