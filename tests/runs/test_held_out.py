"""Validation and test triplets that `lass-hf train` holds out of a graph without such splits."""

import numpy as np
import pytest
from helpers.command_line import content_of, run
from helpers.tiny import TRAIN, write_graph

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassPredictor, load_training_graph
from lass_hf.runs.automatic import plan_training
from lass_hf.runs.training_graph import default_validation
from lass_hf.training.recipes import TrainArguments
from lass_hf.utils.fingerprints import graph_fingerprint

COUNT = len(TRAIN)


@pytest.fixture
def plain_graph(tmp_path):
    return write_graph(tmp_path / "plain", validation=None, test=None)


@pytest.fixture
def plain_training(plain_graph, training):
    """The arguments of a short training on a graph that has training triplets only."""
    return ["--graph", plain_graph, *training[2:]]


def held_out(folder, seed=1, **sizes):
    return load_training_graph(TrainArguments(graph=str(folder), encoder="", **sizes), seed)


def test_a_training_on_plain_triplets_gives_labels_and_probabilities(plain_training, tmp_path, capsys):
    assert run("train", *plain_training[:-1], "--seed", 1) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "held out" in line]
    of = f"lass-hf: {tmp_path / 'plain'}: of {COUNT} triplets, 2 for validation were held out"
    assert said == [f"{of}; --validation 0 holds none out for it"]
    predictor = LassPredictor.from_pretrained(str(tmp_path / "out"))
    assert {len(predictor.graph[name]) for name in ("train", "validation")} == {COUNT - 2, 2}
    assert predictor.classify([("cat", "eats", "milk")])
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.calibration
    assert content_of(tmp_path / "out" / "training.json")["held_out"] == {"validation": 2}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- Seed: 1. By it, 2 for validation of the graph's training triplets were held out.\n- Length:" in card


@pytest.mark.parametrize(
    ("num_triplets", "expected"), [(3, 0), (14, 2), (152, 23), (400, 50), (2000, 100), (10**6, 2500)]
)
def test_a_small_graph_holds_a_larger_share_out(num_triplets, expected):
    assert default_validation(num_triplets) == expected


def test_what_a_note_advises_is_an_option_of_the_command(plain_graph, encoder_folder, monkeypatch, capsys):
    monkeypatch.setattr("lass_hf.runs.automatic.DEFAULT_ENCODER", encoder_folder)
    load_training_graph(TrainArguments(graph=str(plain_graph), encoder=""), 1, "lass-hf complete")
    said = capsys.readouterr().err
    assert said.endswith("2 for validation were held out; lass-hf split, before, holds out others\n")
    plan_training(["--graph", str(plain_graph), "--seed", "1"], "lass-hf complete")
    assert capsys.readouterr().err == said


def test_no_triplet_is_held_out_if_nobody_wants_it(plain_training, tmp_path, capsys):
    assert run("train", *plain_training, "--validation", 0) == 0
    assert "held out" not in capsys.readouterr().err
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.calibration is None
    record = content_of(tmp_path / "out" / "training.json")
    assert (record["choices"]["validation"], record["held_out"], record["decisions"]) == ("0", {}, {})
    assert "Decisions" not in (tmp_path / "out" / "README.md").read_text()  # of people


def test_a_raw_graph_is_trained_on_and_evaluated_in_two_commands(plain_training, tmp_path, capsys):
    assert run("train", *plain_training, "--test", "15%") == 0
    following = capsys.readouterr().out.splitlines()[-1].split("next: lass-hf ")[1]
    assert following == f"evaluate --model {tmp_path / 'out'}"
    file = tmp_path / "results.json"
    assert run(*following.split(), "--quiet", "--json", file) == 0
    content = content_of(file)
    assert (content["graph"], content["split"], content["metrics"]["num_queries"]) == ("plain", "test", 4)


def test_the_same_command_arrives_at_the_same_split(plain_graph):
    one, same, other = (held_out(plain_graph, seed, validation="3", test="3") for seed in (1, 1, 2))
    assert graph_fingerprint(one) == graph_fingerprint(same) != graph_fingerprint(other)
    assert np.array_equal(one["validation"].triplets, same["validation"].triplets)


def test_each_held_out_triplet_has_a_false_one_beside_it(plain_graph):
    graph, whole = held_out(plain_graph, validation="4"), KnowledgeGraph.from_directory(plain_graph)
    validation = graph["validation"]
    true, false = (validation.triplets[validation.labels == label] for label in (1, 0))
    assert true.shape == false.shape == (4, 3)
    assert not whole.known.contains(false).any()
    assert ((true != false).sum(axis=1) == 1).all()
    assert (true[:, 1] == false[:, 1]).all()


def test_a_graph_that_has_the_split_stays_as_it_is(graph_folder, bad_input, training):
    whole = KnowledgeGraph.from_directory(graph_folder)
    assert graph_fingerprint(held_out(graph_folder)) == graph_fingerprint(whole)
    line = bad_input("train", *training, "--validation", "5%")
    assert line == f"lass-hf: error: {graph_folder}: it has a validation split; leave out --validation"


def test_a_size_that_cannot_be_held_out_is_one_line(plain_training, plain_graph, bad_input):
    assert "'half' is not the size of a split" in bad_input("train", *plain_training, "--test", "half")
    line = bad_input("train", *plain_training, "--validation", COUNT)
    assert line.startswith(f"lass-hf: error: {plain_graph}: {COUNT} triplets to hold out of {COUNT}; expected some")


def test_a_size_from_python_may_be_a_number(plain_graph):
    for share, number in (("20%", 0.2), ("3", 3)):
        one, same = held_out(plain_graph, validation=share), held_out(plain_graph, validation=number)
        assert graph_fingerprint(one) == graph_fingerprint(same)


def test_a_graph_too_small_for_validation_is_trained_on_whole(tmp_path):
    star = write_graph(tmp_path / "star", [(f"leaf{n}", "r", "root") for n in range(12)], None, None, None)
    assert list(held_out(star).splits) == ["train"]


def test_a_model_without_its_triplets_needs_a_graph_to_be_evaluated_on(model_copy, processor, bad_input):
    processor.save_pretrained(model_copy, include_graph="vocabulary")
    line = bad_input("evaluate", "--model", model_copy)
    assert line == f"lass-hf: error: {model_copy}: the model has no triplets of its graph with it; give --graph"
    assert "--long_text needs --graph" in bad_input("evaluate", "--model", model_copy, "--long_text")
