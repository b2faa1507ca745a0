"""How an audit is measured: by errors that it injects, and by those that others injected."""

import numpy as np
import pytest
from helpers.audits import random_facts
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.command_line import content_of, run
from helpers.tiny import integer_graph, one_line
from helpers.towns import QUICK, SMALL, WRONG, texts_of_towns, towns, write_towns

from lass_hf.audit.auditing import true_facts
from lass_hf.audit.measuring import evaluate_audit, measure_audit, measure_suspicion, read_errors, with_errors
from lass_hf.audit.suspicion import fit_suspicion
from lass_hf.core.errors import LassError


def test_measures_count_errors_among_the_first():
    kinds = np.full(200, -1)
    kinds[[0, 3, 9, 150]] = 0, 1, 1, 2
    metrics = measure_suspicion(-np.arange(200.0), kinds)
    assert metrics["precision_at_1"] == 1 / 2
    assert metrics["precision_at_5"] == 3 / 10
    assert metrics["recall_at_5"] == 3 / 4
    assert metrics["similar_recall_at_2"] == 1 / 2
    assert metrics["adversarial_auc"] == pytest.approx((196 - 147) / 196)
    assert metrics["auc"] == pytest.approx(np.mean([196, 194, 189, 49]) / 196)
    assert measure_suspicion(np.zeros(9), np.full(9, -1)) == {}


def test_an_audit_is_measured_by_the_errors_that_are_known(audit):
    graph = towns()
    wrong = np.array([[graph.entities.index[WRONG[0]], graph.relations.index["1"], graph.entities.index["43"]]])
    metrics, signals = measure_audit(audit, np.concatenate([wrong, [[0, 0, 0]]]), np.array([1, 0]))
    assert metrics["auc"] == metrics["similar_auc"] == 1
    assert metrics["recall_at_1"] == 1
    assert "random_auc" not in metrics  # That error is not in the graph.
    assert signals["second_tail"]["auc"] > 0.9


def test_the_command_measures_injected_errors(encoder_folder, tmp_path, capsys):
    given = ["--graph", write_towns(tmp_path / "graph"), "--encoder", encoder_folder, *QUICK]
    assert run("audit", *given, "--evaluate", "--json", tmp_path / "measured.json") == 0
    content = content_of(tmp_path / "measured.json")
    assert {"precision_at_5", "recall_at_1", "auc", "random_recall_at_5", "similar_auc"} <= set(content["metrics"])
    assert "precision_at_5" in content["signals"]["text_of_pair"]
    assert "precision_at_5" in capsys.readouterr().out


def test_errors_that_others_injected_are_measured(monkeypatch, tmp_path):
    graph = towns()
    file = tmp_path / "errors.tsv"
    file.write_text("\t".join([*WRONG, "similar", *WRONG[:2], "40"]) + "\n")
    errors = read_errors(file, graph)
    assert [graph.entities.ids[errors.triplets[0, slot]] for slot in (0, 2)] == ["0", "43"]
    monkeypatch.setattr("lass_hf.audit.measuring.encode_with_bar", lambda *_, **__: texts_of_towns())
    audit, metrics, _ = evaluate_audit(graph, errors=errors, vector_choices=SMALL, num_folds=2, quiet=True)
    assert len(audit.triplets) == len(true_facts(graph).triplets)
    assert metrics["similar_recall_at_1"] == 1


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["the file is empty"]),
        ("0\t1\t43\n", ["line 1: 3 cells"]),
        ("0\t1\t43\tsimilar\n0\t1\t99\tsimilar\n", ["line 2: unknown tail '99'", "by ids of the graph"]),
        ("0\t1\t43\tother\n", ["line 1: unknown kind 'other'"]),
        (b"\xff", ["UTF-8"]),
    ],
)
def test_a_file_that_holds_no_errors_is_refused(content, parts, tmp_path):
    file = tmp_path / "errors.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LassError) as error:
        read_errors(file, towns())
    one_line(error, "errors.tsv", *parts)


def test_evaluation_takes_all_splits_and_a_model_counts_by_those_outside_of_train(encoder_folder, monkeypatch):
    facts = random_facts(4, 120)
    names = [tuple(map(str, one)) for one in facts.triplets.tolist()]
    graph = integer_graph(names[:60], 14, 3, validation=names[60:80], test=names[80:])
    options = {"encoder": encoder_folder, "vector_choices": SMALL, "num_folds": 2, "quiet": True}
    monkeypatch.setattr("lass_hf.audit.auditing.LEAST_HELD_OUT", 30)
    fits = []

    def fit(features, is_error, is_fitted, *more):
        fits.append((features.shape[1], is_fitted))
        return fit_suspicion(features, is_error, is_fitted, *more)

    monkeypatch.setattr("lass_hf.audit.auditing.fit_suspicion", fit)
    audit, metrics, _ = evaluate_audit(graph, **options)
    assert len(audit.triplets) > len(facts.triplets)
    assert 0 <= metrics["auc"] <= 1
    model = {"model": bi_encoder_model(), "processor": bi_encoder_processor(graph)}
    evaluate_audit(graph, **model, **options)
    (without, every), (with_model, held_out) = fits
    assert every.all()
    assert with_model > without
    assert 40 <= held_out.sum() < len(held_out) - 60


def test_errors_of_another_split_join_the_training_triplets():
    graph = integer_graph([("0", "0", "1"), ("1", "0", "2")], 5, 1, validation=[("2", "0", "3"), ("3", "0", "4")])
    noisy = with_errors(graph, np.array([[3, 0, 4], [4, 0, 0]]))
    assert noisy["train"].triplets.tolist() == [[0, 0, 1], [1, 0, 2], [3, 0, 4], [4, 0, 0]]
    assert noisy["validation"].triplets.tolist() == [[2, 0, 3]]
