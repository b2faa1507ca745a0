"""`lass-hf evaluate` with weights of a ranking that are not the model's own, and making them its own."""

import json
import shutil

import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.command_line import run

from lass_hf import LassForKGCompletion, evaluate_link_prediction
from lass_hf.hub.card_files import model_card_data, write_card
from lass_hf.utils.result_files import read_results
from lass_hf.utils.saved_config import keep_in_config

WEIGHTS = {"neighbor_weight": 0.4, "frequency_weight": 0.7}
FLAGS = [part for name, weight in WEIGHTS.items() for part in (f"--{name}", weight)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory, graph):
    folder = tmp_path_factory.mktemp("saved")
    model, processor = bi_encoder_model(neighbor_weight=0.1), bi_encoder_processor(graph)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    write_card(folder, {**model_card_data(model, processor), "training": None, "evaluations": []}, graph)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def asked(folder, graph_folder, tmp_path):
    return ("evaluate", "--model", folder, "--graph", graph_folder, "--json", tmp_path / "found.json", "--quiet")


@pytest.fixture
def expected(graph):
    return evaluate_link_prediction(bi_encoder_model(**WEIGHTS), bi_encoder_processor(graph), graph, quiet=True)


def test_other_weights_are_tried_and_the_model_keeps_its_own(asked, folder, expected, tmp_path):
    files = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(*asked, *FLAGS) == 0
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["ranks"] == expected.ranks.tolist()
    assert content["ranking_weights"] == WEIGHTS
    assert {path: path.read_bytes() for path in folder.iterdir() if path in files} == files


def test_weights_that_are_kept_are_the_models_own_and_its_cards(asked, folder, expected, tmp_path):
    assert run(*asked, "--split", "validation") == 0  # its figure is of the weights before
    assert "validation split" in (folder / "README.md").read_text()
    assert run(*asked, *FLAGS, "--keep_weights") == 0
    config = LassForKGCompletion.from_pretrained(folder).config
    assert {name: getattr(config, name) for name in WEIGHTS} == WEIGHTS
    card = (folder / "README.md").read_text()
    assert "0.4 times the mean vector" in card
    assert "0.7 · log(1 + n)" in card
    assert f"| {expected.metrics['mr']:.3f} | {expected.metrics['mrr']:.3f} |" in card
    assert "validation split" not in card
    assert run(*asked) == 0
    assert json.loads((tmp_path / "found.json").read_text())["ranks"] == expected.ranks.tolist()


def test_a_given_weight_that_is_the_models_own_is_no_other(asked, folder):
    own = ("--neighbor_weight", 0.1)
    assert run(*asked, *own) == 0
    assert "test split" in (folder / "README.md").read_text()
    assert run(*asked, *own, "--split", "validation", "--keep_weights") == 0
    card = (folder / "README.md").read_text()
    assert "test split" in card
    assert "validation split" in card


def test_a_card_shows_no_figures_of_other_weights(asked, folder):
    """However the configuration came to have others; when it has the old ones again, their figures are there, too."""
    assert run(*asked) == 0
    for weight in (0.6, 0.1):
        keep_in_config(folder, neighbor_weight=weight)
        assert run(*asked, "--split", "validation") == 0
        assert ("test split" in (folder / "README.md").read_text()) == (weight == 0.1)
    assert (folder / "README.md").read_text().count("validation split") == 1


def test_the_training_table_leaves_weights_to_the_text(graph_folder, encoder_folder, tmp_path):
    """They can be others by now; a results file of the model names those that rank, as a change of the recipe."""
    out = tmp_path / "out"
    choices = {
        "architecture": "bi-encoder",
        "loss": "softmax",
        "neighbor_weight": 0.3,
        "max_steps": 1,
        "report_to": "none",
    }
    flags = [part for name, value in choices.items() for part in (f"--{name}", value)]
    given = ("--graph", graph_folder, "--encoder", encoder_folder, "--output_dir", out, "--quiet")
    assert run("train", *given, *flags) == 0
    evaluate = ("evaluate", "--model", out, "--graph", graph_folder, "--quiet", "--split", "validation")
    assert run(*evaluate, "--neighbor_weight", 0.5, "--keep_weights") == 0
    card = (out / "README.md").read_text()
    assert "In rankings, 0.5 times the mean vector" in card
    assert "`neighbor_weight` |" not in card
    file = out / "link_prediction.json"
    assert run(*evaluate, "--json", file) == 0
    content = read_results(file)
    assert content["ranking_weights"] == {"neighbor_weight": 0.5, "frequency_weight": 0.0}
    assert content["training"]["choices"]["neighbor_weight"] == 0.3  # what it was trained with


@pytest.mark.parametrize("other", [False, True])
def test_reranking_by_weights_that_are_only_tried_says_nothing_of_predict(other, asked, folder, model_folder, capsys):
    flags = ("--neighbor_weight", 0.5) if other else ()
    loud = [part for part in asked if part != "--quiet"]
    assert run(*loud, "--rerank", model_folder, "--rerank_top_k", 5, "--retriever_weight", 1, *flags) == 0
    assert ("next: lass-hf predict" in capsys.readouterr().out) == (not other)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--keep_weights",), "--keep_weights needs --neighbor_weight and --frequency_weight; none is given"),
        (("--frequency_weight", "1", "--relations"), "--frequency_weight is for heads and tails"),
        (("--frequency_weight", "-1"), "'-1' is not a number of 0 or more"),
    ],
)
def test_weights_that_are_refused(flags, message, asked, bad_input):
    assert message in bad_input(*asked, *flags)


def test_a_cross_encoder_has_no_such_weights(model_folder, graph_folder, bad_input):
    asked = ("evaluate", "--model", model_folder, "--graph", graph_folder, "--neighbor_weight", "0.3")
    assert "--neighbor_weight is for heads and tails, and for bi-encoders" in bad_input(*asked)


def test_a_folder_that_cannot_be_written_keeps_nothing(asked, folder, monkeypatch, bad_input):
    monkeypatch.setattr("lass_hf.cli.loading.os.access", lambda path, mode: str(path) != str(folder))
    assert "is not a folder that can be written" in bad_input(*asked, *FLAGS, "--keep_weights")
