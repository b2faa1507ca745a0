"""Options that several subcommands share, and the types of their values. It imports no library."""

import argparse
import shlex

from ..completion.settings import CompletionSettings
from ..core.choices import ModelChoices, choice_names
from ..core.errors import GraphError
from ..scoring.precision import DTYPES
from ..utils.terminal import one_line

RERANK_TOP_K, RETRIEVER_WEIGHT = CompletionSettings.rerank_top_k, CompletionSettings.retriever_weight
RANKING_WEIGHTS = choice_names(ModelChoices, affects="ranking")
OTHER_NAMES = {"dev": "validation", "valid": "validation"}  # of splits
SPLIT_SEED = 42
HOST, PORT = "127.0.0.1", 8000
GRAPH = "file or folder of the graph, or a name: countries, umls, wn18rr, fb15k-237, wn11, fb13"


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Adds `--debug` for the help: `lass-hf` takes it out of the command line before any parser reads it."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Adds `--quiet`."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars, errors only")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds `--quiet` and `--json`."""
    add_quiet(parser)
    parser.add_argument("--json", metavar="FILE", help="write the results to this file")


def add_graph(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds `--graph` and `--long_text`; a graph that is not required is the model's own by default."""
    default = "" if required else " (default: the one that the model has)"
    parser.add_argument("--graph", required=required, metavar="PATH_OR_NAME", help=GRAPH + default)
    parser.add_argument("--long_text", action="store_true", help="texts from entity2textlong.txt")


def add_split(parser: argparse.ArgumentParser) -> None:
    """Adds `--split`; "dev" and "valid", as files of the validation split are called, are names of it too."""
    parser.add_argument("--split", type=lambda name: OTHER_NAMES.get(name, name), default="test")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the options of reading a source: those of `ReadingOptions`."""
    for name, metavar, what in (
        ("relations", "A,B", "only these relations, by id or name"),
        ("exclude", "A,B", "not these relations"),
        ("name_of", "A,B", "properties or columns that hold the names, the best first"),
        ("description_of", "A,B", "the same for descriptions"),
        ("include", "A,B", "read also literals, annotations or blank_nodes, as entities"),
    ):
        parser.add_argument(f"--{name}", type=names, default=(), metavar=metavar, help=what)
    parser.add_argument("--language", metavar="CODE", help="preferred language of names and descriptions, such as en")
    parser.add_argument("--limit", type=positive, metavar="N", help="read the first N triplets only")
    for name, what in (
        ("head_column", "column of the heads (default: guessed from its name)"),
        ("relation_column", "column of the relations"),
        ("tail_column", "column of the tails"),
        ("id_column", "column of the ids in a table of entities"),
        ("split_column", "column that says which split a triplet is in"),
        ("date_column", "column of dates, to split by"),
    ):
        parser.add_argument(f"--{name}", metavar="NAME", help=what)


def add_model(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds `--model` and `--dtype`."""
    parser.add_argument("--model", required=required, metavar="DIR_OR_NAME", help="trained LASS model")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="precision of scoring")


def add_split_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds `--validation`, `--test` and `--seed`, sizes of splits to make; `importing.split_as_asked` applies them."""
    for name in ("validation", "test"):
        parser.add_argument(
            f"--{name}",
            type=size,
            default=default,
            help=f"triplets to hold out for {name}: a share, such as 5%%, or their number (default: %(default)s)",
        )
    parser.add_argument(
        "--seed", type=not_negative, default=SPLIT_SEED, help=f"seed of the choice (default: {SPLIT_SEED})"
    )


def add_reranker(parser: argparse.ArgumentParser) -> None:
    """Adds `--rerank`, `--rerank_top_k` and `--retriever_weight`, for predictions."""
    parser.add_argument("--rerank", metavar="DIR_OR_NAME", help="cross-encoder that reranks the best predictions")
    parser.add_argument(
        "--rerank_top_k",
        type=positive,
        default=RERANK_TOP_K,
        help="number of predictions to rerank (default: %(default)s)",
    )
    parser.add_argument(
        "--retriever_weight", type=weight, default=RETRIEVER_WEIGHT, help="weight of the first model's score"
    )


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """Adds `--evidence`, for the use of a model."""
    parser.add_argument(
        "--evidence",
        default="auto",
        metavar="KINDS",
        help="evidence that ranks heads and tails: text, the words alone; some kinds that the model has, such as "
        "text,rules; or auto, all of them (default: %(default)s)",
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds `--host`, `--port`, `--allow_host`, `--token` and `--no_token`, for a page."""
    parser.add_argument("--host", default=HOST, help="address to listen at (default: %(default)s, this machine)")
    parser.add_argument("--port", type=port, default=PORT, help="(default: %(default)s; 0: any that is free)")
    parser.add_argument(
        "--allow_host",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="more names that requests may use for the server, such as that of a proxy in front of it",
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token", help="what requests have to bring along (default: one is made if others can reach --host)"
    )
    token.add_argument("--no_token", action="store_true", help="lets everyone ask who can reach --host")


def repeat_options(arguments: object, *options: str) -> str:
    """Returns options of a command line for the next one, so that its figures hold there: those that were given.

    Args:
        arguments: the arguments, of argparse or a dataclass.
        options: some of evidence, dtype, graph and long_text.
    """
    return write_options(**{name: getattr(arguments, name) for name in options})


def write_options(**values: object) -> str:
    """Returns options as a shell takes them, a blank before each, without those that are off."""
    return "".join(
        f" --{name}" if value is True else f" --{name} {quoted(value)}"
        for name, value in values.items()
        if value not in (None, False, "auto")
    )


def quoted(value: object) -> str:
    """Returns a value as a shell takes it, for a command line to print."""
    return one_line(shlex.quote(str(value)))


def names(text: str) -> tuple[str, ...]:
    """Reads names with commas between them."""
    if not (found := tuple(name.strip() for name in text.split(",") if name.strip())):
        raise argparse.ArgumentTypeError(f"{text!r} holds no name")
    return found


def positive(text: str) -> int:
    """Reads an integer of 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def not_negative(text: str) -> int:
    """Reads an integer of 0 or more."""
    return 0 if text == "0" else positive(text)


def above_zero(text: str) -> float:
    """Reads a finite number above 0."""
    try:
        value = weight(text)
    except argparse.ArgumentTypeError:
        value = 0.0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def size(text: str) -> float | int:
    """Reads the size of a split, a share below 1 or a number of triplets."""
    from ..graphs.splitting import parse_size

    try:
        return parse_size(text)
    except GraphError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def share(text: str) -> float:
    """Reads a share above 0 and below 1, such as 20%."""
    value = size(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; expected such as 20%")
    return value


def port(text: str) -> int:
    """Reads a port, 0 to 65535."""
    if (number := not_negative(text)) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected 0 to 65535")
    return number


def weight(text: str) -> float:
    """Reads a finite number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value
