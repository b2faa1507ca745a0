"""Known oddities of the paper's benchmarks. Needs `LASS_DATA_DIR`, as tests/graphs/test_benchmark_data.py does."""

import os
from pathlib import Path

import pytest

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.quality.faults import find_faults

DATA = os.environ.get("LASS_DATA_DIR")
with_data = pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")


def found(graph):
    return {one.kind: one for one in find_faults(graph)}


@with_data
def test_wn18rr_has_symmetric_relations_whose_twins_leak():
    faults = found(KnowledgeGraph.from_directory(Path(DATA, "wn18rr")))
    assert not [one for one in faults.values() if one.severity == "wrong"]
    linked = faults["twins_in_train"].count + faults["pairs_in_train"].count
    assert faults["twins_in_train"].share > 0.34
    assert linked == 1096  # 34.9 % of 3,134 have their reversed pair in train; 2 have another relation
    assert faults["entities_unseen_in_train"].count == 209
    assert faults["self_loops"].count == 9
    assert "_derivationally_related_form" in faults["symmetric_relations"].example
    assert "_hypernym" in faults["functional_relations"].example


@with_data
def test_umls_has_texts_that_are_ids_and_a_second_relation_for_many_pairs():
    graph = KnowledgeGraph.from_directory(Path(DATA, "umls"))
    faults = found(graph)
    assert not [one for one in faults.values() if one.severity == "wrong"]
    assert faults["entities_without_a_text"].count == 135
    odd = graph.summary()["splits"]["test"]
    linked = faults["twins_in_train"].count + faults["pairs_in_train"].count
    assert max(odd["other_relation_in_train"], odd["reversed_in_train"]) <= linked
    assert linked <= odd["other_relation_in_train"] + odd["reversed_in_train"]
    assert any("interacts_with" in one.example for one in faults.values() if one.kind == "transitive_relations")


def test_the_graph_of_the_package_has_nothing_odd():
    graph = load_benchmark("countries")
    assert {one.severity for one in find_faults(graph)} == {"fact"}
    assert "shares_border_with" in found(graph)["symmetric_relations"].example
