"""`lass-hf predict`: the best entities or relations for the slot that is not given, or the verdict on a triplet."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.errors import LassError
from ...utils.console import check_writable
from ...utils.result_files import refuse_own_file
from ...utils.terminal import one_line
from ...writers.file_formats import FORMATS, sidecar_of
from ..options import add_evidence, add_graph, add_model, add_output, add_reranker, positive

if TYPE_CHECKING:
    from ...graphs.import_files import SourceRecord

HELP = "predictions for the slot that is not given, or the verdict on a whole triplet"
USES_MODELS = True
SLOT_OPTIONS = ("head", "relation", "tail")
TOP_K = 10
# What the metadata of --output have of the options: of heads and tails, of relations, and of verdicts.
OF_VERDICTS = ("dtype", "long_text")
OF_RELATIONS = ("top_k", "include_known", *OF_VERDICTS)
OF_ENTITIES = (*OF_RELATIONS, "evidence", "rerank", "rerank_top_k", "retriever_weight")
PROBABILITY = (
    "The probability tells true triplets from the false ones of the validation split; the chance on the list of "
    "complete is another number, which lass-hf complete --check HEAD RELATION TAIL gives."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf predict`."""
    parser.epilog = PROBABILITY
    add_model(parser)
    add_graph(parser, required=False)
    add_reranker(parser)
    add_evidence(parser)
    for slot in SLOT_OPTIONS:
        parser.add_argument(f"--{slot}", help="by id, text, or name: its text before the first comma")
    for slot in ("head", "tail"):
        parser.add_argument(f"--{slot}_text", metavar="TEXT", help="an entity that is new to the graph")
    parser.add_argument("--top_k", type=positive, help=f"number of predictions (default: {TOP_K})")
    parser.add_argument("--include_known", action="store_true", help="also triplets that the graph holds, marked")
    parser.add_argument("--output", metavar="FILE", help="write the predictions; its ending says the format")
    parser.add_argument("--output_format", choices=FORMATS, help="format of --output, if its ending does not say it")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Prints the predictions for two given slots, or label and probability of a whole triplet."""
    query = _query(arguments)
    count = sum(name is not None for name in query.values())
    if count < 2:
        raise LassError(
            "give exactly two of --head, --relation and --tail, to get predictions for the third, or all three, to get "
            f"a verdict on that triplet; {count or 'none'} given"
        )
    _refuse_unused(arguments, query)
    _check_output(arguments)
    from ...utils.console import print_predictions, report
    from ...utils.distributed import processes
    from ...utils.result_files import write_results
    from ..loading import load_predictor

    predictor = load_predictor(arguments)
    record = _find_source(arguments, predictor) if arguments.output else None
    if count == 3:
        (verdict,) = predictor.classify([(query["head"], query["relation"], query["tail"])])
        report(arguments.json, verdict, triplet=query)
        if processes().is_main_process and not arguments.quiet:
            no_label = "no label: the model has no threshold; lass-hf classify fits one on labeled validation triplets"
            print(PROBABILITY if "label" in verdict else no_label)
        if arguments.output and processes().is_main_process:
            _write(arguments, predictor, query, [verdict], record)
        return
    arguments.top_k = arguments.top_k or TOP_K
    (predictions,) = predictor.complete(
        [query], top_k=arguments.top_k, exclude_known=not arguments.include_known, quiet=arguments.quiet
    )
    if not processes().is_main_process:
        return
    if arguments.json:
        write_results(arguments.json, {}, query=query, predictions=predictions)
    print_predictions(predictions)
    if predictions and "label" in predictions[0] and not arguments.quiet:
        print(PROBABILITY)
    if arguments.rerank and len(predictions) > arguments.rerank_top_k:
        print(f"Scores of the first {arguments.rerank_top_k} are reranked; the others, with their scores, stay below.")
    is_new = any(isinstance(name, dict) for name in query.values())  # the graph holds no triplet of a new entity
    if not predictions:
        print("no prediction: every candidate is known (--include_known shows them)")
    elif not is_new and not arguments.include_known and not arguments.quiet:
        print("Predictions that the graph holds, in any split, are left out; --include_known shows and marks them.")
    if arguments.output:  # last: what cannot be written is shown
        _write(arguments, predictor, query, predictions, record)


def _refuse_unused(arguments: argparse.Namespace, query: Mapping[str, Any]) -> None:
    """Raises LassError for options that change nothing for an open relation, or for a whole triplet."""
    is_whole = None not in query.values()
    if not is_whole and query["relation"] is not None:
        return
    if arguments.rerank:
        raise LassError("--rerank puts heads or tails in order; relations and whole triplets are scored by one model")
    if arguments.evidence not in ("auto", "text"):
        raise LassError("--evidence ranks heads and tails; relations and whole triplets are scored by the text alone")
    if is_whole and (arguments.top_k is not None or arguments.include_known):
        name = "include_known" if arguments.top_k is None else "top_k"
        raise LassError(f"--{name} is for predictions, and a whole triplet gets a verdict; leave it out")


def _check_output(arguments: argparse.Namespace) -> None:
    """Raises LassError, before the work, for an `--output` that cannot be written."""
    if arguments.output:
        from ...writers.writing import check_format

        check_format(arguments.output, arguments.output_format)
        refuse_own_file(arguments.output, arguments.model)
        check_writable(arguments.output)
        if arguments.json and os.path.realpath(arguments.json) == os.path.realpath(sidecar_of(arguments.output)):
            raise LassError(f"{arguments.json}: where --output has its metadata; name another file for --json")
    elif arguments.output_format:
        raise LassError("--output_format needs --output, which is not given")


def _find_source(arguments: argparse.Namespace, predictor: Any) -> "SourceRecord | None":
    """Returns the record of the graph's source; raises LassError, before the work, for an `--output` that is in it."""
    from ...graphs.import_files import find_source_record, read_source_record, refuse_source

    name = arguments.graph
    record = find_source_record(name, predictor.graph) if name else read_source_record(arguments.model)
    refuse_source(arguments.output, record, name)
    return record


def _write(
    arguments: argparse.Namespace,
    predictor: Any,
    query: dict[str, Any],
    rows: Sequence[Mapping[str, Any]],
    record: "SourceRecord | None",
) -> None:
    """Writes `--output`: predictions for the open slot of a query, or the verdict on a whole triplet."""
    from ...prediction.name_resolver import NameResolver
    from ...utils.fingerprints import graph_fingerprint
    from ...writers.judged_triplets import FileMetadata, judged_triplets
    from ...writers.source_ids import SourceIds
    from ...writers.writing import write_judged_triplets

    resolver = NameResolver(predictor.graph)
    columns: dict[str, list[Any]] = {}
    for slot, (name, given) in enumerate(query.items()):
        ids, texts = [row.get("id") for row in rows], [row.get("text") for row in rows]
        if given is not None:
            id, text = resolver.name_of(resolver.resolve(given, slot), slot)
            ids, texts = [id] * len(rows), [text] * len(rows)
        columns |= {name: ids, f"{name}_text": texts}
    if None in query.values():
        columns["rank"] = list(range(1, len(rows) + 1))
    columns |= {name: [row.get(name) for row in rows] for name in ("score", "probability", "known")}
    columns["label"] = [None if "label" not in row else row["label"] == "true" for row in rows]
    columns["reasons"] = [row.get("reasons", []) for row in rows]
    settings = OF_VERDICTS if None not in query.values() else OF_ENTITIES if query["relation"] else OF_RELATIONS
    metadata = FileMetadata(
        model=arguments.model,
        graph=arguments.graph,
        model_revision=getattr(predictor.scorer.model.config, "_commit_hash", None),
        graph_digest=graph_fingerprint(predictor.graph),
        settings={"query": query, **{name: getattr(arguments, name) for name in settings}},
    )
    source = SourceIds(record.entities, record.relations, record.prefixes) if record else SourceIds()
    written = write_judged_triplets(
        judged_triplets(**columns), arguments.output, metadata, arguments.output_format, source
    )
    for one in written.left_out:
        print(one_line(f"{arguments.output} lacks {one.count:,} {one.what}: {one.reason}"), file=sys.stderr)


def _query(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what is given for each slot: a name, a new entity's text as a dict, or None."""
    query: dict[str, Any] = {slot: getattr(arguments, slot) for slot in SLOT_OPTIONS}
    for slot in ("head", "tail"):
        if text := getattr(arguments, f"{slot}_text"):
            if query[slot]:
                raise LassError(f"--{slot} and --{slot}_text exclude each other")
            query[slot] = {"text": text}
    return query
