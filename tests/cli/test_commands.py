"""The command line, called in-process: what evaluate, classify, predict and info print and write; help."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.command_line import SUBCOMMANDS, content_of, run
from helpers.tiny import ENTITY_TEXT, TEST, TRAIN, VALIDATION, make_model, wordpiece_tokenizer, write_graph

import lass_hf
from lass_hf import (
    KnowledgeGraph,
    LassPredictor,
    LassProcessor,
    evaluate_link_prediction,
)

# evaluate, classify, predict, info


def test_evaluate_prints_and_writes_the_metrics(model_folder, graph_folder, tmp_path, capsys):
    file = tmp_path / "evaluate.json"
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--quiet", "--json", file) == 0
    graph = KnowledgeGraph.from_directory(graph_folder)
    processor = LassProcessor.from_pretrained(model_folder)
    expected = evaluate_link_prediction(make_model(), processor, graph, quiet=True)
    content = content_of(file)
    assert content["metrics"] == expected.metrics
    assert content["ranks"] == expected.ranks.tolist()
    assert content["num_processes"] == 1
    assert (content["split"], content["limit"]) == ("test", None)
    assert f"{expected.metrics['mrr']:.4f}" in capsys.readouterr().out


def test_evaluate_takes_a_split_a_limit_and_a_dtype(model_folder, graph_folder, tmp_path):
    file = tmp_path / "evaluate.json"
    choices = ["--split", "train", "--limit", 4, "--seed", 3, "--dtype", "float32", "--quiet", "--json", file]
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, *choices) == 0
    graph, processor = KnowledgeGraph.from_directory(graph_folder), LassProcessor.from_pretrained(model_folder)
    expected = evaluate_link_prediction(
        make_model(), processor, graph, split="train", limit=4, seed=3, dtype="float32", quiet=True
    )
    assert content_of(file)["metrics"] == expected.metrics
    assert content_of(file)["metrics"]["num_triplets"] == 4


@pytest.mark.parametrize("name", ["dev", "valid", "validation"])
def test_the_validation_split_has_the_names_of_its_files_too(model_folder, graph_folder, tmp_path, name):
    file = tmp_path / "evaluate.json"
    choices = ["--split", name, "--quiet", "--json", file]
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, *choices) == 0
    assert content_of(file)["split"] == "validation"


def test_evaluate_ranks_relations_when_asked_to(model_folder, graph_folder, tmp_path):
    file = tmp_path / "evaluate.json"
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--relations", "--json", file) == 0
    assert content_of(file)["metrics"]["num_queries"] == len(TEST)


def test_evaluate_shows_progress_unless_quiet(model_folder, graph_folder, capsys):
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder) == 0
    assert "ranking heads" in capsys.readouterr().err
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_evaluate_warns_of_other_texts_than_in_training(model_folder, tmp_path, capsys):
    folder = write_graph(tmp_path / "other", entity_text={**ENTITY_TEXT, "cat": "a feline", "dog": "a canine"})
    assert run("evaluate", "--model", model_folder, "--graph", folder, "--quiet") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "warning: 2 entities have other texts" in line


def test_classify_prints_and_writes_the_accuracy(model_folder, labeled_folder, tmp_path, capsys):
    file = tmp_path / "classify.json"
    assert run("classify", "--model", model_folder, "--graph", labeled_folder, "--quiet", "--json", file) == 0
    content = content_of(file)
    predictions = np.array(content["scores"]) > content["threshold"]
    labels = KnowledgeGraph.from_directory(labeled_folder)["test"].labels == 1
    assert content["metrics"]["accuracy"] == pytest.approx((predictions == labels).mean())
    assert content["num_processes"] == 1
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "question",
    [
        {"head": "cat", "relation": "eats"},
        {"relation": "eats", "tail": "food"},
        {"head": "cat", "tail": "food"},
    ],
    ids=["tail", "head", "relation"],
)
def test_predict_prints_and_writes_predictions(question, model_folder, tmp_path, capsys):
    file = tmp_path / "answers" / "predict.json"
    flags = [part for slot, name in question.items() for part in (f"--{slot}", name)]
    assert run("predict", "--model", model_folder, *flags, "--top_k", 3, "--quiet", "--json", file) == 0
    (expected,) = LassPredictor.from_pretrained(model_folder).complete([question], top_k=3)
    content = content_of(file)
    assert content["query"] == {"head": None, "relation": None, "tail": None} | question
    assert content["predictions"] == expected
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(expected)
    assert all(row["id"] in line and row["text"] in line for row, line in zip(expected, lines, strict=True))


@pytest.fixture
def calibrated_folder(tmp_path, processor):
    """A saved model with a threshold and a Platt scaling."""
    model = make_model()
    model.config.calibration = {"threshold": 0.0, "slope": 0.5, "intercept": 0.25}
    model.save_pretrained(tmp_path / "calibrated")
    processor.save_pretrained(tmp_path / "calibrated")
    return tmp_path / "calibrated"


@pytest.mark.parametrize("fitted", [False, True])
def test_predict_judges_a_whole_triplet(fitted, processor, calibrated_folder, tmp_path, capsys):
    file, folder = tmp_path / "judged.json", calibrated_folder
    if not fitted:
        make_model().save_pretrained(folder)
    triplet = ["--head", "cat", "--relation", "eats", "--tail", "milk"]
    assert run("predict", "--model", folder, *triplet, "--quiet", "--json", file) == 0
    (expected,) = LassPredictor.from_pretrained(str(folder)).classify([("cat", "eats", "milk")])
    assert content_of(file)["metrics"] == expected
    assert ("probability" in expected) == fitted
    out = capsys.readouterr().out
    assert f"{expected['score']:.4f}" in out
    assert "known" in out
    assert not fitted or f"{expected['probability']:.4f}" in out


def test_predict_shows_label_and_probability_where_they_are_fitted(calibrated_folder, tmp_path, capsys):
    file = tmp_path / "answers.json"
    question = ["--head", "cat", "--relation", "eats", "--top_k", 2, "--quiet", "--json", file]
    assert run("predict", "--model", calibrated_folder, *question) == 0
    lines, answers = capsys.readouterr().out.splitlines(), content_of(file)["predictions"]
    predictor = LassPredictor.from_pretrained(str(calibrated_folder))
    for line, answer in zip(lines, answers, strict=True):
        (judged,) = predictor.classify([("cat", "eats", answer["id"])])
        assert answer["label"] == judged["label"]
        assert answer["probability"] == pytest.approx(judged["probability"], abs=1e-6)
        assert f"{answer['label']} {answer['probability']:.4f}" in line


def test_predict_leaves_known_answers_out_unless_asked(model_folder, capsys):
    question = ["predict", "--model", model_folder, "--head", "cat", "--relation", "eats", "--top_k", 20, "--quiet"]
    assert run(*question) == 0
    assert "(known)" not in capsys.readouterr().out
    assert run(*question, "--include_known") == 0
    assert capsys.readouterr().out.count("(known)") == 3


def test_predict_takes_an_entity_that_is_new_to_the_graph(model_folder, tmp_path):
    file = tmp_path / "predict.json"
    question = ["--head_text", "lion, a large cat", "--relation", "eats", "--top_k", 2, "--json", file]
    assert run("predict", "--model", model_folder, *question) == 0
    expected = LassPredictor.from_pretrained(model_folder).predict(
        head={"text": "lion, a large cat"}, relation="eats", top_k=2
    )
    assert [answer["id"] for answer in content_of(file)["predictions"]] == [answer.id for answer in expected]


def test_predict_says_when_every_answer_is_known(tmp_path, capsys):
    processor = LassProcessor(wordpiece_tokenizer())
    processor.graph = KnowledgeGraph.from_triplets([("a", "r", "a"), ("a", "r", "b")])
    make_model().save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    assert run("predict", "--model", tmp_path / "model", "--head", "a", "--relation", "r", "--quiet") == 0
    assert "no prediction" in capsys.readouterr().out


def test_info_prints_and_writes_counts_and_token_lengths(graph_folder, encoder_folder, tmp_path, capsys):
    file = tmp_path / "info.json"
    assert run("info", "--graph", graph_folder, "--encoder", encoder_folder, "--quiet", "--json", file) == 0
    metrics = content_of(file)["metrics"]
    assert (metrics["entities"], metrics["relations"]) == (10, 3)
    assert {name: split["triplets"] for name, split in metrics["splits"].items()} == {
        "train": len(TRAIN),
        "validation": len(VALIDATION),
        "test": len(TEST),
    }
    assert metrics["tokens"]["sequence"]["max"] > metrics["tokens"]["entity_text"]["max"] > 0
    assert metrics["tokens"]["entities_with_same_tokens"] == 0
    out = capsys.readouterr().out
    assert "entities of test that train does not have" in out
    assert "tokens:" in out


def test_info_counts_entities_that_the_tokenizer_cannot_tell_apart(encoder_folder, tmp_path):
    """Two texts are unknown tokens, and two differ behind the 64 tokens that the tokenizer reads."""
    texts = {"a": "\u732b", "b": "\u72d7", "c": "cat " * 70, "d": "cat " * 69 + "dog", "e": "cat"}
    folder = write_graph(
        tmp_path / "graph", [("a", "is_a", "b"), ("c", "is_a", "d"), ("e", "is_a", "e")], None, None, texts
    )
    assert run("info", "--graph", folder, "--encoder", encoder_folder, "--json", tmp_path / "info.json") == 0
    tokens = content_of(tmp_path / "info.json")["metrics"]["tokens"]
    assert (tokens["entities_with_same_tokens"], tokens["entities_example"]) == (4, "'a' and 'b'")
    assert (tokens["relations_with_same_tokens"], tokens["relations_example"]) == (0, None)
    assert tokens["entity_text"]["max"] == 70


def test_info_without_an_encoder_counts_and_measures_no_tokens(graph_folder, tmp_path, capsys):
    assert run("info", "--graph", graph_folder, "--json", tmp_path / "info.json") == 0
    assert "--encoder" in capsys.readouterr().out
    metrics = content_of(tmp_path / "info.json")["metrics"]
    assert metrics["entities"] == 10
    assert "tokens" not in metrics


def test_info_with_an_encoder_that_does_not_exist_is_one_line(graph_folder, tmp_path, bad_input):
    assert "nothing" in bad_input("info", "--graph", graph_folder, "--encoder", tmp_path / "nothing")


def test_info_knows_the_package_s_own_graph(encoder_folder, capsys):
    assert run("info", "--graph", "countries", "--encoder", encoder_folder, "--quiet") == 0
    assert "has a border with" in capsys.readouterr().out


# Help, version


@pytest.mark.parametrize("command", [[], *([name] for name in SUBCOMMANDS), ["serve"]], ids=" ".join)
def test_help_exits_0(command, capsys):
    assert run(*command, "--help") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: lass-hf")
    assert captured.err == ""


def test_help_names_every_subcommand(capsys):
    run("--help")
    out = capsys.readouterr().out
    assert all(name in out for name in [*SUBCOMMANDS, "serve"])


def test_help_of_train_names_its_own_arguments_and_the_trainers(capsys):
    run("train", "--help")
    out = capsys.readouterr().out
    names = ("RECIPE", "--graph", "--encoder", "--output_dir", "--preset", "--learning_rate", "--num_negatives")
    assert all(name in out for name in (*names, "--quiet", "--json"))


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_of_every_subcommand_has_quiet_and_json(command, capsys):
    run(command, "--help")
    out = capsys.readouterr().out
    assert "--quiet" in out
    assert "--json" in out


def test_version_in_process(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"lass-hf {lass_hf.__version__}"


def test_module_runs_as_a_program_and_its_error_is_one_line(encoder_folder, graph_folder):
    """In a process of its own, where nothing that libraries write to standard error is lost."""
    program = [sys.executable, "-m", "lass_hf.cli"]
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=120, check=False)
    assert (version.returncode, version.stdout.strip()) == (0, f"lass-hf {lass_hf.__version__}")
    command = ["evaluate", "--model", encoder_folder, "--graph", str(graph_folder)]
    failed = subprocess.run([*program, *command], capture_output=True, text=True, timeout=120, check=False)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert "from_encoder" in line
