"""`lass-hf complete`: the missing links of a whole graph, as a list that people review, and how good the list is."""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...completion.settings import CompletionSettings
from ...core.errors import LassError
from ..options import (
    above_zero,
    add_evidence,
    add_graph,
    add_model,
    add_output,
    add_reranker,
    names,
    not_negative,
    positive,
)

if TYPE_CHECKING:
    from ...completion.completer import CompletionResult
    from ...completion.completing import CheckedLink
    from ...core.knowledge_graph import KnowledgeGraph

HELP = "the missing links of a whole graph, as a list to review"
USES_MODELS = True
MODEL_FOLDER = "model"  # in the output folder, where no model is given
OPTIONS_OF_SETTINGS = ("per_query", "seed", "rerank_top_k", "retriever_weight")  # with the defaults of the settings
ONLY = {"heads_only": "heads", "tails_only": "tails"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf complete`."""
    add_model(parser, required=False)
    add_graph(parser, required=False)
    add_reranker(parser)
    add_evidence(parser)
    parser.add_argument("--output", metavar="DIR", help="folder for the list, its page and the progress")
    parser.add_argument("--relations", type=names, metavar="A,B", help="ask for these relations only, by id or text")
    parser.add_argument("--entities", metavar="FILE", help="ask about these entities only: ids or texts, one a line")
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--heads_only", action="store_true", help="ask for heads only")
    side.add_argument("--tails_only", action="store_true", help="ask for tails only")
    parser.add_argument(
        "--any_candidate", action="store_true", help="any entity may be an answer, not only those seen on that side"
    )
    parser.add_argument(
        "--per_query",
        type=positive,
        default=CompletionSettings.per_query,
        metavar="N",
        help="suggestions of a query that has one answer, as a rule; others get more (default: %(default)s)",
    )
    parser.add_argument(
        "--per_relation", type=positive, metavar="N", help="suggestions of a relation (default: no limit)"
    )
    parser.add_argument(
        "--max",
        type=positive,
        default=CompletionSettings.most,
        metavar="N",
        help="suggestions in all (default: %(default)s)",
    )
    parser.add_argument(
        "--decisions",
        nargs="+",
        metavar="FILE",
        help="decisions about earlier lists, of which nothing is suggested again",
    )
    parser.add_argument(
        "--seed",
        type=not_negative,
        default=CompletionSettings.seed,
        help="seed of all choices (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=above_zero,
        metavar="M",
        help="without --model: the longest time that the training should take here (default: 12)",
    )
    parser.add_argument("--evaluate", action="store_true", help="hide links, complete, and count them on the list")
    parser.add_argument(
        "--check",
        nargs=3,
        metavar=("HEAD", "RELATION", "TAIL"),
        help="judge one link as the completion in --output does, by ids or texts",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the list of a graph, or measures it."""
    with _each_note_once():  # The graph is read for the training, and for the list.
        _complete(arguments)


@contextmanager
def _each_note_once() -> Iterator[None]:
    """Keeps what is said while a graph is read from being said again."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        line = record.getMessage()
        is_first = line not in said
        said.add(line)
        return is_first

    reader = logging.getLogger("lass_hf.graphs.importing")
    reader.addFilter(is_new)
    try:
        yield
    finally:
        reader.removeFilter(is_new)


def _complete(arguments: argparse.Namespace) -> None:
    if arguments.evaluate == (arguments.output is not None):
        raise LassError(
            "--evaluate measures and writes no list: leave --output out"
            if arguments.evaluate
            else "neither --output, a folder for the list, nor --evaluate, which measures it: give one of them"
        )
    _refuse_beside_check(arguments)
    entities = None if arguments.entities is None else read_names(arguments.entities)
    from ...completion.completing import check_link, complete_graph, measure_completion
    from ...completion.measuring import describe_evaluation
    from ...prediction.name_resolver import NameResolver
    from ...scoring.index_building import find_index_folder_for_graph
    from ...scoring.output_folders import check_foreign
    from ...utils.console import report
    from ...utils.distributed import processes
    from ...utils.environment import command_line
    from ...utils.result_files import read_training, refuse_input_folder, write_results
    from ..loading import check_reranker, load, load_with_graph

    if arguments.check and arguments.model is None:
        arguments.model = str(Path(arguments.output, MODEL_FOLDER))
    check_reranker(arguments)
    settings = CompletionSettings(
        relations=arguments.relations,
        entities=entities,
        side=next((side for option, side in ONLY.items() if getattr(arguments, option)), "both"),
        any_candidate=arguments.any_candidate,
        per_query=arguments.per_query,
        per_relation=arguments.per_relation,
        most=arguments.max,
        seed=arguments.seed,
        rerank_top_k=arguments.rerank_top_k,
        retriever_weight=arguments.retriever_weight,
        decisions=tuple(arguments.decisions) if arguments.decisions else None,
    )
    if arguments.output and not arguments.check:
        refuse_input_folder(arguments.output, graph=arguments.graph)
        check_foreign(arguments.output, "completion")
    is_trained_here = arguments.model is None
    if is_trained_here:
        arguments.model = _train_model(arguments, settings)
    elif arguments.minutes is not None:
        raise LassError("--minutes is for a model that is trained, and --model is given; leave one of them out")
    model, processor, graph = load_with_graph(arguments)
    if is_trained_here:
        _check_same_graph(arguments, processor.graph, graph)
    choices: dict[str, Any] = {
        "evidence": arguments.evidence,
        "index_folder": find_index_folder_for_graph(arguments.model, processor, graph),
        "dtype": arguments.dtype,
        "quiet": arguments.quiet,
        "rerank": load(arguments.rerank) if arguments.rerank else None,
    }
    if arguments.check:
        (triplet,) = NameResolver(graph).resolve_triplets([tuple(arguments.check)])
        _print_verdict(arguments, check_link(graph, model, processor, arguments.output, triplet, **choices))
        return
    choices["settings"] = settings
    training = read_training(arguments.model)
    # What the training names is a folder without its place, for people to read alone.
    shown = arguments.graph or (training or {}).get("graph")
    made_by = {
        **{"task": "completion", "model": arguments.model, "graph": shown, "training": training},
        **{"settings": settings.describe(), "command": command_line()},
    }
    if arguments.evaluate:
        results = measure_completion(graph, model, processor, **choices)
        if processes().is_main_process:
            if arguments.json:
                write_results(arguments.json, results, evidence=arguments.evidence, **made_by)
            print("\n".join(describe_evaluation(results)))
        return
    _warn_of_wrong_links(arguments, training or {})
    result = complete_graph(
        graph,
        model,
        processor,
        arguments.output,
        model_name=arguments.model,
        graph_name=arguments.graph,  # None: the one that the model has
        **choices,
    )
    counts = result.counts
    report(arguments.json, counts, **made_by)
    if processes().is_main_process:
        _print_where(arguments.output, result)


def _refuse_beside_check(arguments: argparse.Namespace) -> None:
    """Raises LassError for options beside `--check` that are those of the completion itself."""
    if not arguments.check:
        return
    if arguments.evaluate:
        raise LassError("--check judges one link by the completion in --output, which is not given")
    for name, usual in (
        *dict.fromkeys(("relations", "entities", "per_relation", "decisions", "minutes"), None).items(),
        *dict.fromkeys(("heads_only", "tails_only", "any_candidate"), False).items(),
        ("max", CompletionSettings.most),
        *((name, getattr(CompletionSettings, name)) for name in OPTIONS_OF_SETTINGS),
    ):
        if getattr(arguments, name) != usual:
            raise LassError(f"--check takes --{name} from the completion in --output; leave it out")


def _print_verdict(arguments: argparse.Namespace, found: "CheckedLink") -> None:
    """Prints what a completion says of one link, once of all processes."""
    from ...utils.console import report
    from ...utils.distributed import processes
    from ...utils.terminal import one_line

    (row,) = found.rows.to_pylist() or [None]
    if row is None:
        report(arguments.json, {}, task="completion", link=arguments.check, no_suggestion=found.lack)
        lines = [f"no suggestion: {found.lack}"]
    else:
        metrics = {name: row[name] for name in ("kind", "probability", "score")}
        report(arguments.json, metrics, task="completion", link=arguments.check, reasons=row["reasons"])
        lines = [f"- {reason}" for reason in row["reasons"]]
    if processes().is_main_process:
        for line in lines:
            print(one_line(line))


def _train_model(arguments: argparse.Namespace, settings: CompletionSettings) -> str:
    """Trains a model for the graph beside the list, if it is not there; returns its folder.

    What can be wrong with the completion is told before the training.
    """
    if not arguments.graph:
        raise LassError("neither --model nor --graph: give a graph, which a model is trained on, or a trained model")
    if arguments.evaluate:
        raise LassError("--evaluate needs --model, a trained model: complete without it trains one into --output")
    if arguments.evidence != "auto":
        raise LassError(f"--evidence {arguments.evidence} needs --model, a trained model; leave it out")
    from ...runs.automatic import train_once
    from ...scoring.output_folders import RESULTS, only_writer

    folder = str(Path(arguments.output, MODEL_FOLDER))
    options = {"graph": arguments.graph, "seed": arguments.seed, "minutes": arguments.minutes}
    argv = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    argv += [f"--{name}" for name in ("long_text", "quiet") if getattr(arguments, name)]
    with only_writer(arguments.output):
        name = RESULTS["completion"]
        if Path(arguments.output, name).exists() and not Path(folder).exists():
            raise LassError(f"{arguments.output}: has {name} of another run; choose another --output")
        _check_choices(arguments, settings)
        train_once(folder, argv, "lass-hf complete")
    return folder


def _check_choices(arguments: argparse.Namespace, settings: CompletionSettings) -> None:
    """Raises LassError for names, decisions or a reranker that do not fit the graph."""
    if not (settings.relations or settings.entities or settings.decisions or arguments.rerank):
        return
    from ...completion.completer import check_reranker_fits
    from ...core.modeling_lass import LassForKGCompletion
    from ...core.processing_lass import LassProcessor
    from ...graphs.decisions import read_decisions
    from ...graphs.loading import load_graph

    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    settings.numbers(graph)
    if settings.decisions:
        read_decisions(settings.decisions, graph)
    if arguments.rerank:
        processor = LassProcessor.from_pretrained(arguments.rerank)
        check_reranker_fits(LassForKGCompletion.from_pretrained(arguments.rerank), processor, graph)


def _check_same_graph(
    arguments: argparse.Namespace, trained_on: "KnowledgeGraph | None", graph: "KnowledgeGraph"
) -> None:
    """Raises LassError if the graph has changed since the model beside the list was trained on it."""

    def names(of: "KnowledgeGraph") -> list[list[str]]:
        return [of.entities.ids, of.entities.texts, of.relations.ids, of.relations.texts]

    if (
        trained_on is None
        or names(trained_on) != names(graph)
        or trained_on.known.triplets().tolist() != graph.known.triplets().tolist()
    ):
        raise LassError(
            f"{arguments.model}: trained on another version of {arguments.graph}; choose another --output, or take "
            "the model with --model"
        )


def _warn_of_wrong_links(arguments: argparse.Namespace, training: Mapping[str, Any]) -> None:
    """Warns of links that were false in training, and that the list may suggest again."""
    from ...hub.card_files import read_card_data
    from ...utils.distributed import processes
    from ...utils.terminal import one_line

    decisions, warnings = training.get("decisions") or {}, []
    if decisions and not arguments.decisions:
        warnings.append(
            f"{arguments.model} was trained with --decisions ({decisions['file']}), and the list may suggest what "
            "people decided there; give --decisions here, too"
        )
    if not arguments.graph:  # The graph that a model has with it keeps no false triplets, and its card counts them.
        graph = read_card_data(arguments.model).get("graph") or {"splits": {}}
        counts = graph["splits"].get("train", {"triplets": 0, "true": 0})
        number = counts["triplets"] - counts["true"] - decisions.get("rejected", 0)
        if number > 0:
            warnings.append(
                f"{arguments.model} was trained with {number:,} triplets that its graph labels false, and the list may "
                "suggest them; give --graph, the one that the model was trained on"
            )
    if processes().is_main_process:
        for warning in warnings:
            print(f"lass-hf: warning: {one_line(warning)}", file=sys.stderr)


def _print_where(output: str, result: "CompletionResult") -> None:
    from ...completion.completion_files import IMPLIED, SUGGESTIONS
    from ...utils.result_files import REPORT_FILE

    print(f"{Path(output, SUGGESTIONS)}: the list; {Path(output, IMPLIED)}: what the graph implies; open {REPORT_FILE}")
    if result.no_probability:
        print(result.no_probability)


def read_names(file: str) -> tuple[str, ...]:
    """Reads names from a file, one a line; empty lines are left out.

    Raises:
        LassError: The file cannot be read, or has no name.
    """
    from ...formats.text_files import read_lines

    try:
        lines = read_lines(file).to_pylist()
    except LassError as error:
        raise LassError(f"--entities {error}; expected ids or texts of entities, one a line") from None
    return tuple(line.strip() for line in lines if line.strip())
