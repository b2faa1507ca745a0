"""Evidence in a folder: all of it comes back, edited rules count, and nothing damaged, foreign or half-written does."""

import json
import logging

import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import assert_same_evidence, some_evidence
from helpers.tiny import one_line

from lass_hf import KnowledgeGraph, LassError, LassForKGCompletion
from lass_hf.evidence.evidence_files import (
    EVIDENCE_FILES,
    evidence_fingerprint,
    find_evidence,
    load_evidence,
    save_evidence,
    summarize_evidence,
)
from lass_hf.structure.structural_vectors import StructuralVectors


@pytest.fixture(scope="module")
def evidence(graph):
    return some_evidence(graph)


@pytest.fixture
def folder(evidence, graph, tmp_path):
    save_evidence(evidence, tmp_path / "evidence", graph)
    return tmp_path / "evidence"


def test_all_comes_back(evidence, folder):
    assert {file.name for file in folder.iterdir()} == set(EVIDENCE_FILES)
    found = load_evidence(folder)
    assert_same_evidence(found, evidence)
    assert evidence_fingerprint(found) == evidence_fingerprint(evidence)


def test_a_part_that_evidence_lacks_has_no_file(graph, folder):
    evidence = some_evidence(graph, kinds=("frequency",))
    save_evidence(evidence, folder, graph)  # in place of all that was there
    assert [file.name for file in folder.iterdir()] == ["fusion.json"]
    assert (load_evidence(folder).rules, load_evidence(folder).vectors) == (None, None)


def test_a_file_of_earlier_evidence_is_not_read(graph, folder, tmp_path):
    save_evidence(some_evidence(graph, kinds=("frequency",)), tmp_path / "other", graph)
    (tmp_path / "other" / "fusion.json").replace(folder / "fusion.json")
    (folder / "vectors.safetensors").write_bytes(b"vectors of another graph, or damaged")
    assert load_evidence(folder).vectors is None


def test_the_folder_is_found_in_that_of_a_model(folder, tmp_path):
    assert find_evidence(tmp_path) == folder
    assert find_evidence(folder) is None
    assert find_evidence("") is None


def test_a_save_that_fails_leaves_the_evidence_as_it_was(folder, graph, monkeypatch):
    before = {file: file.read_bytes() for file in folder.iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StructuralVectors, "save", fail)
    with pytest.raises(LassError, match=r"evidence: cannot be written \(No space left on device\)"):
        save_evidence(some_evidence(graph), folder, graph)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("file", ["vectors.safetensors", "fusion.json"])
def test_a_file_with_one_other_byte_is_refused(file, folder):
    content = bytearray((folder / file).read_bytes())
    content[-20] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(LassError) as error:
        load_evidence(folder)
    one_line(error, f"{folder / file}: ")


@pytest.mark.parametrize("file", EVIDENCE_FILES)
def test_a_missing_file_is_refused(file, folder):
    (folder / file).unlink()
    with pytest.raises(LassError) as error:
        load_evidence(folder)
    one_line(error, str(folder), file, "add evidence again")


def test_vectors_of_other_evidence_are_refused(folder, graph, tmp_path):
    other = some_evidence(graph)
    other.vectors.entities[0] += 1
    save_evidence(other, tmp_path / "other", graph)
    (tmp_path / "other" / "vectors.safetensors").replace(folder / "vectors.safetensors")
    with pytest.raises(LassError, match=r"vectors\.safetensors: damaged, or that of other evidence"):
        load_evidence(folder)


def test_weights_of_another_format_are_refused(folder):
    content = json.loads((folder / "fusion.json").read_text())
    (folder / "fusion.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(LassError, match="not evidence of format 4"):
        load_evidence(folder)


def test_edited_rules_count_and_are_told_of(evidence, folder, caplog):
    before = summarize_evidence(folder)
    lines = (folder / "rules.tsv").read_text().splitlines(keepends=True)
    (folder / "rules.tsv").write_text("".join(lines[:-1]))  # a curator removes the last rule
    with caplog.at_level(logging.WARNING):
        found = load_evidence(folder)
    assert len(found.rules) == len(evidence.rules) - 1
    assert "rules.tsv was edited" in caplog.text
    assert evidence_fingerprint(found) != evidence_fingerprint(evidence)
    assert summarize_evidence(folder)["files"] != before["files"]


def test_a_rule_with_a_confidence_beyond_1_is_named_by_its_line(folder):
    lines = (folder / "rules.tsv").read_text().splitlines(keepends=True)
    (folder / "rules.tsv").write_text("".join([*lines[:-1], "1.5" + lines[-1][lines[-1].index("\t") :]]))
    with pytest.raises(LassError) as error:
        load_evidence(folder)
    one_line(error, f"{folder / 'rules.tsv'}, line {len(lines)}", "1.5")


def test_evidence_of_another_graph_is_refused(folder):
    other = KnowledgeGraph.from_triplets([("a", "likes", "b"), ("b", "likes", "c")])
    with pytest.raises(LassError, match="the evidence is that of another graph"):
        load_evidence(folder).bind(other)


def test_evidence_of_a_model_that_was_trained_since_is_refused(graph, tmp_path):
    model, processor = bi_encoder_model(), bi_encoder_processor(graph)
    evidence = some_evidence(graph, model, processor, kinds=("text", "frequency"))
    model.save_pretrained(tmp_path)
    save_evidence(evidence, tmp_path / "evidence", graph)
    loaded = LassForKGCompletion.from_pretrained(tmp_path)
    loaded.config.neighbor_weight = 0.5  # ranking weights are those of text alone
    assert load_evidence(find_evidence(tmp_path), loaded).kinds == ("text", "frequency")
    next(loaded.parameters()).data += 1
    with pytest.raises(LassError) as error:
        load_evidence(find_evidence(tmp_path), loaded)
    one_line(error, "evidence of another model", "add evidence again (lass-hf add-evidence)", 'evidence "text"')
