"""Two models on the command line: what is printed, written on cards and refused; a graph that has grown."""

import json
import shutil

import numpy as np
import pytest
from helpers.command_line import run
from helpers.tiny import ENTITY_TEXT, make_model, make_processor, write_graph

from lass_hf.evaluation import evaluate_and_record
from lass_hf.hub.card_files import model_card_data, write_card
from lass_hf.scoring.triplet_scorer import TripletScorer

QUESTION = ("--head", "cat", "--relation", "eats")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, graph):
    """A retriever and a reranker, with cards."""
    folder = tmp_path_factory.mktemp("models")
    for name, architecture in (("retriever", "bi-encoder"), ("reranker", "cross-encoder")):
        model, processor = make_model(architecture=architecture), make_processor(graph, architecture=architecture)
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
        write_card(folder / name, {**model_card_data(model, processor), "training": None, "evaluations": []}, graph)
    return folder


@pytest.fixture
def models(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "models")


@pytest.fixture
def two(models):
    return ("--model", models / "retriever", "--rerank", models / "reranker")


def test_an_evaluation_of_two_models_is_printed_and_on_both_cards(two, models, graph_folder, tmp_path, capsys):
    assert run("evaluate", *two, "--graph", graph_folder, "--json", tmp_path / "a.json", "--quiet") == 0
    content, out = json.loads((tmp_path / "a.json").read_text()), capsys.readouterr().out
    assert content["command"]
    assert np.mean(1 / np.array(content["retrieval_ranks"])) == pytest.approx(content["retrieval"]["mrr"])
    assert content["top_k"] == len(ENTITY_TEXT)  # all, of a graph with fewer than 100
    assert f"retriever_weight: {content['retriever_weight']:.4g}, fitted on 6 validation queries" in out
    fusion = f"--rerank_top_k {content['top_k']} --retriever_weight {content['retriever_weight']:.4g}"
    assert f"{fusion} --head ... --relation ..." in out
    for name in ("retriever", "reranker"):
        card = (models / name / "README.md").read_text(encoding="utf-8")
        assert "### Reranked link prediction: test split" in card
        assert f"retriever ranked all candidates, and\nreranker reranked its {content['top_k']} best answers" in card
        assert f"| {content['metrics']['mr']:.3f} | {content['metrics']['mrr']:.3f} |" in card
    retrieved = content["retrieval"]
    assert f"| {retrieved['mr']:.3f} | {retrieved['mrr']:.3f} |" in (models / "retriever" / "README.md").read_text()


def test_the_next_command_predicts_as_was_measured(two, tmp_path, capsys):
    folder = write_graph(tmp_path / "a graph")
    texts = "".join(f"{name}\t{text}, in full\n" for name, text in ENTITY_TEXT.items())
    (folder / "entity2textlong.txt").write_text(texts, encoding="utf-8")
    choices = ("--evidence", "text", "--dtype", "float32", "--retriever_weight", 0.5)
    assert run("evaluate", *two, "--graph", folder, "--long_text", *choices, "--quiet") == 0
    (following,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    more = f"--retriever_weight 0.5 --evidence text --dtype float32 --graph '{folder}' --long_text"
    assert following.endswith(f"{more} --head ... --relation ...")


def test_a_given_retriever_weight_is_not_fitted(two, graph_folder, capsys):
    assert run("evaluate", *two, "--graph", graph_folder, "--retriever_weight", 0.5, "--quiet") == 0
    assert "retriever_weight: 0.5, not fitted" in capsys.readouterr().out


def test_a_graph_without_validation_wants_a_retriever_weight(two, tmp_path, bad_input):
    folder = write_graph(tmp_path / "graph", validation=[])
    assert "which the graph lacks: give a retriever_weight" in bad_input("evaluate", *two, "--graph", folder)
    assert run("evaluate", *two, "--graph", folder, "--retriever_weight", 0, "--quiet") == 0


def test_a_depth_beyond_the_entities_is_refused_before_evidence_is_loaded(two, graph_folder, monkeypatch, bad_input):
    monkeypatch.setattr(evaluate_and_record, "choose_evidence", lambda *_, **__: pytest.fail("it loads evidence"))
    line = bad_input("evaluate", *two, "--graph", graph_folder, "--rerank_top_k", 11)
    assert "top_k=11; expected 2 or more candidates to rerank, and at most all 10" in line


def test_output_names_the_scores_that_are_reranked(two, capsys):
    for depth, printed in ((2, True), (50, False)):
        assert run("predict", *two, *QUESTION, "--rerank_top_k", depth, "--top_k", 4) == 0
        assert ("Scores of the first 2 are reranked" in capsys.readouterr().out) is printed


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_retriever_and_reranker_that_are_swapped_are_refused(command, models, graph_folder, bad_input):
    more = ("--graph", graph_folder) if command == "evaluate" else QUESTION
    swapped = ("--model", models / "reranker", "--rerank", models / "retriever")
    line = bad_input(command, *swapped, *more)
    assert "a bi-encoder (it is cross-encoder), and a cross-encoder to rerank with (it is bi-encoder)" in line


def test_a_cross_encoder_as_retriever_is_refused(models, training, bad_input):
    line = bad_input("train", *training, "--retriever", models / "reranker", "--num_mined", 2)
    assert "reranker: a cross-encoder; expected a bi-encoder" in line


def test_training_a_reranker_says_how_to_measure_it(models, training, tmp_path, capsys):
    retriever = models / "retriever"
    assert run("train", *training, "--retriever", retriever, "--num_mined", 2) == 0
    assert (
        f"evaluate --model {retriever} --rerank {tmp_path / 'out'} --rerank_top_k 10 --graph" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "question", [("--head", "cat", "--tail", "milk"), ("--head", "cat", "--relation", "eats", "--tail", "milk")]
)
def test_relations_and_whole_triplets_are_not_reranked(question, two, bad_input):
    assert "--rerank puts heads or tails in order" in bad_input("predict", *two, *question)


@pytest.mark.parametrize(
    ("question", "flags", "message"),
    [
        (("--tail", "milk"), ("--evidence", "text,rules"), "--evidence ranks heads and tails"),
        (("--relation", "eats", "--tail", "milk"), ("--evidence", "rules"), "--evidence ranks heads and tails"),
        (("--relation", "eats", "--tail", "milk"), ("--include_known",), "--include_known is for predictions"),
        (("--relation", "eats", "--tail_text", "new"), ("--top_k", 10), "--top_k is for predictions"),
    ],
)
def test_choices_that_change_nothing_for_relations_and_whole_triplets(question, flags, message, bad_input):
    assert message in bad_input("predict", "--model", "nowhere", "--head", "cat", *question, *flags)


@pytest.mark.parametrize("flags", [("--rerank_top_k", 5), ("--retriever_weight", 0.0)])
def test_choices_of_an_evaluation_without_a_reranker(flags, model_folder, graph_folder, bad_input):
    line = bad_input("evaluate", "--model", model_folder, "--graph", graph_folder, *flags)
    assert "--rerank_top_k and --retriever_weight need --rerank, which is not given" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--retriever_weight", 0.5), "--rerank_top_k and --retriever_weight need --rerank"),
        (("--rerank_top_k", 5), "--rerank_top_k and --retriever_weight need --rerank"),
        (("--long_text",), "--long_text needs --graph"),
    ],
)
def test_choices_of_a_prediction_that_would_change_nothing(flags, message, model_folder, bad_input):
    assert message in bad_input("predict", "--model", model_folder, *QUESTION, *flags)


def test_predict_uses_a_graph_that_has_grown(two, tmp_path, monkeypatch):
    """The new entities of a larger graph are predicted and queried, and only they are encoded."""
    assert run("predict", *two, *QUESTION, "--quiet") == 0
    grown = write_graph(tmp_path / "grown", entity_text={**ENTITY_TEXT, "crow": "a crow"})
    asked, encode = [], TripletScorer.encode_entities
    monkeypatch.setattr(
        TripletScorer, "encode_entities", lambda *given: asked.extend(given[1].tolist()) or encode(*given)
    )
    file = tmp_path / "answers.json"
    options = ("--graph", grown, "--json", file, "--top_k", 100, "--quiet")
    assert run("predict", *two[:2], "--head", "crow", "--relation", "eats", *options) == 0
    assert run("predict", *two, *QUESTION, *options) == 0
    assert "crow" in [answer["id"] for answer in json.loads(file.read_text())["predictions"]]
    assert asked == [len(ENTITY_TEXT)]
