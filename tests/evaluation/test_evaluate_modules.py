"""The `evaluate` metrics: numbers of their definitions, batch by batch, by path, over processes; bad input named."""

import sys
import threading
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

import lass_hf
from lass_hf.evaluation.link_prediction_metric import LinkPredictionMetric
from lass_hf.evaluation.triplet_classification_metric import TripletClassificationMetric

FOLDER = Path(lass_hf.__file__).parent / "evaluation"
METRICS = [LinkPredictionMetric, TripletClassificationMetric]
PATHS = ["link_prediction_metric", "triplet_classification_metric"]
RANKS = [1.0, 2.5, 14.0, 1.0, 3.0, 10.5, 1.0]
CANDIDATES = [135, 133, 130, 20, 20, 20, 1]
SCORES = [3.25, -0.5, 0.75, 2.0, -4.0, 0.75, 1.5]
LABELS = [1, 0, 1, 1, 0, 0, 0]
GIVEN = {LinkPredictionMetric: (RANKS, CANDIDATES), TripletClassificationMetric: (SCORES, LABELS)}


@pytest.fixture
def link_prediction(tmp_path):
    return LinkPredictionMetric(cache_dir=str(tmp_path))


@pytest.fixture
def classification(tmp_path):
    return TripletClassificationMetric(cache_dir=str(tmp_path))


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """`evaluate.load` whose copies of modules, and rows, lie in a folder of this file's own."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", folder / "modules")
        patch.setattr(sys, "path", [*sys.path])
        yield lambda path, **choices: evaluate.load(str(path), cache_dir=str(folder / "rows"), **choices)
        for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
            del sys.modules[name]


# Numbers


def test_link_prediction_is_what_the_definitions_say(link_prediction):
    n = len(RANKS)
    expected_rank = sum((count + 1) / 2 for count in CANDIDATES) / n
    assert link_prediction.compute(predictions=RANKS, references=CANDIDATES) == pytest.approx(
        {
            "mr": sum(RANKS) / n,
            "mrr": sum(1 / rank for rank in RANKS) / n,
            "hits@1": 3 / 7,
            "hits@3": 5 / 7,
            "hits@10": 5 / 7,
            "amri": 1 - (sum(RANKS) / n - 1) / (expected_rank - 1),
        },
        rel=1e-12,
    )


def test_classification_is_what_sklearn_says(classification):
    decided = [int(score > 0.75) for score in SCORES]
    assert classification.compute(predictions=SCORES, references=LABELS, threshold=0.75) == pytest.approx(
        {
            "accuracy": accuracy_score(LABELS, decided),
            "precision": precision_score(LABELS, decided),
            "recall": recall_score(LABELS, decided),
            "f1": f1_score(LABELS, decided),
            "roc_auc": roc_auc_score(LABELS, SCORES),
            "threshold": 0.75,
        },
        rel=1e-12,
    )


def test_without_a_threshold_the_best_of_these_scores_is_taken(classification):
    result = classification.compute(predictions=SCORES, references=LABELS)
    accuracies = [accuracy_score(LABELS, [score > cut for score in SCORES]) for cut in np.linspace(-5, 5, 401)]
    assert result["accuracy"] == max(accuracies) == accuracy_score(LABELS, [s > result["threshold"] for s in SCORES])


def test_one_kind_of_label_has_no_roc_auc(classification):
    assert "roc_auc" not in classification.compute(predictions=[1.0, 2.0], references=[1, 1], threshold=0.0)


def test_scores_keep_their_precision(classification, link_prediction):
    """Neither scores that differ in float64 only, nor ranks beyond float32's integers, are rounded together."""
    close = [1.0, 1.0 + 1e-12]
    assert classification.compute(predictions=close, references=[0, 1])["accuracy"] == 1
    assert link_prediction.compute(predictions=[16777217.0], references=[16777217])["mr"] == 16777217


# Batches


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("cuts", [[3], [1, 2, 6], [0, 7]])
def test_batches_equal_one(kind, cuts, tmp_path):
    given, references = GIVEN[kind]
    one, many = (kind(cache_dir=str(tmp_path)) for _ in range(2))
    for predictions, labels in zip(np.split(np.array(given), cuts), np.split(np.array(references), cuts), strict=True):
        many.add_batch(predictions=predictions, references=labels)
    assert many.compute() == one.compute(predictions=given, references=references)


@pytest.mark.parametrize("kind", METRICS)
def test_single_examples_tensors_and_memory_equal_lists(kind, tmp_path):
    given, references = GIVEN[kind]
    expected = kind(cache_dir=str(tmp_path)).compute(predictions=given, references=references)
    singly = kind(cache_dir=str(tmp_path), keep_in_memory=True)
    for prediction, reference in zip(given, references, strict=True):
        singly.add(prediction=prediction, reference=reference)
    assert singly.compute() == expected
    tensors = kind(cache_dir=str(tmp_path), keep_in_memory=True)
    tensors.add_batch(predictions=torch.tensor(given).bfloat16(), references=torch.tensor(references))
    assert tensors.compute() == expected  # the numbers above are exact in bfloat16


def test_combined_metrics_take_the_same_batches(tmp_path, classification):
    other = TripletClassificationMetric(cache_dir=str(tmp_path), experiment_id="other")
    both = evaluate.combine({"first": classification, "second": other})
    both.add_batch(predictions=SCORES[:3], references=LABELS[:3])
    both.add_batch(predictions=SCORES[3:], references=LABELS[3:])
    result = both.compute()
    assert result["first_accuracy"] == result["second_accuracy"] == pytest.approx(6 / 7)


@pytest.mark.parametrize("kind", METRICS)
def test_processes_equal_one(kind, tmp_path):
    """Two processes share a folder only; threads stand in for them."""
    given, references = GIVEN[kind]
    parts = [(slice(0, 3), slice(3, 4)), (slice(4, 5), slice(5, 7))]
    results = {}

    def run(process):
        metric = kind(cache_dir=str(tmp_path / "rows"), num_process=2, process_id=process, timeout=30)
        for part in parts[process]:
            metric.add_batch(predictions=given[part], references=references[part])
        results[process] = metric.compute()

    threads = [threading.Thread(target=run, args=(process,)) for process in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results[1] is None
    assert results[0] == kind(cache_dir=str(tmp_path)).compute(predictions=given, references=references)


# By path


@pytest.mark.parametrize(("kind", "name"), [*zip(METRICS, PATHS, strict=True)])
def test_a_metric_is_loaded_by_path(kind, name, load, tmp_path):
    metric = load(FOLDER / f"{name}.py")
    given, references = GIVEN[kind]
    assert metric.name == name
    assert type(metric).__name__ == kind.__name__
    metric.add_batch(predictions=given[:2], references=references[:2])
    metric.add_batch(predictions=given[2:], references=references[2:])
    assert metric.compute() == kind(cache_dir=str(tmp_path)).compute(predictions=given, references=references)


@pytest.mark.parametrize("name", PATHS)
def test_a_metric_is_loaded_from_a_folder_of_its_name(name, load, tmp_path):
    """A Space on the hub has the file and the siblings that it imports."""
    (tmp_path / name).mkdir()
    for sibling in (name, "metrics"):
        (tmp_path / name / f"{sibling}.py").write_bytes((FOLDER / f"{sibling}.py").read_bytes())
    metric = load(tmp_path / name, keep_in_memory=True)
    with pytest.raises(ValueError, match=r"expected the (rank|score) and the") as caught:
        metric.compute(predictions=[], references=[])
    assert type(caught.value).__name__ == "ValueError"


@pytest.mark.parametrize("name", PATHS)
def test_a_file_imports_in_lines_that_evaluate_understands(name):
    """`evaluate` takes the rest of an import's line for an address to download from."""
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports
    assert not [line for line in imports if "#" in line]


# Documented


@pytest.mark.parametrize("kind", METRICS)
def test_inputs_are_documented(kind, tmp_path):
    metric = kind(cache_dir=str(tmp_path))
    assert set(metric.features) == {"predictions", "references"}
    for word in ("shape (n,)", "predictions:", "references:", "Returns:", "Raises:"):
        assert word in metric.inputs_description
        assert word in metric.compute.__doc__
    assert metric.description
    assert "2022.coling-1.171" in metric.citation


@pytest.mark.parametrize("kind", METRICS)
def test_the_documented_example_is_true(kind, tmp_path):
    lines = [line.strip() for line in kind(cache_dir=str(tmp_path)).inputs_description.splitlines()]
    code = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
    name = kind.__name__
    scope = {name: lambda: kind(cache_dir=str(tmp_path))}
    exec("\n".join(code[:-1]), scope)
    assert eval(code[-1], scope) == float(lines[lines.index(f">>> {code[-1]}") + 1])


# Bad input


@pytest.mark.parametrize(
    ("ranks", "candidates", "what"),
    [
        ([], [], "no ranks were given"),
        ([1.0, 0.5], [10, 10], "query 1: rank 0.5 of 10 candidates"),
        ([1.0, 0.0], [10, 10], "query 1: rank 0 of"),
        ([-1.0, 2.0], [10, 10], "query 0: rank -1 of"),
        ([1.0, 11.0], [10, 10], "query 1: rank 11 of 10 candidates"),
        ([1.0, 1.0, 1.5], [10, 1, 1], "query 2: rank 1.5 of 1 candidates"),
        ([1.0], [0], "query 0: rank 1 of 0 candidates"),
        ([1.0, float("nan")], [10, 10], "query 1: rank nan of"),
        ([float("inf")], [10], "query 0: rank inf of"),
        ([1.0, None], [10, 10], "query 1: rank nan of"),
        ([1.0], [None], "query 0: rank 1 of nan candidates"),
        ([10, 10], [1, 2], "query 0: rank 10 of 1 candidates.*predictions are ranks"),
    ],
)
def test_bad_ranks_are_named(link_prediction, ranks, candidates, what):
    with pytest.raises(ValueError, match=what) as caught:
        link_prediction.compute(predictions=ranks, references=candidates)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "labels", "what"),
    [
        ([], [], "no scores were given"),
        ([1.0, 2.0], [1, -1], "triplet 1: label -1; expected 1"),
        ([1.0, 2.0], [2, 1], "triplet 0: label 2"),
        ([1.0, 2.0], [1, 0.5], "triplet 1: label 0.5"),  # not cut down to 0
        ([1.0, 2.0], [1, None], "triplet 1: label nan"),
        ([1, 0], [3.5, -1.0], "triplet 0: label 3.5.*predictions are scores"),
    ],
)
def test_bad_labels_are_named(classification, scores, labels, what):
    with pytest.raises(ValueError, match=what) as caught:
        classification.compute(predictions=scores, references=labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), None])
def test_scores_that_are_no_numbers_are_named(classification, score):
    with pytest.raises(ValueError, match="triplet 1: score"):
        classification.compute(predictions=[1.0, score], references=[1, 0])


def test_a_threshold_that_is_no_number_is_named(classification):
    with pytest.raises(ValueError, match="threshold=nan"):
        classification.compute(predictions=SCORES, references=LABELS, threshold=float("nan"))


@pytest.mark.parametrize("kind", METRICS)
def test_nothing_added_and_unequal_lengths_are_errors(kind, tmp_path):
    with pytest.raises(ValueError, match="add_batch"):
        kind(cache_dir=str(tmp_path)).compute()
    with pytest.raises(ValueError, match=r"predictions \(2\) and references \(1\)"):
        kind(cache_dir=str(tmp_path)).add_batch(predictions=[1.0, 1.0], references=[1])


def test_after_an_error_a_metric_starts_afresh(link_prediction):
    with pytest.raises(ValueError, match="rank 11 of 10 candidates"):
        link_prediction.compute(predictions=[1.0, 11.0], references=[10, 10])
    link_prediction.add_batch(predictions=[2.0], references=[3])
    assert link_prediction.compute()["mr"] == 2
