"""`lass-hf`: the command line over the package's functions. It parses, calls and prints; it computes nothing.

Exit code 0, or 2 on bad input with one line on standard error.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..analysis.report import analyze
from ..core.errors import LassError, ModelError
from ..core.processing_lass import LassProcessor
from ..evaluation.calibration import keep_calibration
from ..evaluation.link_prediction import evaluate_link_prediction, evaluate_relation_prediction
from ..evaluation.ranking_progress import remove_progress
from ..evaluation.reranking import RerankingResult, evaluate_reranking
from ..evaluation.result_facts import classification_facts, ranking_facts, reranking_facts, scored
from ..evaluation.triplet_classification import evaluate_triplet_classification
from ..graphs.loading import load_graph
from ..hub.card_files import add_evaluation, keep_ranking_weights
from ..scoring.index_building import index_folder_of
from ..training.recipes import parse_training
from ..training.run import train, training_of
from ..training.run_metadata import command
from ..utils.console import check_writable, print_metrics, print_predictions, quieten, report, run_program
from ..utils.distributed import processes
from ..utils.fingerprints import model_fingerprint
from ..utils.result_files import write_results
from .loading import is_own, loaded, loaded_with_graph, predictor_of, with_ranking_weights
from .parser import make_parser

MEASURED_LENGTH = 1_000_000  # tokens; `info` tells how long texts are, not how much of them an encoder would see


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code."""
    return run_program("lass-hf", lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(argv: list[str]) -> None:
    if argv[:1] == ["train"]:  # its parser is made of dataclasses, and of the recipe
        _train(argv[1:])
        return
    arguments = make_parser().parse_args(argv)
    if arguments.json:
        check_writable(arguments.json)
    if arguments.quiet:
        quieten()
    COMMANDS[arguments.command](arguments)


def _progress_folder(arguments: argparse.Namespace) -> Path | None:
    """Where an evaluation's progress lies until it ends; None for a model from the hub, or one that is read-only."""
    if arguments.json:
        return Path(f"{arguments.json}.progress")
    if not os.access(arguments.model, os.W_OK):
        return None
    kind = "relations" if arguments.relations else "links"
    return Path(arguments.model, f"{kind}-{Path(arguments.split).name}.progress")


def _evaluate(arguments: argparse.Namespace) -> None:
    model, processor, graph = loaded_with_graph(arguments)
    progress = _progress_folder(arguments)
    weights = with_ranking_weights(model, arguments)
    if arguments.rerank and arguments.relations:
        raise LassError("--rerank and --relations exclude each other: heads and tails are reranked")
    if not arguments.rerank and (arguments.top_k or arguments.retriever_weight is not None):
        raise LassError("--top_k and --retriever_weight are about --rerank, which is not given")
    rank = evaluate_relation_prediction if arguments.relations else evaluate_link_prediction
    choices: dict[str, Any] = {name: getattr(arguments, name) for name in ("split", "limit", "dtype", "seed", "quiet")}
    if not arguments.relations:
        choices["index_folder"] = index_folder_of(arguments.model, processor.graph, graph)
    more: dict[str, Any] = {}
    if arguments.rerank:
        reranker, reranker_processor = loaded(arguments.rerank)
        both = evaluate_reranking(
            *(model, processor, reranker, reranker_processor, graph),
            top_k=arguments.top_k,
            retriever_weight=arguments.retriever_weight,
            resume_dir=progress,
            **choices,
        )
        result = both.reranked
        more = {name: getattr(both, name) for name in ("top_k", "recall", "num_reranked", "retriever_weight", "tokens")}
        more = {"rerank": arguments.rerank, "reranker_training": training_of(arguments.rerank), **more}
        more |= {"retrieval": both.retrieval.metrics, "retrieval_ranks": both.retrieval.ranks.tolist()}
        more["stage_seconds"] = both.seconds
        if processes().is_main_process:
            _print_stages(both)
            asked = f"--model {arguments.model} --rerank {arguments.rerank} --rerank_top_k {both.top_k}"
            where = "" if is_own(processor, graph) else f" --graph {arguments.graph}"
            if arguments.keep_weights or not weights:  # by others the model ranks no questions
                print(
                    f"next: lass-hf predict {asked} --retriever_weight {both.retriever_weight:.4g}{where} --head ... --relation ..."
                )
    else:
        result = rank(model, processor, graph, resume_dir=progress, **choices)
    if result.unseen["num_queries"] and processes().is_main_process:
        print_metrics({"queries with an entity unseen in training": result.unseen})
    report(
        arguments.json,
        result.metrics,
        command=command(),
        protocol="filtered (train + validation + test), realistic ranks, all candidates",
        model=arguments.model,
        fingerprint=model_fingerprint(model),
        training=training_of(arguments.model),
        graph=arguments.graph,
        split=arguments.split,
        limit=arguments.limit,
        seed=arguments.seed,
        dtype=arguments.dtype,
        by_relation=result.by_relation,
        by_category=result.by_category,
        unseen=result.unseen,
        ranks=result.ranks.tolist(),
        ranking_weights=model.config.ranking_weights,
        **more,
    )
    about = graph[arguments.split], scored(arguments.graph, arguments.dtype, model)
    if arguments.keep_weights and processes().is_main_process:
        keep_ranking_weights(arguments.model, weights, processor.graph)
    if processes().is_main_process and (arguments.keep_weights or not weights):  # the card is about the model's own
        own = both.retrieval if arguments.rerank else result
        add_evaluation(arguments.model, ranking_facts(own, *about), processor.graph)
        if arguments.rerank:
            facts = reranking_facts(both, arguments.model, arguments.rerank, *about)
            add_evaluation(arguments.model, facts, processor.graph)
            add_evaluation(arguments.rerank, facts, reranker_processor.graph)
    if progress is not None and processes().is_main_process:
        remove_progress(progress)


def _print_stages(both: RerankingResult) -> None:
    """Both stages of a reranking, side by side, with what they spent."""

    def spent(stage: str) -> str:
        return f"{both.tokens[stage]:,} tokens, {both.seconds[stage]:.1f} s"

    num_queries = both.reranked.metrics["num_queries"]
    found = "" if both.tokens["indexing"] else "; the vectors were there"
    print(f"indexing: {spent('indexing')}{found}")
    how = f"fitted on {both.num_fitted} validation queries ({spent('fitting')})" if both.num_fitted else "not fitted"
    print(f"retriever_weight: {both.retriever_weight:.4g}, {how}")
    for name, result in (("retrieval", both.retrieval), ("reranking", both.reranked)):
        values = "  ".join(f"{key} {result.metrics[key]:.4f}" for key in ("mr", "mrr", "hits@1", "hits@3", "hits@10"))
        print(f"{name}: {values}  ({spent(name)})")
    print(f"recall@{both.top_k} {both.recall:.4f}: {both.num_reranked} of {num_queries} queries reranked")


def _classify(arguments: argparse.Namespace) -> None:
    model, processor, graph = loaded_with_graph(arguments)
    result = evaluate_triplet_classification(
        model, processor, graph, split=arguments.split, dtype=arguments.dtype, quiet=arguments.quiet
    )
    more = {name: getattr(arguments, name) for name in ("model", "graph", "split", "dtype")}
    report(
        arguments.json,
        result.metrics,
        **more,
        training=training_of(arguments.model),
        threshold=result.threshold,
        calibration=result.calibration.to_dict(),
        relation_thresholds=result.relation_thresholds,
        scores=result.scores.tolist(),
    )
    about = scored(arguments.graph, arguments.dtype, model)
    if processes().is_main_process:
        facts = classification_facts(result.metrics, graph[arguments.split], "validation", about)
        if is_own(processor, graph):  # of another graph it says nothing
            keep_calibration(arguments.model, result.calibration)
        add_evaluation(arguments.model, facts, processor.graph)


def _analyze(arguments: argparse.Namespace) -> None:
    model, processor, graph = loaded_with_graph(arguments)
    about = {name: getattr(arguments, name) for name in ("model", "graph", "long_text", "dtype", "limit")}
    analysis = analyze(
        model,
        processor,
        graph,
        arguments.output,
        split=arguments.split,
        triplet=arguments.triplet,
        layer=arguments.layer,
        ranks_file=arguments.ranks,
        limit=arguments.limit,
        top_k=arguments.top_k,
        dtype=arguments.dtype,
        quiet=arguments.quiet,
        metadata=about,
    )
    if processes().is_main_process:
        names = ("accuracy", "roc_auc", "ece_sigmoid", "ece_platt", "mr", "mrr", "hits@1", "hits@10")
        print_metrics({name: analysis["metrics"].get(name) for name in names})
        print(f"open {Path(arguments.output, 'index.html')}")
        if arguments.json:
            write_results(arguments.json, **(about | analysis))


def _predict(arguments: argparse.Namespace) -> None:
    given: dict[str, Any] = {slot: getattr(arguments, slot) for slot in ("head", "relation", "tail")}
    for slot in ("head", "tail"):
        if text := getattr(arguments, f"{slot}_text"):
            if given[slot]:
                raise LassError(f"--{slot} and --{slot}_text exclude each other")
            given[slot] = {"text": text}
    if (count := sum(name is not None for name in given.values())) < 2:
        raise LassError(
            "give exactly two of --head, --relation and --tail, to be answered for the third, or all three, to have "
            f"that triplet judged; {count or 'none'} given"
        )
    if arguments.rerank and (count == 3 or given["relation"] is None):
        raise LassError("--rerank puts heads or tails in order; whole triplets, and relations, are for one model alone")
    predictor = predictor_of(arguments)
    if count == 3:
        (judged,) = predictor.classify([(given["head"], given["relation"], given["tail"])])
        report(arguments.json, judged, triplet=given)
        return
    (predictions,) = predictor.complete(
        [given], top_k=arguments.top_k, exclude_known=not arguments.include_known, quiet=arguments.quiet
    )
    if not processes().is_main_process:
        return
    may_be_known = not any(isinstance(name, dict) for name in given.values())  # new entities have no known triplets
    print_predictions(predictions)
    if arguments.rerank and len(predictions) > arguments.rerank_top_k:
        print(f"Scores of the first {arguments.rerank_top_k} are reranked; the others, with their scores, stay below.")
    if not predictions:
        print("no prediction: every candidate is known (--include_known shows them)")
    elif may_be_known and not arguments.include_known and not arguments.quiet:
        print("Predictions that the graph holds, in any split, are left out; --include_known shows and marks them.")
    if arguments.json:
        write_results(arguments.json, {}, query=given, predictions=predictions)


def _serve(arguments: argparse.Namespace) -> None:
    try:
        from ..web.server import bind, serve
    except ModuleNotFoundError as error:
        raise LassError(f'{error.name} is not installed: pip install "lass-hf[serve]"') from None
    with bind(arguments.host, arguments.port) as listener:
        serve(predictor_of(arguments), arguments.model, listener)


def _info(arguments: argparse.Namespace) -> None:
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    summary = graph.summary()
    try:
        tokenizer = LassProcessor.from_encoder(arguments.encoder).tokenizer
        store = LassProcessor(tokenizer, max_length=MEASURED_LENGTH).token_store(graph)
    except ModelError as error:
        print(f"lass-hf: no token lengths: {error}; choose a tokenizer with --encoder", file=sys.stderr)
    else:
        lengths = store.length_summary(graph["train" if "train" in graph else "test"].triplets)
        summary["tokens"] = {"of": arguments.encoder, **lengths}
    report(arguments.json, summary, graph=arguments.graph)


def _train(argv: list[str]) -> None:
    arguments, training = parse_training(argv)
    if arguments.json:
        check_writable(arguments.json)
    run = train(arguments, training)
    trainer = run.trainer
    log = trainer.state.log_history
    every = {**training.to_dict(), **asdict(arguments)}
    report(arguments.json, log[-1], task="training", **run.metadata, arguments=every, log=log)
    if trainer.is_world_process_zero():
        models = f"--model {training.output_dir}"
        if arguments.retriever:
            models = f"--model {arguments.retriever} --rerank {training.output_dir}"
        following = f"evaluate {models} --graph {arguments.graph}"
        if "test" not in trainer.train_dataset.graph:  # type: ignore[union-attr]
            following = "predict --help"
        print(f"saved {training.output_dir}; next: lass-hf {following}")


COMMANDS = {
    "evaluate": _evaluate,
    "classify": _classify,
    "analyze": _analyze,
    "predict": _predict,
    "serve": _serve,
    "info": _info,
}
