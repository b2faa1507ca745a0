"""`lass-hf add-evidence`: what it saves, prints and writes, and one line for each bad input before any work."""

import pytest
from helpers.command_line import content_of, run
from helpers.tiny import TRAIN, VALIDATION, forget_digests, write_graph

from lass_hf import LassForKGCompletion
from lass_hf.evidence.evidence_files import load_evidence

SOME = ("--evidence", "frequency,text")


def test_evidence_is_saved_with_the_model_printed_and_written(model_copy, graph_folder, tmp_path, capsys):
    weights = (model_copy / "model.safetensors").read_bytes()
    file = tmp_path / "evidence.json"
    assert run("add-evidence", "--model", model_copy, "--graph", graph_folder, *SOME, "--json", file) == 0
    evidence = load_evidence(model_copy / "evidence", LassForKGCompletion.from_pretrained(model_copy))
    assert evidence.kinds == ("text", "frequency")
    assert (model_copy / "model.safetensors").read_bytes() == weights
    content = content_of(file)
    assert content["metrics"] == {"mrr": evidence.fusion.held_out_mrr, "text_mrr": evidence.text_mrr}
    assert (content["task"], content["evidence"]["kinds"]) == ("evidence", ["text", "frequency"])
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[-1] == f"saved {model_copy}/evidence; next: lass-hf evaluate --model {model_copy} --graph {graph_folder}"
    )
    assert lines[-2].startswith(
        f"MRR {evidence.fusion.held_out_mrr:.3f}, text alone {evidence.text_mrr:.3f}: estimated"
    )


def test_the_graph_is_the_models_own_by_default(model_copy, capsys):
    assert run("add-evidence", "--model", model_copy, *SOME, "--quiet") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f"next: lass-hf evaluate --model {model_copy}")


def test_the_next_command_measures_by_the_texts_and_the_precision_of_the_fit(model_copy, tmp_path, capsys):
    folder = write_graph(tmp_path / "graph")
    (folder / "entity2textlong.txt").write_bytes((folder / "entity2text.txt").read_bytes())
    texts = ("--graph", folder, "--long_text")
    assert run("add-evidence", "--model", model_copy, *texts, *SOME, "--dtype", "float32", "--quiet") == 0
    assert capsys.readouterr().out.endswith(f"--graph {folder} --long_text --dtype float32\n")


RULES = """confidence\thead\tbody
0.5\teats(x, y)\tis_a(x, z) & eats(z, y)
"""


def test_edited_rules_are_taken_in_place_of_those_that_a_search_finds(model_copy, tmp_path, monkeypatch):
    monkeypatch.setattr("lass_hf.evidence.building.find_rules", None)
    (tmp_path / "mine.tsv").write_text(RULES)
    assert run("add-evidence", "--model", model_copy, "--evidence", "text,rules", "--rules", tmp_path / "mine.tsv") == 0
    rules = load_evidence(model_copy / "evidence").rules
    assert rules.confidences.tolist() == [0.5]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [("eats(z, y)", "drinks(z, y)", "drinks"), ("0.5", "1.5", "1.5")],
    ids=["an unknown relation", "a confidence beyond 1"],
)
def test_a_wrong_line_of_edited_rules_is_named(before, after, fault, model_copy, tmp_path, bad_input, monkeypatch):
    monkeypatch.setattr("lass_hf.evidence.building.sample_for_fitting", None)
    (tmp_path / "mine.tsv").write_text(RULES.replace(before, after))
    line = bad_input("add-evidence", "--model", model_copy, "--rules", tmp_path / "mine.tsv")
    assert "mine.tsv, line 2" in line
    assert fault in line


def test_vectors_have_the_dimensions_that_are_asked_for(model_copy):
    arguments = ["--evidence", "text,vectors", "--dim", 6, "--minutes", 0.01, "--quiet"]
    assert run("add-evidence", "--model", model_copy, *arguments) == 0
    assert load_evidence(model_copy / "evidence").vectors.entities.shape[1] == 6


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--evidence", "text,rulez"), "evidence 'rulez'; expected some of text, neighbors, frequency, rules, vectors"),
        (("--evidence", "rules"), "--evidence leaves out the text, and so the model"),
        (("--evidence", "text,neighbors"), "evidence 'neighbors' needs a bi-encoder"),
        (("--evidence", ","), "',' holds no name"),
        (("--dim", 0), "'0' is not a positive integer"),
        (("--dim", 7), "dim=7; expected an even number"),
        (("--minutes", 0), "'0' is not a number above 0"),
        (("--minutes", "nan"), "'nan' is not a number"),
        (("--evidence", "text,rules", "--dim", 4), "--dim changes nothing, because --evidence"),
        (
            ("--evidence", "text,vectors", "--rules", "x"),
            "because --evidence leaves out rules",
        ),
        (("--evidence", "text,rules", "--rules", "x", "--minutes", 1), "--minutes changes nothing, because no rule"),
        (("--rules", "nowhere.tsv"), "nowhere.tsv"),
    ],
)
def test_bad_options_are_refused_before_any_work(arguments, fault, model_copy, bad_input, monkeypatch):
    monkeypatch.setattr("lass_hf.evidence.building.sample_for_fitting", None)
    monkeypatch.setattr("lass_hf.evidence.building.train_structural_vectors", None)
    assert fault in bad_input("add-evidence", "--model", model_copy, *arguments)
    assert not (model_copy / "evidence").exists()


def test_a_model_that_is_no_folder_is_refused(bad_input):
    line = bad_input("add-evidence", "--model", "user/model")
    assert "user/model: not a folder that can be written, and evidence is saved in it" in line


def test_a_graph_of_other_entities_or_without_training_triplets_is_refused(model_copy, tmp_path, bad_input):
    other = write_graph(tmp_path / "other", [("a", "r", "b"), ("b", "r", "c")], None, None, None)
    line = bad_input("add-evidence", "--model", model_copy, "--graph", other)
    assert f"{other}: none of its 3 entities is in the graph of {model_copy}" in line
    untrained = write_graph(tmp_path / "untrained", None)
    line = bad_input("add-evidence", "--model", model_copy, "--graph", untrained)
    assert "no training triplets" in line
    (model_copy / "known_triplets.safetensors").unlink()
    forget_digests(model_copy)
    line = bad_input("add-evidence", "--model", model_copy)
    assert "the model has no triplets of its graph with it; give --graph" in line


def test_a_graph_without_validation_holds_some_out(model_copy, tmp_path):
    for name, triplets, split in (("a", TRAIN, "held out of train"), ("b", TRAIN + VALIDATION, "validation")):
        graph = write_graph(tmp_path / name, triplets, None, None)  # what the model was not trained on stays held out
        assert run("add-evidence", "--model", model_copy, "--graph", graph, *SOME, "--quiet") == 0
        assert load_evidence(model_copy / "evidence").fitted_on["split"] == split
