"""The arguments of `lass-hf`'s subcommands. It runs none; those of `train` are made from dataclasses, elsewhere."""

import argparse

from ..core.choices import ModelChoices, choice_names
from ..core.encoders import OFFLINE_ENCODER
from ..scoring.triplet_scorer import DTYPES
from ..utils.arguments import Parser
from ..version import __version__

SERVE = "a page to ask a model, and the same as JSON"


def make_parser() -> Parser:
    """The program's parser; the parsed `command` says which subcommand was asked for."""
    parser = Parser(prog="lass-hf", description="Knowledge graph completion with language models.")
    parser.add_argument("--version", action="version", version=f"lass-hf {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    commands.add_parser("train", help="train a model on a graph")
    quiet = Parser(add_help=False)
    quiet.add_argument("--quiet", action="store_true", help="no progress bars, errors only")
    common = Parser(add_help=False, parents=[quiet])
    common.add_argument("--json", metavar="FILE", help="write the results to this file")
    graph, own_graph = Parser(add_help=False), Parser(add_help=False)
    for of_graph, default in ((graph, ""), (own_graph, " (default: the one that the model has)")):
        names = f"folder of the graph, or a name: countries, umls, wn18rr, fb15k-237, wn11, fb13{default}"
        of_graph.add_argument("--graph", required=not default, metavar="DIR_OR_NAME", help=names)
        of_graph.add_argument("--long_text", action="store_true", help="texts from entity2textlong.txt")
    model = Parser(add_help=False)
    model.add_argument("--model", required=True, metavar="DIR_OR_NAME", help="trained LASS model")
    model.add_argument("--dtype", choices=DTYPES, default="auto", help="precision of scoring")
    rerank = Parser(add_help=False)
    rerank.add_argument("--rerank", metavar="DIR_OR_NAME", help="cross-encoder that puts the best answers in order")
    rerank.add_argument(
        "--rerank_top_k", type=_positive, default=100, help="how many answers it puts in order (default: %(default)s)"
    )
    rerank.add_argument("--retriever_weight", type=_weight, default=0.0, help="weight of the first model's score")

    def add(name: str, parents: list[Parser], text: str) -> Parser:
        return commands.add_parser(name, parents=[*parents, common], help=text, description=text)

    _add_evaluation_choices(add("evaluate", [model, graph], "link prediction, filtered"))
    classify = add("classify", [model, graph], "true or false, by a threshold from the validation split")
    classify.add_argument("--split", default="test")
    analysis = add("analyze", [model, graph], "errors and attention of a split, as pages, plots and numbers")
    analysis.add_argument("--output", required=True, metavar="DIR", help="folder to write into")
    analysis.add_argument("--split", default="test")
    analysis.add_argument("--triplet", nargs=3, metavar=("HEAD", "RELATION", "TAIL"), help="whose attention to show")
    analysis.add_argument(
        "--layer", type=_positive, metavar="N", help="of the attention; 1 is the first (default: last)"
    )
    analysis.add_argument("--ranks", metavar="FILE", help="--json file of lass-hf evaluate: do not rank again")
    analysis.add_argument("--limit", type=_positive, metavar="N", help="rank a seeded choice of N triplets")
    analysis.add_argument("--top_k", type=_positive, default=10, help="length of each list of examples")
    predict = add("predict", [model, own_graph, rerank], "answers for the slot not given, or a triplet judged")
    for slot in ("head", "relation", "tail"):
        predict.add_argument(f"--{slot}", help="by id or text")
    for slot in ("head", "tail"):
        predict.add_argument(f"--{slot}_text", metavar="TEXT", help="an entity that is new to the graph")
    predict.add_argument("--top_k", type=_positive, default=10)
    predict.add_argument("--include_known", action="store_true", help="also answers that the graph holds, marked")
    serve = commands.add_parser("serve", parents=[model, own_graph, rerank, quiet], help=SERVE, description=SERVE)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    serve.add_argument("--port", type=_port, default=8000, help="(default: %(default)s; 0: any that is free)")
    serve.set_defaults(json=None)
    info = add("info", [graph], "counts, token lengths, data_quality of a graph")
    info.add_argument("--encoder", default=OFFLINE_ENCODER, help="whose tokenizer measures the texts")
    return parser


def _add_evaluation_choices(evaluate: Parser) -> None:
    evaluate.add_argument("--split", default="test")
    evaluate.add_argument("--limit", type=_positive, metavar="N", help="a seeded choice of N triplets")
    evaluate.add_argument("--seed", type=_not_negative, default=42, help="of that choice")
    evaluate.add_argument("--relations", action="store_true", help="rank relations instead of heads and tails")
    for name in choice_names(ModelChoices, affects="ranking"):
        evaluate.add_argument(f"--{name}", type=_weight, help="instead of the model's own (the bi-encoder)")
    evaluate.add_argument("--keep_weights", action="store_true", help="make these weights the model's own")
    evaluate.add_argument("--rerank", metavar="DIR_OR_NAME", help="cross-encoder that puts the best answers in order")
    evaluate.add_argument("--top_k", type=_positive, help="how many answers it puts in order (default: 100, or all)")
    evaluate.add_argument(
        "--retriever_weight", type=_weight, help="weight of the first model's score (default: fitted on validation)"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _not_negative(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _port(text: str) -> int:
    if (number := _not_negative(text)) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535")
    return number


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value
