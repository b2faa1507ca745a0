"""`lass-hf review`: people decide about the list of `complete` or `audit` on a page; what they accept is exported."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ...core.errors import LassError
from ...utils.console import check_writable
from ...utils.terminal import one_line
from ...writers.file_formats import FORMATS
from ..options import GRAPH, HOST, PORT, add_quiet, add_server

HELP = "a page on which people decide about the list of complete or audit"
USES_MODELS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf review`."""
    parser.add_argument(
        "folder", metavar="FOLDER", help="folder that lass-hf complete or lass-hf audit wrote, or its list"
    )
    parser.add_argument("--graph", metavar="PATH_OR_NAME", help=GRAPH + " (default: the one that the list was made of)")
    parser.add_argument(
        "--export", metavar="FILE", help="write the accepted triplets, of an audit also the wrong ones; open no page"
    )
    parser.add_argument("--export_format", choices=FORMATS, help="format of --export, if its ending does not say it")
    add_server(parser)
    add_quiet(parser)
    parser.set_defaults(json=None)


def run(arguments: argparse.Namespace) -> None:
    """Serves the page until it is interrupted, or exports what was accepted."""
    arguments.folder = _folder_of_list(arguments.folder)
    if arguments.export:
        _refuse_beside_export(arguments)
        _export(arguments)
        return
    if arguments.export_format:
        raise LassError("--export_format needs --export, which is not given")
    try:
        from ...web.access import make_access
        from ...web.review_application import ReviewApplication
        from ...web.server import bind, serve
    except ModuleNotFoundError as error:
        raise LassError(f'{error.name} is not installed: pip install "lass-hf[serve]"') from None
    from ...review.known_facts import KnownFacts
    from ...review.reviewing import Review

    with bind(arguments.host, arguments.port) as listener:
        access = make_access(arguments.host, listener, arguments.allow_host, arguments.token, arguments.no_token)
        review = Review(arguments.folder)
        review.check_writable()
        graph = _load_graph(arguments, review)
        application = ReviewApplication(review, graph and KnownFacts(graph), access)
        serve(application, str(review.list.file), listener, show_token=arguments.token is None)


def _refuse_beside_export(arguments: argparse.Namespace) -> None:
    """Raises LassError for options of the page beside `--export`, which opens none."""
    for name, usual in (("host", HOST), ("port", PORT), ("allow_host", []), ("token", None), ("no_token", False)):
        if getattr(arguments, name) != usual:
            raise LassError(f"--{name} is for the page, and --export opens none; leave one of them out")


def _export(arguments: argparse.Namespace) -> None:
    from ...graphs.import_files import find_source_record, read_source_record, refuse_source
    from ...review.reviewing import Review
    from ...utils.result_files import refuse_own_file
    from ...writers.source_ids import SourceIds
    from ...writers.writing import check_format

    check_format(arguments.export, arguments.export_format)
    refuse_own_file(arguments.export, arguments.folder)
    check_writable(arguments.export)
    review = Review(arguments.folder)
    review.check_writable()
    graph = _load_graph(arguments, review)
    record = (
        find_source_record(arguments.graph, graph)
        if arguments.graph
        else read_source_record(review.list.metadata.model)
    )
    refuse_source(arguments.export, record, arguments.graph)
    source = SourceIds(record.entities, record.relations, record.prefixes) if record else SourceIds()
    table = review.write_decided()
    if len(review.decided()) and not len(review.exported()):  # rejected ones, for example: people are done
        what = "found true or wrong" if review.list.of_facts else "accepted"
        _note(arguments, f"no triplet is {what}, so {arguments.export} is not written; all decisions are in {table}")
        return
    written = review.export(arguments.export, arguments.export_format, source)
    if not arguments.quiet:
        what = "triplets that are true or wrong" if review.list.of_facts else "accepted triplets"
        print(one_line(f"{what} in {arguments.export}: {written.rows:,}; all decisions are in {table}"))
    for one in written.left_out:
        print(one_line(f"{arguments.export} lacks {one.count:,} {one.what}: {one.reason}"), file=sys.stderr)


def _folder_of_list(given: str) -> str:
    """Returns the folder of a list, which may be given by the file of the list; raises LassError for other files."""
    from ...utils.result_files import LISTS

    file, lists = Path(given), [names[0] for names in LISTS.values() if names]
    if not file.is_file():
        return given
    if file.name not in lists:
        raise LassError(f"{given}: a file, expected the folder of a list ({' or '.join(lists)}); give {file.parent}")
    return str(file.parent)


def _find_lack(review: Any, graph: Any) -> str | None:
    """Returns what a graph lacks that has not even half of the entities of the list, and so is another one, or None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = review.list.table
    entities = pc.unique(pa.chunked_array([*table["head"].chunks, *table["tail"].chunks]))
    missing = sorted(entity for entity in entities.to_pylist() if entity not in graph.entities.index)
    if 2 * len(missing) <= len(entities):
        return None
    return f"{len(missing):,} of the {len(entities):,} entities of {review.list.file}, such as {missing[0]:.100}"


def _load_graph(arguments: argparse.Namespace, review: Any) -> Any:
    """Returns the graph of `--graph`, else the one that the list was made of, if it is still there; or None."""
    from ...core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE, KnowledgeGraph
    from ...graphs.loading import EMBEDDED, load_graph

    if arguments.graph:
        given = load_graph(arguments.graph)
        if lack := _find_lack(review, given):
            raise LassError(f"--graph {arguments.graph}: lacks {lack}; expected the graph that the list was made of")
        return given
    made_of, model = review.list.metadata.graph, review.list.metadata.model
    if made_of in (None, model):  # the one that the model has; an earlier version wrote the name of the model
        files = [Path(model, name) for name in (VOCABULARY_FILE, TRIPLETS_FILE)]
        graph = KnowledgeGraph.from_files(*files) if all(file.is_file() for file in files) else None
        name, missing = None, f"{model}, with the graph that the list was made of,"
    else:
        graph = load_graph(made_of) if made_of in EMBEDDED or Path(made_of).exists() else None
        name, missing = made_of, f"{made_of}, the graph that the list was made of,"
    if graph is not None and not _find_lack(review, graph):  # A path may lead to another graph from here.
        arguments.graph = name
        return graph
    facts = "no known facts are shown, and ids are exported as the model has them"
    _note(arguments, f"{missing} is not here: {facts}; give --graph")
    return None


def _note(arguments: argparse.Namespace, note: str) -> None:
    if not arguments.quiet:
        print(one_line(f"lass-hf: note: {note}"), file=sys.stderr)
