"""`lass-hf train --decisions`: what people decided is trained on, held out in its share, and told."""

import numpy as np
import pytest
from helpers.cards import text_of
from helpers.command_line import content_of, run
from helpers.judged import write_decisions
from helpers.tiny import ENTITY_TEXT, TRAIN, write_graph

from lass_hf import KnowledgeGraph, load_training_graph
from lass_hf.core.errors import LassError
from lass_hf.runs.automatic import plan_training
from lass_hf.runs.run import train
from lass_hf.training.recipes import TrainArguments, parse_training

ACCEPTED = [("rodent", "lives_in", "garden"), ("mouse", "eats", "milk")]
REJECTED = [(name, "eats", name) for name in ENTITY_TEXT]  # 10, none in the graph
FACT = TRAIN[3]


@pytest.fixture
def plain_graph(tmp_path):
    return write_graph(tmp_path / "plain", validation=None, test=None)


@pytest.fixture
def decisions(tmp_path):
    rows = [*((row, True) for row in ACCEPTED), *((row, False) for row in (*REJECTED, FACT)), (TRAIN[0], None)]
    return write_decisions(tmp_path, *rows)


def loaded(graph, decisions, **sizes):
    arguments = TrainArguments(graph=str(graph), encoder="", decisions=str(decisions), quiet=True, **sizes)
    return load_training_graph(arguments, 1), arguments


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_a_training_learns_from_decisions_and_tells_of_them(
    architecture, graph_folder, decisions, training, tmp_path, capsys
):
    own = ["--architecture", architecture, "--loss", "softmax", "--evidence", "text"]
    shared = training[2:] if architecture == "cross-encoder" else [*training[2:10], *training[12:]]  # no negatives
    assert run("train", "--graph", graph_folder, *shared, *own, "--decisions", decisions) == 0
    out, shown = tmp_path / "out", capsys.readouterr()
    assert shown.out.endswith(f"next: lass-hf evaluate --model {out}\n")
    assert "decisions.tsv:" not in shown.err  # the training is quiet
    record = content_of(out / "training.json")
    assert len(record["decisions"].pop("fingerprint")) == 32
    assert record["decisions"] == {"file": "decisions.tsv", "accepted": 2, "rejected": 11, "unsure": 1}
    told = "2 accepted, which count as true triplets, and 11 rejected, which count as false ones."
    assert f"\n- Decisions of people (decisions.tsv): {told}\n" in text_of(out)
    kept = KnowledgeGraph.from_files(out / "vocabulary.json", out / "known_triplets.safetensors")
    assert len(kept["train"]) == len(TRAIN) + 1


def test_what_decisions_change_is_said_and_false_triplets_are_counted_apart(
    plain_graph, decisions, encoder_folder, monkeypatch, capsys
):
    monkeypatch.setattr("lass_hf.runs.automatic.DEFAULT_ENCODER", encoder_folder)
    plan = plan_training(["--graph", str(plain_graph), "--decisions", str(decisions), "--validation", "0"])
    counted = f"{decisions}: 2 accepted, 11 rejected, 1 unsure"
    changed = "2 join the training triplets; false triplets there are 1 of the graph's facts and 10 others"
    assert f"lass-hf: {counted}; {changed}\n" in capsys.readouterr().err
    reason = plan.settings.reasons["per_device_train_batch_size"]
    assert reason == f"positives; there are {len(TRAIN) + 1} true and 11 false training triplets"


def test_decisions_are_held_out_in_their_share_beside_random_false_triplets(plain_graph, decisions):
    graph, arguments = loaded(plain_graph, decisions, validation="40%")
    train_split, validation = graph["train"], graph["validation"]
    decided = len(REJECTED) + 1
    false = [int((split.labels == 0).sum()) for split in (train_split, validation)]
    true = len(validation.positives)
    assert len(train_split.positives) + true == len(TRAIN) + 1
    assert sum(false) == decided + true  # a random one for each true one
    assert decided > false[0] > 0
    known = graph.known
    assert not known.contains(validation.triplets[validation.labels == 0]).any()
    assert arguments.held_out == {"validation": true}


def test_a_validation_split_of_the_graph_stays_as_it_is(graph_folder, decisions):
    whole = KnowledgeGraph.from_directory(graph_folder)
    graph, _ = loaded(graph_folder, decisions)
    for name in ("validation", "test"):
        assert np.array_equal(graph[name].triplets, whole[name].triplets)
        assert graph[name].labels is None
    assert (graph["train"].labels == 0).sum() == len(REJECTED) + 1


def test_a_recipe_may_name_the_decisions(plain_graph, decisions, tmp_path):
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"graph: {plain_graph}\nencoder: x\ndecisions: {decisions}\n", encoding="utf-8")
    assert parse_training([str(recipe)])[0].decisions == [str(decisions)]
    recipe.write_text(f"graph: {plain_graph}\nencoder: x\ndecisions: [a.tsv, b.tsv]\n", encoding="utf-8")
    assert parse_training([str(recipe)])[0].decisions == ["a.tsv", "b.tsv"]


def test_two_lists_are_brought_back_in_one_training(graph_folder, training, tmp_path, capsys):
    files = [
        write_decisions(tmp_path, (row, label), name=name)
        for row, label, name in ((ACCEPTED[0], True, "links.tsv"), (FACT, False, "facts.tsv"))
    ]
    assert run("train", "--graph", graph_folder, *training[2:], "--decisions", *files) == 0
    out = tmp_path / "out"
    record = content_of(out / "training.json")
    assert record["decisions"]["file"] == "links.tsv, facts.tsv"
    assert (record["decisions"]["accepted"], record["decisions"]["rejected"]) == (1, 1)
    assert record["choices"]["decisions"] == [str(file) for file in files]
    card = text_of(out)
    assert "Decisions of people (links.tsv, facts.tsv): 1 accepted" in card
    assert str(tmp_path) not in card


def test_a_graph_of_ones_own_is_not_taken_for_one_with_the_decisions(graph, decisions, training):
    arguments, choices = parse_training([*map(str, training), "--decisions", str(decisions)])
    with pytest.raises(LassError, match="a graph of load_training_graph"):
        train(arguments, choices, graph)


def test_a_file_that_does_not_fit_ends_the_command_in_one_line(bad_input, training, tmp_path):
    said = bad_input("train", *training, "--decisions", tmp_path / "none.tsv")
    assert "none.tsv" in said
    file = write_decisions(tmp_path, (("cat", "eats", "ham"), True))
    said = bad_input("train", *training, "--decisions", file)
    assert f"{file}, line 2: tail: 'ham' is not an id or text" in said
