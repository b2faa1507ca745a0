"""The quickstart: the script runs and checks its promise, and the pages show what was measured."""

import importlib.util
import json
import re

import pytest
from helpers.scripts import ROOT

from lass_hf import LassPredictor

RESULTS = ROOT / "results" / "quickstart" / "minilm_42.json"
ROWS = ("frequency baseline", "structure", "untrained", "trained")
KEPT = {"frequency baseline": {"mrr": 0.2}, "untrained": {"mrr": 0.1}, "trained": {"mrr": 0.31}}


@pytest.fixture
def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "examples" / "quickstart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_that_was_cut_short_writes_model_and_results(quickstart, encoder_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quickstart, "ENCODER", encoder_folder)
    arguments = ["quickstart", "--output_dir", str(tmp_path), "--max_steps", "1", "--limit", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    assert quickstart.main() == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [results[name]["num_triplets"] for name in ROWS] == [1, 1, 1, 1]
    predictions = LassPredictor.from_pretrained(tmp_path).predict(head="france", relation="has_capital", top_k=3)
    assert len(predictions) == 3
    printed = capsys.readouterr().out
    assert printed.count(" s)\n") == 5  # one time for each stage
    assert f"{results['trained']['mrr']:9.3f}" in printed


def test_the_promise_is_kept_by_good_figures(quickstart):
    kept, line = quickstart.check_promise(KEPT, 3)
    assert kept
    assert line.startswith("as promised: MRR is 3.1 times the untrained model's")


@pytest.mark.parametrize(
    ("changed", "found"),
    [({"untrained": {"mrr": 0.16}}, 3), ({"frequency baseline": {"mrr": 0.21}}, 3), ({}, 2)],
)
def test_the_promise_is_broken_by_a_weak_model_or_a_missing_capital(quickstart, changed, found):
    kept, line = quickstart.check_promise(KEPT | changed, found)
    assert not kept
    assert line.startswith("NOT AS PROMISED")


def test_the_measured_results_keep_the_promise(quickstart):
    results = json.loads(RESULTS.read_text())
    assert quickstart.check_promise({name: results[name] for name in KEPT}, results["capitals_found"])[0]


def test_the_pages_show_the_measured_results(quickstart):
    results = json.loads(RESULTS.read_text())
    table = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for name in ROWS:
        row = f"{name:18} {results[name]['num_triplets']:8}"
        assert row + "".join(f"{results[name][key]:9.3f}" for key in quickstart.METRICS) in table
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\*\*countries\*\*.*?MRR (\.\d+).*?frequency has\s+(\.\d+)", readme, re.DOTALL)
    assert [f"{float(number):.3f}" for number in shown.groups()] == [
        f"{results[name]['mrr']:.3f}" for name in ("trained", "frequency baseline")
    ]
