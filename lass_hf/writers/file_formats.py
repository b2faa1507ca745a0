"""The formats that judged triplets are written in, and which one a file is in. It imports no library."""

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import LassError


@dataclass(frozen=True)
class FileFormat:
    """A format of judged triplets.

    Attributes:
        ending: the end of the names of its files; "" where another format has that ending.
        has_sidecar: the metadata are in a file beside it, because its own readers expect rows only.
        extra: the extra of this package that writes it, or None.
    """

    ending: str
    has_sidecar: bool = False
    extra: str | None = None


FORMATS = {
    "tsv": FileFormat(".tsv", has_sidecar=True),
    "csv": FileFormat(".csv", has_sidecar=True),
    "jsonl": FileFormat(".jsonl", has_sidecar=True),
    "parquet": FileFormat(".parquet"),
    "ntriples": FileFormat(".nt", extra="rdf"),
    "nquads": FileFormat(".nq", extra="rdf"),
    "turtle": FileFormat(".ttl", extra="rdf"),
    "ntriples-1.2": FileFormat("", extra="rdf"),
    "nquads-1.2": FileFormat("", extra="rdf"),
    "turtle-1.1": FileFormat("", extra="rdf"),
    "kgx": FileFormat(".kgx.tsv", has_sidecar=True),
    "sssom": FileFormat(".sssom.tsv"),
    "obo": FileFormat(".obo"),
}


def format_of(file: str | Path, format: str | None = None) -> str:
    """Returns the name of the format of a file of judged triplets.

    Args:
        file: the file; its ending says the format.
        format: the name of the format, if the ending is not to say it.

    Raises:
        LassError: there is no format of that name or ending.
    """
    if format is not None:
        if format not in FORMATS:
            raise LassError(f"format {format!r}; expected one of {', '.join(FORMATS)}")
        return format
    name = Path(file).name.lower()
    endings = sorted(((one.ending, key) for key, one in FORMATS.items() if one.ending), key=lambda pair: -len(pair[0]))
    for ending, key in endings:  # .sssom.tsv before .tsv
        if name.endswith(ending):
            return key
    known = ", ".join(ending for ending, _ in reversed(endings))
    raise LassError(f"{file}: no ending of a known format ({known}); choose another name, or give the format")


def sidecar_of(file: str | Path) -> Path:
    """Returns the file of metadata beside a file of judged triplets: `FILE.metadata.json`."""
    file = Path(file)
    return file.with_name(f"{file.name}.metadata.json")
