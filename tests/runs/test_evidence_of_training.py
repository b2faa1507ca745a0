"""A training ends with evidence: when, for which graphs and models, what is recorded, and what stays as it is."""

import numpy as np
import pytest
from helpers.command_line import content_of, run
from helpers.tiny import TRAIN
from helpers.trainings import trainer_of

from lass_hf import (
    KnowledgeGraph,
    LassError,
    LassForKGCompletion,
    TrainArguments,
    collect_run_metadata,
    train_and_record,
)
from lass_hf.evidence.building import LEAST_FACTS, find_lack_of_structure
from lass_hf.evidence.evidence_files import load_evidence
from lass_hf.evidence.fused_evidence import facts_fingerprint

SOME = ("--evidence", "text,frequency")
BI_ENCODER = ("--architecture", "bi-encoder", "--loss", "softmax")


@pytest.fixture
def bi_encoder_training(training):
    position = training.index("--num_negatives")
    return [*training[:position], *training[position + 2 :], *BI_ENCODER]


def test_evidence_is_added_to_the_saved_model_and_recorded(training, tmp_path, capsys):
    assert run("train", *[one for one in training if one != "--quiet"], *SOME) == 0
    assert "share of each kind: text" in capsys.readouterr().out
    model = LassForKGCompletion.from_pretrained(tmp_path / "out")
    evidence = load_evidence(tmp_path / "out" / "evidence", model)  # of this very model
    assert evidence.kinds == ("text", "frequency")
    recorded = content_of(tmp_path / "out" / "training.json")["evidence"]
    assert recorded["kinds"] == ["text", "frequency"]
    assert recorded["shares"] == evidence.fusion.shares
    assert recorded["fitted_on"] == {"split": "validation", "seed": 42, "num_queries": 6}
    assert recorded["seconds"]["fit"] > 0


def test_the_trained_model_is_the_same_without_evidence_and_that_of_an_earlier_model_is_removed(training, tmp_path):
    found = []
    for kinds in ("text,frequency", "text"):
        assert run("train", *training, "--evidence", kinds) == 0
        found.append((tmp_path / "out" / "model.safetensors").read_bytes())
        assert (tmp_path / "out" / "evidence").exists() == (kinds != "text")
    assert found[0] == found[1]
    assert content_of(tmp_path / "out" / "training.json")["evidence"] is None


def test_a_failure_of_the_evidence_leaves_a_whole_model(training, tmp_path, monkeypatch):
    def fail(*args, **choices):
        raise KeyboardInterrupt

    monkeypatch.setattr("lass_hf.runs.run.build_evidence", fail)
    assert run("train", *training, *SOME) == 130
    assert content_of(tmp_path / "out" / "training.json")["metrics"]["train_loss"] > 0
    assert not (tmp_path / "out" / "evidence").exists()
    assert run("evaluate", "--model", tmp_path / "out", "--quiet", "--limit", 1) == 0


def test_by_default_a_bi_encoder_gets_all_evidence_of_a_graph_with_structure(
    bi_encoder_training, tmp_path, monkeypatch
):
    asked = []

    def build(graph, model, processor, kinds, **choices):
        asked.append(kinds)
        raise LassError("enough")

    monkeypatch.setattr("lass_hf.runs.run.build_evidence", build)
    monkeypatch.setattr("lass_hf.evidence.building.LEAST_FACTS", len(TRAIN))
    assert run("train", *bi_encoder_training) == 2
    assert asked == [None]  # all that are possible


def test_a_graph_with_little_structure_gets_text_alone_with_a_note(bi_encoder_training, tmp_path, capsys):
    assert run("train", *[one for one in bi_encoder_training if one != "--quiet"]) == 0
    note = "14 training triplets, and rules and vectors need 100 or more: entities are ranked by their texts alone"
    assert capsys.readouterr().err.count(note) == 1
    assert not (tmp_path / "out" / "evidence").exists()


def test_structure_needs_triplets_that_share_entities():
    apart = [(f"a{number}", "r", f"b{number}") for number in range(LEAST_FACTS)]
    assert (
        find_lack_of_structure(KnowledgeGraph.from_triplets(apart))
        == "no entity is in two training triplets, which rules and vectors need"
    )
    assert find_lack_of_structure(KnowledgeGraph.from_triplets([*apart[1:], ("a1", "r", "b2")])) is None
    repeated = [apart[0], ("a0", "r", "b1")] * LEAST_FACTS
    assert find_lack_of_structure(KnowledgeGraph.from_triplets(repeated)).startswith("2 training triplets, and rules")


def test_a_share_of_the_triplets_has_the_evidence_of_all(training, tmp_path, graph_folder):
    assert run("train", *training, *SOME, "--fraction", 0.5) == 0
    found = load_evidence(tmp_path / "out" / "evidence").facts_fingerprint
    assert found == facts_fingerprint(KnowledgeGraph.from_directory(graph_folder))


def test_a_resumed_training_has_the_evidence_of_one_that_was_not(graph, tmp_path):
    def evidence_of(folder, **choices):
        trainer = trainer_of(folder, graph, num_train_epochs=1, save_strategy="steps", save_steps=2, **choices)
        arguments = TrainArguments(graph="animals", encoder="tiny")
        trainer.card.run_metadata = collect_run_metadata(arguments, trainer.args, graph)
        train_and_record(trainer, "text,frequency")
        return load_evidence(folder / "evidence").fusion

    whole = evidence_of(tmp_path)
    resumed = evidence_of(tmp_path, resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert np.array_equal(resumed.weights_of_groups, whole.weights_of_groups)


@pytest.mark.parametrize(
    ("kinds", "fault"),
    [
        ("text,rulez", "evidence 'rulez'; expected some of text, neighbors, frequency, rules, vectors"),
        ("rules,vectors", "evidence 'rules,vectors' leaves out the text, and so the trained model"),
        ("text,neighbors", "evidence 'neighbors' needs a bi-encoder"),
        (",", "no kind of evidence; expected some of text"),
    ],
)
def test_bad_evidence_is_refused_before_the_training(kinds, fault, training, bad_input, tmp_path):
    assert fault in bad_input("train", *training, "--evidence", kinds)
    assert not (tmp_path / "out").exists()
