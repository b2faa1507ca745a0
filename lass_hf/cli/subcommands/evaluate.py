"""`lass-hf evaluate`: link and relation prediction by a model, by two, or by evidence of the graph alone."""

import argparse
from typing import TYPE_CHECKING

from ...core.errors import LassError
from ..options import (
    RANKING_WEIGHTS,
    add_graph,
    add_model,
    add_output,
    add_split,
    not_negative,
    positive,
    repeat_options,
    weight,
    write_options,
)

if TYPE_CHECKING:
    from ...core.modeling_lass import LassForKGCompletion
    from ...evaluation.reranking import RerankingResult

HELP = "link prediction, filtered"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf evaluate`."""
    add_model(parser, required=False)
    add_graph(parser, required=False)
    add_split(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="rank a seeded choice of N triplets")
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of that choice (default: %(default)s)")
    parser.add_argument(
        "--evidence",
        default="auto",
        metavar="KINDS",
        help="what ranks heads and tails: auto (all evidence that the model has), text (the model alone), or some of "
        "text, neighbors, frequency, rules, vectors, with commas; without --model they are found in the graph",
    )
    parser.add_argument("--ablate", action="store_true", help="also rank by each kind of evidence alone and without it")
    parser.add_argument("--relations", action="store_true", help="rank relations instead of heads and tails")
    for name in RANKING_WEIGHTS:
        parser.add_argument(f"--{name}", type=weight, help="rank by this weight, not by the model's own (bi-encoder)")
    parser.add_argument("--keep_weights", action="store_true", help="make these weights the model's own")
    parser.add_argument("--rerank", metavar="DIR_OR_NAME", help="cross-encoder that reranks the best candidates")
    parser.add_argument("--rerank_top_k", type=positive, help="number of candidates to rerank (default: 100, or all)")
    parser.add_argument(
        "--retriever_weight", type=weight, help="weight of the first model's score (default: fitted on validation)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Ranks the triplets of a split; with `--keep_weights` the given weights become the model's own."""
    if arguments.rerank and arguments.relations:
        raise LassError("--rerank and --relations exclude each other: only heads and tails are reranked")
    if not arguments.rerank and (arguments.rerank_top_k or arguments.retriever_weight is not None):
        raise LassError("--rerank_top_k and --retriever_weight need --rerank, which is not given")
    _check_evidence(arguments)
    from ...evaluation.evaluate_and_record import Reranker, evaluate_and_record, has_graph
    from ...evaluation.reranking import RerankingResult
    from ...graphs.loading import load_graph
    from ...hub.card_files import keep_ranking_weights
    from ...utils.distributed import processes
    from ...utils.result_files import read_training
    from ..loading import load, load_with_graph, set_ranking_weights

    if arguments.model is None:
        graph = load_graph(arguments.graph, long_text=arguments.long_text)
        model, processor, weights = None, None, {}
    else:
        model, processor, graph = load_with_graph(arguments)
        _check_ranking_weights(arguments, model)
        weights = set_ranking_weights(model, arguments)
    reranker = None
    if arguments.rerank:
        reranker = Reranker(
            arguments.rerank,
            *load(arguments.rerank),
            top_k=arguments.rerank_top_k,
            retriever_weight=arguments.retriever_weight,
        )
    is_own = arguments.keep_weights or not weights  # else the model on disk ranks by other weights
    result = evaluate_and_record(
        "relation_prediction" if arguments.relations else "link_prediction",
        model,
        processor,
        graph,
        folder=arguments.model,
        graph_name=arguments.graph or (read_training(arguments.model) or {}).get("graph") or arguments.model,
        file=arguments.json,
        split=arguments.split,
        limit=arguments.limit,
        seed=arguments.seed,
        dtype=arguments.dtype,
        quiet=arguments.quiet,
        reranker=reranker,
        on_card=is_own,
        evidence="text" if arguments.relations else arguments.evidence,
        with_ablation=arguments.ablate,
    )
    if processor is None or not processes().is_main_process:
        return
    if arguments.keep_weights:
        keep_ranking_weights(arguments.model, weights, processor.graph)
        kept = ", ".join(f"{name}={value}" for name, value in weights.items())
        print(f"{arguments.model}: {kept or 'the weights that it had'}, kept for all later rankings")
    if isinstance(result, RerankingResult):
        _print_stages(result)
        if is_own:
            models = write_options(model=arguments.model, rerank=arguments.rerank, rerank_top_k=result.top_k)
            fusion = f" --retriever_weight {result.retriever_weight:.4g}"
            changed = ("evidence", "dtype", *(() if has_graph(processor, graph) else ("graph", "long_text")))
            more = repeat_options(arguments, *changed)
            print(f"next: lass-hf predict{models}{fusion}{more} --head ... --relation ...")


def _check_evidence(arguments: argparse.Namespace) -> None:
    """Raises LassError for options that exclude `--evidence`, `--ablate` or a call without `--model`."""
    if arguments.model is None:
        needed = {"--graph": arguments.graph, "--evidence": arguments.evidence not in ("auto", "text")}
        if missing := [name for name, given in needed.items() if not given]:
            raise LassError(f"neither --model nor {missing[0]}: give a model, or a graph and --evidence rules,vectors")
        of_model = ["dtype", "rerank", "relations", "keep_weights", *RANKING_WEIGHTS]
        nothing = {"dtype": "auto", "relations": False, "keep_weights": False}
        if given := [name for name in of_model if getattr(arguments, name) != nothing.get(name)]:
            raise LassError(f"--{given[0]} needs --model, which is not given")
    if arguments.relations and (arguments.ablate or arguments.evidence not in ("auto", "text")):
        raise LassError("--relations and --evidence or --ablate exclude each other: evidence ranks heads and tails")
    if arguments.ablate and (arguments.rerank or arguments.evidence == "text"):
        raise LassError("--ablate compares kinds of evidence: it needs --evidence other than text, and no --rerank")


def _check_ranking_weights(arguments: argparse.Namespace, model: "LassForKGCompletion") -> None:
    """Raises LassError for weights of a ranking by text alone where all evidence ranks, with weights of its own."""
    from ...evidence.choosing import find_own_evidence

    given = [name for name in (*RANKING_WEIGHTS, "keep_weights") if getattr(arguments, name) not in (None, False)]
    if not given or arguments.relations or arguments.evidence == "text":
        return
    if arguments.evidence != "auto" or find_own_evidence(model) is not None:
        raise LassError(
            f"--{given[0]} is for rankings by text alone, and {arguments.model} is ranked by evidence, which has "
            "weights of its own: add --evidence text"
        )


def _print_stages(result: "RerankingResult") -> None:
    """Prints the stages of a reranking with the tokens and seconds that each of them took."""

    def spent(stage: str) -> str:
        return f"{result.tokens[stage]:,} tokens, {result.seconds[stage]:.1f} s"

    found = "" if result.tokens["indexing"] else "; the vectors were there"
    print(f"indexing: {spent('indexing')}{found}")
    fitted = f"fitted on {result.num_fitted} validation queries ({spent('fitting')})"
    print(f"retriever_weight: {result.retriever_weight:.4g}, {fitted if result.num_fitted else 'not fitted'}")
    for name, ranked in (("retrieval", result.retrieval), ("reranking", result.reranked)):
        values = "  ".join(f"{key} {ranked.metrics[key]:.4f}" for key in ("mr", "mrr", "hits@1", "hits@3", "hits@10"))
        print(f"{name}: {values}  ({spent(name)})")
    num_queries = result.reranked.metrics["num_queries"]
    print(f"recall@{result.top_k} {result.recall:.4f}: {result.num_reranked} of {num_queries} queries reranked")
