"""The page that is rendered from results files: what it shows of them, and which it refuses."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.scripts import ROOT, run_file, train_example

from lass_hf.utils.result_files import read_results


@pytest.fixture(scope="module")
def made(labeled_folder, graph_folder, encoder_folder, tmp_path_factory):
    """Runs of two seeds, one with another optimizer, a ranking and a low-resource run; the files are in `results`."""
    folder = tmp_path_factory.mktemp("made")
    wn11, umls = (
        shutil.copytree(source, folder / name) for source, name in ((labeled_folder, "wn11"), (graph_folder, "umls"))
    )
    for name, task, graph, *argv in (
        ("wn11_1", "triplet_classification", wn11, "--seed", 1),
        ("wn11_2", "triplet_classification", wn11, "--seed", 2),
        ("wn11_other", "triplet_classification", wn11, "--optim", "sgd", "--seed", 42),
        ("umls", "link_prediction", umls),
        ("low", "low_resource", wn11, "--fractions", 0.5),
    ):
        run = partial(train_example, encoder=encoder_folder, output_dir=folder / "models" / name)
        assert run(task, graph, *argv, "--json", folder / "results" / f"{name}.json") == 0
    return folder


@pytest.fixture
def results_folder(made, tmp_path):
    """A folder like results/ with these files, but for the other optimizer's."""
    folder = tmp_path / "page" / "results"
    shutil.copytree(
        ROOT / "results", folder, ignore=shutil.ignore_patterns("*.json", "variants", "reranking", "score_functions")
    )
    shutil.copytree(made / "results", folder, ignore=shutil.ignore_patterns("*_other.json"), dirs_exist_ok=True)
    (tmp_path / "page" / "docs").mkdir()
    labeled, ranked = (read_results(folder / name)["metrics"]["num_triplets"] for name in ("wn11_1.json", "umls.json"))
    published = yaml.safe_load((folder / "published.yaml").read_text(encoding="utf-8"))
    published["test_triplets"] = {"labeled": {"wn11": labeled}, "true": {"umls": ranked}}
    (folder / "published.yaml").write_text(yaml.safe_dump(published), encoding="utf-8")
    return folder


def change(file: Path, name: str, value) -> None:
    """Changes a value of a results file, or of the training in it."""
    content = json.loads(file.read_text(encoding="utf-8"))
    (content["training"] if name in ("seed", "bf16") else content)[name] = value
    file.write_text(json.dumps(content), encoding="utf-8")


def render(folder: Path) -> tuple[int, Path]:
    return run_file(folder / "render.py", program="make results"), folder.parent / "docs" / "results.md"


def test_page_shows_mean_and_spread_of_the_files_and_labels_the_rest(results_folder):
    code, page = render(results_folder)
    assert code == 0
    text = page.read_text(encoding="utf-8")
    values = [read_results(results_folder / f"wn11_{seed}.json")["metrics"]["accuracy"] for seed in (1, 2)]
    expected = f"**{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}**"
    row = next(line for line in text.splitlines() if "seed 1, 2" in line)
    assert expected in row
    assert row.startswith("| **measured**")
    ranks = read_results(results_folder / "umls.json")["metrics"]
    assert f"{ranks['mr']:.3f} | {ranks['mrr']:.3f}" in text
    assert "| the paper: LASS-BERT-base | 93.3 |" in text
    assert "| cited: KG-BERT (Yao et al., 2019) | 93.5 |" in text
    first = page.read_bytes()
    assert render(results_folder)[0] == 0
    assert page.read_bytes() == first


def test_page_shows_an_interval_for_a_choice_of_triplets(made, results_folder, encoder_folder, tmp_path):
    file = results_folder / "umls.json"
    choice = ["--model", made / "models" / "umls", "--limit", 2, "--json", file]
    places = {"encoder": encoder_folder, "output_dir": tmp_path / "out"}
    assert train_example("link_prediction", made / "umls", *choice, **places) == 0
    _, page = render(results_folder)
    of_triplet = np.array(read_results(file)["ranks"]).reshape(2, 2).mean(axis=0)  # both sides of each
    text = page.read_text(encoding="utf-8")
    assert "2 test triplets" in text
    # of two triplets drawn with replacement, a quarter of the draws has the lower rank twice, and a quarter the higher
    assert f"| {of_triplet.mean():.3f} ({of_triplet.min():.3f} to {of_triplet.max():.3f}) |" in text


def test_page_keeps_runs_of_other_choices_apart(made, results_folder):
    shutil.copy(made / "results" / "wn11_other.json", results_folder)
    _, page = render(results_folder)
    table = page.read_text(encoding="utf-8").partition("### WN11")[2].partition("### FB13")[0]
    rows = [line for line in table.splitlines() if line.startswith("| **measured**")]
    assert [("seed 1, 2 |" in row, "seed 42 |" in row) for row in rows] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("split", "validation", "split 'validation'; the page shows test"),
        ("graph", "my_graph", "graph 'my_graph'; the page shows wn11, fb13"),
        ("task", "benchmark", "task 'benchmark'; the page shows"),
        ("graph", "umls", "graph 'umls'; the page shows wn11, fb13"),
        ("seed", 2, "are the same run with seed 2: keep one"),
    ],
)
def test_page_refuses_runs_that_it_cannot_show(results_folder, capsys, name, value, message):
    change(results_folder / "wn11_1.json", name, value)
    code, page = render(results_folder)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    ("name", "value", "shown"), [("bf16", True, "trained in bfloat16"), ("dtype", "float32", "scored in float32")]
)
def test_precisions_are_rows_of_their_own(results_folder, name, value, shown):
    change(results_folder / "wn11_1.json", name, value)
    _, page = render(results_folder)
    text = page.read_text(encoding="utf-8")
    assert f"{shown}, seed 1 |" in text
    assert "seed 2 |" in text


def test_seeds_with_other_fractions_are_refused(results_folder, capsys):
    content = read_results(results_folder / "low.json")
    metrics = {**content["metrics"], "0.7": content["metrics"]["0.5"]}
    other = {**content, "training": {**content["training"], "seed": 7}, "metrics": metrics}
    (results_folder / "low_7.json").write_text(json.dumps(other), encoding="utf-8")
    assert render(results_folder)[0] == 2
    assert "low_7.json: other fractions than low.json" in capsys.readouterr().err


def test_an_evaluation_by_another_command_has_a_row_of_its_own(made, results_folder, encoder_folder, tmp_path):
    file = results_folder / "umls.json"
    again = ["--model", made / "models" / "umls", "--json", file]
    places = {"encoder": encoder_folder, "output_dir": tmp_path / "out"}
    assert train_example("link_prediction", made / "umls", *again, **places) == 0
    _, page = render(results_folder)
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| [umls.json]")]
    assert len(rows) == 2
    assert "umls.json), evaluation |" in rows[1]
    assert "--model" in rows[1]
    assert "--model" not in rows[0]


def test_rows_that_would_read_the_same_are_refused(results_folder, capsys):
    content = read_results(results_folder / "low.json")
    content["training"]["graph_texts_fingerprint"] = "other"
    (results_folder / "low_again.json").write_text(json.dumps(content), "utf-8")
    assert render(results_folder)[0] == 2
    assert "low.json and low_again.json differ in what their rows do not show" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["wn11_1", "low", "umls"])
def test_page_refuses_part_of_a_benchmark(results_folder, capsys, name):
    shutil.copy(ROOT / "results" / "published.yaml", results_folder)  # with the benchmarks' own sizes
    for file in results_folder.glob("*.json"):
        if file.stem != name:
            file.unlink()
    code, page = render(results_folder)
    assert code == 2
    assert "another graph of that name?" in (error := capsys.readouterr().err)
    assert f"{name}.json" in error
    assert not page.exists()


def test_variants_name_what_differs_and_what_they_share(results_folder):
    (results_folder / "variants").mkdir()
    content = read_results(results_folder / "umls.json")
    (results_folder / "umls.json").unlink()
    for name, changed in (("published_code_42", {}), ("longer_42", {"max_steps": 3})):
        content["training"]["changed"] = {"dropout": 0.2, **changed}
        (results_folder / "variants" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    _, page = render(results_folder)
    text = page.read_text(encoding="utf-8")
    assert "dropout 0.2. Each row names what differs" in text
    assert text.index("| `published_code`, as it is |") < text.index("| max_steps 3 | 42 |")
    assert "**measured**" not in text.partition("### UMLS")[2]
    content["training"]["seed"] = 7
    other = json.dumps(content)
    (results_folder / "variants" / "longer_7.json").write_text(other, encoding="utf-8")
    _, page = render(results_folder)
    rows = [
        line for line in page.read_text(encoding="utf-8").partition("### UMLS")[2].splitlines() if "measured" in line
    ]
    assert len(rows) == 1
    assert "max_steps 3, seed 42, 7 |" in rows[0]


def test_weights_that_are_younger_than_the_training_are_named(results_folder):
    content = read_results(results_folder / "umls.json")
    content["ranking_weights"] |= {"neighbor_weight": 0.5}
    (results_folder / "umls.json").write_text(json.dumps(content), encoding="utf-8")
    _, page = render(results_folder)
    assert ", neighbor_weight 0.5, seed 42 |" in page.read_text(encoding="utf-8")


def test_both_stages_of_a_reranking_are_rows(results_folder, capsys):
    made, file = read_results(results_folder / "umls.json"), results_folder / "reranking" / "both.json"
    metrics = {stage: dict.fromkeys(made["metrics"], 1.0 + number) for number, stage in enumerate("ab")}
    content = {
        **{name: made[name] for name in ("format", "training", "machine", "versions", "git_commit")},
        **{"graph": "umls", "limit": 7, "top_k": 50, "retriever_weight": 0.25, "command": "lass-hf evaluate"},
        **{"retrieval": metrics["a"], "metrics": metrics["b"]},
        "tokens": {"retrieval": 1234, "reranking": 56789},
        "stage_seconds": {"retrieval": 1.0, "reranking": 62.5},
    }
    file.parent.mkdir()
    file.write_text(json.dumps(content), encoding="utf-8")
    assert render(results_folder)[0] == 2
    assert "no reranker_training in it" in capsys.readouterr().err
    training = {**made["training"], "command": "lass-hf train --retriever"}
    file.write_text(json.dumps({**content, "reranker_training": training}), encoding="utf-8")
    code, page = render(results_folder)
    assert code == 0
    text, values = page.read_text(encoding="utf-8"), [" | ".join([number] * 5) for number in ("1.000", "2.000")]
    assert f"UMLS, a seeded choice of 7 test triplets: retriever alone | {values[0]} | 1,234 | 1.0 |" in text
    assert f"test triplets: its 50 best reranked, retriever weight 0.25 | {values[1]} | 56,789 | 62.5 |" in text
    for part, command in (("retriever", made["training"]["command"]), ("reranker", training["command"])):
        assert f"both.json), {part} | `{command}`" in text
    assert "both.json), evaluation | `lass-hf evaluate`" in text
    by_evidence = {"reranker_training": training, "ranking_weights": None, "evidence": {"kinds": ["text", "rules"]}}
    file.write_text(json.dumps({**content, **by_evidence}), encoding="utf-8")
    _, page = render(results_folder)
    assert "test triplets: retriever alone, by all evidence | " in page.read_text(encoding="utf-8")


def write_score_functions(results_folder, changes=None, **values):
    """Writes a results file for each value, of seeds 1, 2, ...; `changes` are of the last file."""
    made, folder = read_results(results_folder / "umls.json"), results_folder / "score_functions"
    folder.mkdir()
    files = [(name, seed, value) for name, own in values.items() for seed, value in enumerate(own, 1)]
    for number, (name, seed, value) in enumerate(files):
        choices = {**made["training"]["choices"], "score_function": name}
        training = {**made["training"], "seed": seed, "choices": choices}
        content = {**made, "training": training, "metrics": {**made["metrics"], "mrr": value}}
        if changes and number == len(files) - 1:
            content["training"] |= changes.get("training", {})
            content |= {name: change for name, change in changes.items() if name != "training"}
        (folder / f"{name}_{number}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("translation", "rotation", "verdict"),
    [
        ((0.50, 0.52), (0.60, 0.62), "rotation, +0.100 MRR against translation: more than the spread of 2 seeds"),
        ((0.50, 0.60), (0.52, 0.62), "rotation, +0.020 MRR against translation: no more than the spread of 2 seeds"),
        ((0.50,), (0.60, 0.62), "rotation, +0.110 MRR against translation, with 2 and 1 seeds: too few to tell."),
        ((0.50,), (0.60,), "bilinear, +0.400 MRR against translation, with 1 and 1 seeds: too few to tell."),
    ],
)
def test_score_functions_are_judged_by_the_spread_of_seeds(results_folder, translation, rotation, verdict):
    write_score_functions(results_folder, translation=translation, rotation=rotation, bilinear=(0.9,))
    code, page = render(results_folder)
    assert code == 0
    text = page.read_text(encoding="utf-8").partition("## Score functions")[2].partition("## Reranking")[0]
    assert f"the best other score function on the test split is {verdict}" in text
    deviation = f" ± {np.std(rotation, ddof=1):.3f}" if len(rotation) > 1 else ""
    seeds = ", ".join(map(str, range(1, 1 + len(rotation))))
    assert f"| rotation | {seeds} | {np.mean(rotation):.3f}{deviation} |" in text
    assert "| bilinear | 1 | 0.900 |" in text
    assert "WN11:" not in text.partition("| bilinear")[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"seed": 1}}, "the second run with seed 1: keep one"),
        ({"training": {"bf16": True}}, "differ in more than score function and seed: keep one"),
        ({"evidence": {"kinds": ["rules"]}}, "expected all of UMLS ranked, or WN11 classified, by the text alone"),
        ({"graph": "wn18rr"}, "expected all of UMLS ranked, or WN11 classified, by the text alone"),
        ({"ranking_weights": {"neighbor_weight": 0.3}}, "ranked with a weight of neighbors or frequencies"),
        ({"training": {"minutes": 6.0}}, "trained with --minutes 6.0, not by default"),
        ({"split": "validation"}, "split 'validation'; the page shows the test split"),
        ({"metrics": {"mrr": 0.7, "num_triplets": 9}}, "differ in more than score function and seed: keep one"),
    ],
)
def test_score_functions_that_were_measured_otherwise_are_refused(results_folder, capsys, changes, message):
    write_score_functions(results_folder, changes, translation=(0.5,), rotation=(0.6, 0.7))
    assert render(results_folder)[0] == 2
    assert message in capsys.readouterr().err


def test_lists_of_whole_graphs_are_tables(results_folder):
    made = read_results(results_folder / "umls.json")
    own = {name: made[name] for name in ("format", "machine", "versions", "git_commit")}
    own |= {"graph": "../graphs/plants.obo", "model": None}
    counts = {"listed": 400, "hits": 74, "precision": 0.185, "recall": 0.552}
    method = {"depths": dict.fromkeys(("50", "200", "1000"), counts)}
    methods = {"list": {**method, "standings": {"new": 0.63}}, "score": method, "frequency": method}
    found = {"num_hidden": 134, "num_lists": 2, "methods": methods, "reliability": {"ece": 0.0003}}
    training = {**made["training"], "command": "lass-hf complete --graph plants.obo"}
    completed = {**own, "metrics": found, "evidence": "auto", "training": training, "command": "lass-hf complete"}
    shares = dict.fromkeys(("precision_at_1", "precision_at_2", "precision_at_5", "auc", "average_precision"), 0.5)
    metrics = {**shares, "random_auc": 0.9, "random_recall_at_5": 0.75}
    audited = {**own, "metrics": metrics, "errors": "errors.tsv", "seconds_of": {"a": 90, "b": 30}, "command": "audit"}
    for name, content in (("completion", completed), ("audit", audited)):
        (results_folder / name).mkdir(exist_ok=True)
        (results_folder / name / "plants.json").write_text(json.dumps(content), encoding="utf-8")
    code, page = render(results_folder)
    assert code == 0
    text, hits = page.read_text(encoding="utf-8"), " | ".join(["74 (0.185)"] * 3)
    assert f"134 hidden, 2 lists: the list, all evidence | {hits} | 63% | 0.0003 |" in text
    assert f"sorted by score, all evidence | {hits} |  |  |" in text
    half = " | ".join(["0.500"] * 5)
    assert f"plants.obo, errors given, no trained model | {half} | 0.750 |  |  | 2 |" in text
    assert "completion/plants.json) | `lass-hf complete --graph plants.obo`" in text
    assert "audit/plants.json), evaluation | `audit`" in text


def test_committed_page_is_what_the_committed_files_say(tmp_path):
    shutil.copytree(ROOT / "results", tmp_path / "results")
    (tmp_path / "docs").mkdir()
    code, page = render(tmp_path / "results")
    assert code == 0
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 1, "metrics": {}}', "results of format 1, expected 2"),
        ('{"format": 2, "metrics": {}}', "no task in it"),
    ],
)
def test_page_refuses_files_that_it_would_misread(results_folder, capsys, content, message):
    (results_folder / "old.json").write_text(content, encoding="utf-8")
    code, page = render(results_folder)
    assert code == 2
    assert "old.json" in (error := capsys.readouterr().err)
    assert message in error
    assert not page.exists()
