"""What is told of evidence: figures of held-out queries, compared with an exact ranking, and lines for people."""

import numpy as np
import pytest
from helpers.structure import graph_with_tiger, random_vectors

from lass_hf.evidence.building import build_evidence
from lass_hf.evidence.fusion_fitting import Likelihood
from lass_hf.evidence.report import describe_evidence, report_evidence


def test_ranks_count_a_candidate_as_those_that_it_stands_for():
    values = np.array([[[2.0], [3.0], [2.0], [1.0], [9.0]]], dtype=np.float32)  # the answer first
    corrections = np.log(np.array([[1.0, 4.0, 2.0, 8.0, 1e-300]])).astype(np.float32)
    likelihood = Likelihood(values, corrections, np.zeros((1, 1), dtype=np.int64))
    # Four are ahead, two tie, and the last candidate is none.
    assert likelihood.ranks(np.ones((1, 1))) == pytest.approx([1 + 4 + 2 / 2])


def test_a_report_has_what_was_found_and_lines_say_it():
    graph = graph_with_tiger()
    evidence = build_evidence(graph, kinds=["frequency", "vectors"], vectors=random_vectors(graph), quiet=True)
    report = report_evidence(evidence)
    assert report["kinds"] == ["frequency", "vectors"]
    assert (report["num_rules"], report["dim"], report["text_mrr"]) == (None, 4, None)
    assert report["fitted_on"] == {"split": "validation", "seed": 42, "num_queries": 6}
    assert 0 < report["mrr"] <= 1
    lines = describe_evidence(evidence)
    assert lines[0].startswith("weights: ")
    assert lines[1].startswith("share of each kind: frequency ")
    queries = "the 6 validation queries of the fit"
    assert lines[2] == f"MRR {report['mrr']:.3f}: estimated on {queries}, each half by weights of the other half"
