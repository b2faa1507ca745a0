"""Evidence that was saved with a model: what takes it by itself, and how it is chosen."""

import shutil

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.command_line import content_of, run
from helpers.evidence import some_evidence
from helpers.tiny import TRAIN, one_line
from transformers import pipeline

from lass_hf import KnowledgeGraph, LassPredictor
from lass_hf.core.errors import LassError
from lass_hf.evidence.building import build_evidence
from lass_hf.evidence.evidence_files import save_evidence
from lass_hf.writers.tables import read_judged_triplets

QUERY = {"head": "cat", "relation": "eats"}
KINDS = ("text", "neighbors", "frequency")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, graph):
    """A saved bi-encoder with evidence; do not change it."""
    folder = tmp_path_factory.mktemp("fused")
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    evidence = build_evidence(graph, model, processor, KINDS, quiet=True, dtype="float32")
    save_evidence(evidence, folder / "evidence", graph)
    return folder


@pytest.fixture(scope="module")
def predictor(folder):
    return LassPredictor.from_pretrained(str(folder), "float32")


def test_a_predictor_takes_what_the_folder_has(predictor, folder, graph):
    found = predictor.predict(**QUERY)
    assert all(tuple(one.shares) == KINDS for one in found)
    given = LassPredictor.from_pretrained(str(folder), "float32", evidence=predictor.evidence)
    assert given.predict(**QUERY) == found
    text = LassPredictor.from_pretrained(str(folder), "float32", evidence="text")
    assert text.evidence is None
    alone = LassPredictor(bi_encoder_model(), bi_encoder_processor(graph), "float32")
    assert text.predict(**QUERY) == alone.predict(**QUERY) != found


def test_some_kinds_have_weights_of_their_own(folder, graph):
    some = LassPredictor.from_pretrained(str(folder), "float32", evidence="frequency, text")
    assert {tuple(one.shares) for one in some.predict(**QUERY)} == {("text", "frequency")}
    model, processor = some.scorer.model, some.processor
    fitted = build_evidence(graph, model, processor, ("text", "frequency"), quiet=True, dtype="float32")
    np.testing.assert_array_equal(some.evidence.fusion.weights_of_groups, fitted.fusion.weights_of_groups)


@pytest.mark.parametrize(
    ("choice", "parts"),
    [
        ("rules,text", ["no rules in this evidence, which has text, neighbors, frequency"]),
        ("words", ["evidence 'words'", "text, neighbors, frequency, rules, vectors"]),
    ],
)
def test_kinds_that_there_are_not_are_refused(choice, parts, folder, bad_input):
    with pytest.raises(LassError) as error:
        LassPredictor.from_pretrained(str(folder), evidence=choice)
    one_line(error, *parts)
    question = ["--head", "cat", "--relation", "eats", "--evidence", choice]
    assert all(part in bad_input("predict", "--model", folder, *question) for part in parts)


def test_a_folder_without_evidence_is_refused_for_kinds_only(model_folder):
    assert LassPredictor.from_pretrained(model_folder).evidence is None
    with pytest.raises(LassError) as error:
        LassPredictor.from_pretrained(model_folder, evidence="text,frequency")
    one_line(error, model_folder, "add-evidence")


@pytest.mark.parametrize("kind", ["other names", "no training triplets"])
def test_evidence_that_says_nothing_about_a_graph_is_left_out(kind, graph, folder, tmp_path, caplog):
    copy = shutil.copytree(folder, tmp_path / "copy")
    rows = [tuple(f"{name}1" for name in row) for row in TRAIN]
    if kind == "other names":
        bi_encoder_processor(KnowledgeGraph.from_triplets(rows)).save_pretrained(copy)
    else:
        bi_encoder_processor(graph).save_pretrained(copy, include_graph="vocabulary")
    predictor = LassPredictor.from_pretrained(str(copy), "float32")
    assert predictor.evidence is None
    assert "ranked by their texts alone" in caplog.text


def test_evidence_of_other_training_triplets_is_used_with_a_warning(graph, folder, tmp_path, caplog):
    assert LassPredictor.from_pretrained(str(folder), "float32").evidence is not None
    assert "other training triplets" not in caplog.text
    copy = shutil.copytree(folder, tmp_path / "copy")
    fewer = KnowledgeGraph(graph.entities, graph.relations, {"train": (graph["train"].triplets[1:], None)})
    bi_encoder_processor(fewer).save_pretrained(copy)
    assert LassPredictor.from_pretrained(str(copy), "float32").evidence is not None
    assert caplog.text.count("made of other training triplets than those of this graph; add evidence again") == 1


def test_a_pipeline_takes_it_and_saves_it(predictor, folder, tmp_path):
    pipe = pipeline("kg-completion", model=str(folder), dtype="float32")
    assert pipe(QUERY) == predictor.complete([QUERY])[0]
    pipe.save_pretrained(tmp_path / "again")
    again = pipeline("kg-completion", model=str(tmp_path / "again"), dtype="float32")(QUERY)
    assert [row["id"] for row in again] == [row["id"] for row in pipe(QUERY)]
    assert set(again[0]["shares"]) == set(KINDS)
    text = pipeline("kg-completion", model=str(folder), evidence="text", dtype="float32")
    assert "shares" not in text(QUERY)[0]


def test_a_pipeline_leaves_nothing_of_evidence_that_it_replaces_or_of_another_model(folder, graph, tmp_path, caplog):
    copy = shutil.copytree(folder, tmp_path / "copy")
    save_evidence(some_evidence(graph), copy / "evidence", graph)
    pipe = pipeline("kg-completion", model=str(folder), dtype="float32")
    pipe.save_pretrained(copy)
    assert [file.name for file in (copy / "evidence").iterdir()] == ["fusion.json"]
    pipeline("triplet-classification", model=str(folder)).save_pretrained(copy)  # it saves none, and takes none away
    assert LassPredictor.from_pretrained(str(copy), "float32").evidence.kinds == KINDS
    assert not caplog.text
    other = pipeline("kg-completion", model=bi_encoder_model(seed=1), processor=bi_encoder_processor(graph))
    other.save_pretrained(copy)
    assert "removed, because it was evidence of another model" in caplog.text
    assert LassPredictor.from_pretrained(str(copy), "float32").evidence is None


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub itself
def test_a_pipeline_pushes_what_it_ranks_by_or_what_its_model_has(hub, folder, graph):
    pipe = pipeline("kg-completion", model=str(folder), evidence=some_evidence(graph), dtype="float32")
    pipe.push_to_hub("user/mine", include_graph="full")
    again = pipeline("kg-completion", model="user/mine", dtype="float32")
    assert again.predictor.evidence.kinds == ("frequency", "rules", "vectors")
    assert again(QUERY) == pipe(QUERY)
    for task, choices in (("kg-completion", {"evidence": "text"}), ("triplet-classification", {})):
        pipeline(task, model=str(folder), **choices).push_to_hub("user/mine", include_graph="full")
        assert hub.files("user/mine")["evidence/fusion.json"] == (folder / "evidence" / "fusion.json").read_bytes()


def test_predict_prints_a_column_for_each_kind_only_where_evidence_counts(folder, capsys):
    question = ["--head", "cat", "--relation", "eats", "--top_k", 2, "--quiet"]
    capsys.readouterr()
    assert run("predict", "--model", folder, *question) == 0
    heading, first, _ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["score", *KINDS]
    assert len(first.split()[2:5]) == len([float(number) for number in first.split()[2:5]])
    assert run("predict", "--model", folder, *question, "--evidence", "text") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_files_of_predictions_have_reasons_and_json_has_shares(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lass_hf.prediction.ranker.rule_reasons", lambda *_: ["eats <- likes", "b"])
    files = ["--json", tmp_path / "p.json", "--output", tmp_path / "p.tsv"]
    question = ["--head", "cat", "--relation", "eats", "--top_k", 2, "--quiet"]
    assert run("predict", "--model", folder, *question, *files) == 0
    predictions = content_of(tmp_path / "p.json")["predictions"]
    assert all(set(row["shares"]) == set(KINDS) for row in predictions)
    assert [row["reasons"] for row in predictions] == [["eats <- likes", "b"]] * 2
    rows, metadata = read_judged_triplets(tmp_path / "p.tsv")
    assert rows["reasons"].to_pylist() == [["eats <- likes", "b"]] * 2
    assert metadata.settings["evidence"] == "auto"
