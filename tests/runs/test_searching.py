"""`lass-hf search`: equal trials, the recipe as the first one, going on after a kill, the best one as a recipe."""

import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from helpers.command_line import content_of, run
from helpers.tiny import write_graph

from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.runs import searching
from lass_hf.runs.search_trials import Budget, Trials
from lass_hf.runs.searching import search


@pytest.fixture
def fast(monkeypatch):
    """Trials that train nothing: their MRR follows from the learning rate. Gives what was run."""
    ran = []

    def fake(self, values, budget, is_hopeless, deadline=None, title=""):
        ran.append(dict(values))
        rate = values.get("learning_rate", 1e-3)
        mrr = 1 / (1 + abs(np.log10(rate) + 2))  # the best rate is 0.01
        return None if is_hopeless(mrr, 1) else {"mrr": mrr, "mr": 2.0}

    monkeypatch.setattr(Trials, "run", fake)
    monkeypatch.setattr(Trials, "plan", lambda self, seconds: Budget(2.0, 0.5))
    return ran


def rows_of(folder):
    lines = [line.split("\t") for line in (folder / "trials.tsv").read_text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def drawn(rows):
    return [
        {name: row[name] for name in ("mrr", "learning_rate", "self_match_weight", "num_neighbors")} for row in rows
    ]


# The whole command


@pytest.mark.parametrize("given", [["--output_dir", "out"], []])
@pytest.mark.parametrize("name", ["mine_best.yaml", "trials.tsv"])
def test_the_results_are_no_other_file_of_the_search(
    name, given, recipe, graph_folder, tmp_path, monkeypatch, bad_input
):
    monkeypatch.chdir(tmp_path)
    folder = given[1] if given else "runs/mine-search"
    line = bad_input("search", recipe, "--graph", graph_folder, *given, "--json", f"{folder}/{name}")
    assert f"{folder}/{name}: a file of {folder} itself" in line


def test_search_writes_trials_and_a_recipe_that_trains(recipe, graph_folder, tmp_path, capsys):
    out, file = tmp_path / "out", tmp_path / "search.json"
    command = ["search", recipe, "--graph", graph_folder, "--output_dir", out, "--trials", 3, "--json", file]
    assert run(*command) == 0
    shown = capsys.readouterr()
    assert "trial 3 of 3: MRR 0." in shown.err
    assert "each trial trains 2 epochs, 100% of the recipe's training" in shown.err
    assert f"next: lass-hf train {out / 'mine_best.yaml'} --output_dir runs/mine_best" in shown.out
    rows, content = rows_of(out), content_of(file)
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert (rows[0]["learning_rate"], rows[0]["self_match_weight"], rows[0]["num_neighbors"]) == ("0.001", "1.0", "0")
    assert all(float(row["seconds"]) > 0 for row in rows)
    metrics = content["metrics"]
    assert metrics["num_trials"] == 3
    best = max(rows, key=lambda row: float(row["mrr"]))
    assert metrics["best_trial"] == int(best["number"])
    assert metrics["best"]["mrr"] == pytest.approx(float(best["mrr"]), abs=1e-4)
    assert metrics["best"]["mrr"] >= metrics["first"]["mrr"] == pytest.approx(float(rows[0]["mrr"]), abs=1e-4)
    assert (content["epochs"], len(content["trials"]), content["recipe"]) == (2.0, 3, str(recipe))
    assert (content["task"], bool(content["command"])) == ("search", True)
    assert sorted(path.name for path in out.iterdir()) == ["mine_best.yaml", "trials.db", "trials.tsv"]
    best_recipe = yaml.safe_load((out / "mine_best.yaml").read_text())
    expected = {**yaml.safe_load(recipe.read_text()), "graph": str(graph_folder)}
    del expected["search"], expected["output_dir"]
    assert best_recipe == {**expected, **(content["values"] if int(best["number"]) > 1 else {})}
    flags = ["--output_dir", tmp_path / "model", "--evidence", "text", "--quiet"]
    assert run("train", out / "mine_best.yaml", *flags) == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_train_leaves_the_section_to_the_search(recipe, graph_folder, tmp_path):
    flags = ["--output_dir", tmp_path / "model", "--max_steps", 2, "--evidence", "text", "--quiet"]
    assert run("train", recipe, "--graph", graph_folder, *flags) == 0
    choices = content_of(tmp_path / "model" / "training.json")["choices"]
    assert (choices["learning_rate"], choices["max_steps"]) == (1e-3, 2)
    assert "search" not in choices


def test_search_without_optuna_is_refused_in_one_line(recipe, graph_folder, monkeypatch, bad_input):
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna" or name == searching.__name__]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delattr("lass_hf.runs.searching")
    line = bad_input("search", recipe, "--graph", graph_folder)
    assert 'optuna is not installed: pip install "lass-hf[search]"' in line


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("num_negatives: [5]", None),
        ("num_negatives: [6]", 'num_negatives: num_negatives=6 needs architecture="cross-encoder"'),
        ("margin: {low: 3, high: 1}", "margin: low 3 is above high 1"),
        ("loss: [softmax, hinge]", "loss: loss='hinge'; expected one of"),
        ("seed: [-1, 3]", "seed: seed=-1; expected a finite number of 0 or more"),
        ("loss: [softmax, mean_bce]", "loss: loss='mean_bce' with a bi-encoder; expected one of"),
        ("score_function: [rotation, bogus]", "score_function: score_function='bogus'; expected one of translation"),
        ("score_head: [kg-bert]", "score_head: score_head='kg-bert' with architecture='bi-encoder'; expected"),
    ],
)
def test_ranges_are_checked_before_the_first_trial(section, message, recipe, graph_folder, tmp_path, fast, bad_input):
    recipe.write_text(recipe.read_text().partition("search:")[0] + f"search:\n  {section}\n")
    command = ["search", recipe, "--graph", graph_folder, "--output_dir", tmp_path / "out", "--trials", 1]
    if message is None:
        assert run(*command, "--quiet") == 0
        return
    assert f"{recipe}: search: {message}" in bad_input(*command)
    assert not fast


def test_values_that_do_not_fit_each_other_are_refused_before_the_first_trial(recipe, graph_folder, fast, bad_input):
    own = recipe.read_text().partition("search:")[0].replace("normalize: true", "")
    recipe.write_text(own + "search:\n  score_head: [segments, star]\n  score_function: [translation, rotation]\n")
    line = bad_input("search", recipe, "--graph", graph_folder, "--output_dir", recipe.parent / "out", "--trials", 1)
    expected = "score_head and score_function: score_function='rotation' with score_head='star' changes nothing"
    assert f"{recipe}: search: {expected}" in line
    assert not fast


@pytest.mark.parametrize("schedule", ["reduce_lr_on_plateau", "greedy"])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_schedule_that_follows_evaluations_is_refused(
    schedule, has_ranges, recipe, graph_folder, tmp_path, fast, bad_input
):
    own, mark, ranges = recipe.read_text().replace("warmup_steps: 2\n", "").partition("search:")
    recipe.write_text(f"{own}lr_scheduler_type: {schedule}\n{(mark + ranges) * has_ranges}")
    line = bad_input("search", recipe, "--graph", graph_folder, "--output_dir", tmp_path / "out", "--trials", 1)
    told = f"{recipe}: lr_scheduler_type='{schedule}' follows evaluations, and trials evaluate nothing on the way"
    assert told in line
    recipe.write_text(f"{own}search:\n  lr_scheduler_type: [linear, {schedule}]\n")
    line = bad_input("search", recipe, "--graph", graph_folder, "--output_dir", tmp_path / "out", "--trials", 1)
    assert f"search: lr_scheduler_type: lr_scheduler_type='{schedule}' follows evaluations" in line
    assert not fast


def test_a_recipe_without_ranges_is_searched_in_ranges_that_are_told(recipe, graph_folder, tmp_path, fast, capsys):
    recipe.write_text(recipe.read_text().partition("search:")[0])
    assert run("search", recipe, "--graph", graph_folder, "--output_dir", tmp_path / "out", "--trials", 2) == 0
    told = "has no section search, so what suits a bi-encoder is searched: learning_rate 3e-05 to 0.001 (log); warmup"
    assert told in capsys.readouterr().err
    assert set(fast[1]) == {"learning_rate", "warmup_steps", "weight_decay", "dropout"}


def test_default_ranges_leave_out_what_a_recipe_cannot_have(of_reranker, graph_folder, tmp_path, fast, capsys):
    out = tmp_path / "out"
    assert run("search", of_reranker, "--graph", graph_folder, "--output_dir", out, "--trials", 1) == 0
    assert "weight_decay 0.0 or 0.01 or 0.1; num_negatives 10 or 15" in capsys.readouterr().err  # 5 are fewer than 8


def test_values_that_do_not_fit_the_mined_negatives_are_refused(of_reranker, graph_folder, fast, bad_input):
    of_reranker.write_text(of_reranker.read_text() + "search:\n  num_negatives: [5, 10]\n")
    line = bad_input("search", of_reranker, "--graph", graph_folder, "--output_dir", of_reranker.parent / "out")
    assert "search: num_negatives: num_mined=8; expected 1 to num_negatives, 5" in line
    assert not fast


# The search as a whole


def test_the_best_trial_is_found_and_hopeless_ones_are_pruned(recipe, graph_folder, tmp_path, fast):
    found = search(str(recipe), str(graph_folder), str(tmp_path / "out"), num_trials=9, quiet=True)
    assert fast[0] == {}  # the recipe as it stands
    assert found.first.mrr == pytest.approx(0.5)
    assert found.best.mrr == max(trial.mrr for trial in found.trials if trial.state == "complete") > found.first.mrr
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.mrr < found.best.mrr for trial in pruned)
    assert (
        yaml.safe_load((tmp_path / "out" / "mine_best.yaml").read_text())["learning_rate"]
        == (found.best.values["learning_rate"])
    )


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(recipe, graph_folder, tmp_path, fast, monkeypatch):
    whole = search(str(recipe), str(graph_folder), str(tmp_path / "whole"), num_trials=4, quiet=True)
    run_trial, count = Trials.run, len(fast)

    def killed(self, values, *others, **more):
        if len(fast) - count in (0, 3):
            fast.append("killed")
            raise KeyboardInterrupt
        return run_trial(self, values, *others, **more)

    def planned(self, seconds):
        if not (out / "trials.tsv").exists():
            raise KeyboardInterrupt
        return Budget(2.0, 0.5)

    out = tmp_path / "out"
    monkeypatch.setattr(Trials, "run", killed)
    monkeypatch.setattr(Trials, "plan", planned)
    for expected in (0, 0, 2):
        with pytest.raises(KeyboardInterrupt):
            search(str(recipe), str(graph_folder), str(out), num_trials=4, quiet=True)
        assert sum(row["state"] == "complete" for row in rows_of(out)) == expected
        assert (out / "mine_best.yaml").exists() == (expected > 0)
    found = search(str(recipe), str(graph_folder), str(out), num_trials=4, quiet=True)
    counted = [row for row in rows_of(out) if row["state"] != "cut off"]
    assert drawn(counted) == drawn(rows_of(tmp_path / "whole"))
    assert (found.best.values, found.first.mrr) == (whole.best.values, whole.first.mrr)
    before = len(fast)
    assert search(str(recipe), str(graph_folder), str(out), num_trials=4, quiet=True) == found
    assert len(fast) == before
    assert (
        len(search(str(recipe), str(graph_folder), str(out), num_trials=5, quiet=True).trials) == len(found.trials) + 1
    )


def test_a_trial_that_a_kill_left_running_is_run_again(recipe, graph_folder, tmp_path, fast):
    out = tmp_path / "out"
    search(str(recipe), str(graph_folder), str(out), num_trials=2, quiet=True)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{out / 'trials.db'}")
    study.enqueue_trial({"learning_rate": 0.005, "self_match_weight": 0.1, "num_neighbors": 2})
    trial = study.ask()  # and the process is no more
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    search(str(recipe), str(graph_folder), str(out), num_trials=3, quiet=True)
    assert [row["state"] for row in rows_of(out)] == ["complete", "complete", "cut off", "complete"]
    assert rows_of(out)[3]["learning_rate"] == "0.005"


def test_the_time_of_a_call_is_kept(recipe, graph_folder, tmp_path, fast, monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(searching.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(searching.time, "perf_counter", lambda: clock[0])
    run_trial = Trials.run

    def slow(self, *arguments):
        clock[0] += 25.0
        return run_trial(self, *arguments)

    monkeypatch.setattr(Trials, "run", slow)
    found = search(str(recipe), str(graph_folder), str(tmp_path / "out"), num_trials=6, minutes=1.0)
    assert len(found.trials) == 2  # a third one would not end in time
    assert "2 of 6 trials in 1 minutes; the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["recipe", "range", "graph", "seed"])
def test_the_study_of_another_search_is_refused(
    change, recipe, graph_folder, labeled_folder, tmp_path, fast, bad_input
):
    out = tmp_path / "out"
    command = ["search", recipe, "--graph", graph_folder, "--output_dir", out, "--trials", 2]
    assert run(*command, "--quiet") == 0
    table, count = (out / "trials.tsv").read_text(), len(fast)
    if change == "recipe":
        recipe.write_text(recipe.read_text().replace("max_steps: 8", "max_steps: 9"))
    elif change == "range":
        recipe.write_text(recipe.read_text().replace("[0.1, 0.5]", "[0.1, 0.2]"))
    elif change == "graph":
        other = tmp_path / "other"
        other.mkdir()
        for path in Path(graph_folder).iterdir():
            (other / path.name).write_text(path.read_text() + ("mouse\tis_a\tdog\n" if path.stem == "train" else ""))
        command[3] = other
    else:
        command += ["--seed", 7]
    named = {"recipe": "max_steps was 8, now 9", "range": "search: self_match_weight was 0.1 or 0.5, now 0.1 or 0.2"}
    line = bad_input(*command)
    assert f"{out}: has another search (" in line
    assert named.get(change, "the graph has changed" if change == "graph" else "--seed was 42, now 7") in line
    assert ((out / "trials.tsv").read_text(), len(fast)) == (table, count)


def test_a_study_without_a_trial_that_ended_gives_way_to_another(recipe, graph_folder, tmp_path, fast, monkeypatch):
    run_trial = Trials.run
    monkeypatch.setattr(Trials, "run", lambda *_: (_ for _ in ()).throw(LassError("out of memory")))
    with pytest.raises(LassError, match="out of memory"):
        search(str(recipe), str(graph_folder), str(tmp_path / "out"), num_trials=2, quiet=True)
    monkeypatch.setattr(Trials, "run", run_trial)
    recipe.write_text(recipe.read_text().replace("batch_size: 4", "batch_size: 2"))
    assert len(search(str(recipe), str(graph_folder), str(tmp_path / "out"), num_trials=2, quiet=True).trials) == 2


def test_values_that_cannot_be_trained_are_noted_and_the_search_goes_on(
    recipe, graph_folder, tmp_path, fast, monkeypatch, capsys
):
    run_trial = Trials.run

    def diverging(self, values, *others):
        if len(fast) == 1:
            fast.append("diverged")
            raise NonFiniteError("the loss became nan at step 3")
        return run_trial(self, values, *others)

    monkeypatch.setattr(Trials, "run", diverging)
    found = search(str(recipe), str(graph_folder), str(tmp_path / "out"), num_trials=3)
    assert [trial.state for trial in found.trials] == ["complete", "pruned", "complete"]
    assert rows_of(tmp_path / "out")[1]["note"] == "the loss became nan at step 3"
    assert "could not be trained (" in capsys.readouterr().err


def test_a_file_that_is_no_study_is_told_in_one_line(recipe, graph_folder, tmp_path, fast, bad_input):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "trials.db").write_text("these are no trials, and no database\n" * 200)
    line = bad_input("search", recipe, "--graph", graph_folder, "--output_dir", tmp_path / "out")
    assert f"{tmp_path / 'out' / 'trials.db'}: no study of a search that can be used" in line


@pytest.mark.parametrize("name", ["a b", "50% # ?x=1"])
def test_a_folder_may_have_any_name(name, recipe, graph_folder, tmp_path, fast):
    out = tmp_path / name
    search(str(recipe), str(graph_folder), str(out), num_trials=1, quiet=True)
    assert (out / "trials.db").stat().st_size > 0
    assert len(search(str(recipe), str(graph_folder), str(out), num_trials=2, quiet=True).trials) == 2


def test_a_graph_without_validation_triplets_is_told(recipe, tmp_path, bad_input):
    folder = write_graph(tmp_path / "graph", validation=None)
    recipe.write_text("validation: 0\n" + recipe.read_text())
    line = bad_input("search", recipe, "--graph", folder, "--output_dir", tmp_path / "out")
    assert "the graph has no split 'validation'" in line
