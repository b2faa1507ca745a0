"""A training without settings: they are chosen, told and kept, for `lass-hf train` and `lass-hf complete`."""

import shutil

import pytest
import torch
import yaml
from helpers.command_line import content_of, run
from helpers.tiny import TRAIN

from lass_hf import LassForKGCompletion
from lass_hf.runs import automatic
from lass_hf.runs import run as run_module


@pytest.fixture
def default_encoder(monkeypatch, encoder_folder):
    monkeypatch.setattr(automatic, "DEFAULT_ENCODER", encoder_folder)


def test_train_with_a_graph_alone_keeps_a_recipe_that_trains_the_same(graph_folder, default_encoder, tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    flags = ["--report_to", "none", "--max_steps", 3]
    assert run("train", "--graph", graph_folder, "--output_dir", one, *flags) == 0
    shown = capsys.readouterr().err
    assert "the settings are chosen for this graph and this machine" in shown
    assert "per_device_train_batch_size 16: positives; there are 14 training triplets" in shown
    recipe = yaml.safe_load((one / "recipe.yaml").read_text())
    assert (recipe["architecture"], recipe["loss"], recipe["max_steps"]) == ("bi-encoder", "softmax", 3)
    assert run("train", one / "recipe.yaml", "--graph", graph_folder, "--output_dir", other, "--quiet") == 0
    weights = [LassForKGCompletion.from_pretrained(folder).state_dict() for folder in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not (other / "recipe.yaml").exists()


def test_flags_win_over_what_is_chosen(graph_folder, default_encoder, tmp_path):
    out, file = tmp_path / "out", tmp_path / "train.json"
    flags = [
        "--num-neighbors=0",
        "--learning_rate",
        "1e-3",
        "--max_steps",
        1,
        "--report_to",
        "none",
        "--quiet",
        "--hub_token",
        "hf_x",
    ]
    assert run("train", "--graph", graph_folder, "--output_dir", out, "--json", file, *flags) == 0
    used = content_of(file)["arguments"]
    assert (used["num_neighbors"], used["learning_rate"], used["normalize"]) == (0, 1e-3, True)
    lines = (out / "recipe.yaml").read_text().splitlines()
    assert {"num_neighbors: 0  # given", "learning_rate: 0.001  # given", "normalize: true"} <= set(lines)
    assert not any(line.startswith(("hub_token:", "graph:", "output_dir:", "json:", "quiet:")) for line in lines)


def test_a_recipe_of_an_earlier_model_does_not_stay(training, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.yaml").write_text("margin: 3\n")
    assert run("train", *training) == 0
    assert not (tmp_path / "out" / "recipe.yaml").exists()


@pytest.mark.parametrize("named", ["--architecture=cross-encoder", "--preset=paper"])
def test_minutes_are_for_settings_that_are_chosen(named, graph_folder, encoder_folder, tmp_path, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--encoder", encoder_folder, "--minutes", 3, named)
    assert "--minutes 3 is for settings that are chosen" in line


def test_choices_of_the_other_architecture_are_refused(graph_folder, default_encoder, tmp_path, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--output_dir", tmp_path / "out", "--num_negatives", 3)
    assert 'num_negatives=3 needs architecture="cross-encoder"' in line


def test_complete_trains_a_model_once(graph_folder, default_encoder, tmp_path, monkeypatch, bad_input, capsys):
    out, folder = tmp_path / "out", shutil.copytree(graph_folder, tmp_path / "graph")
    command = ["complete", "--graph", folder, "--output", out, "--minutes", 1e-6, "--quiet"]
    assert run(*command) == 0
    first = (out / "suggestions.tsv").read_bytes()
    assert yaml.safe_load((out / "model" / "recipe.yaml").read_text())["architecture"] == "bi-encoder"
    monkeypatch.setattr(automatic, "run_plan", lambda plan: pytest.fail("it trains again"))
    for file in ("suggestions.tsv", "implied.tsv", "completion.json"):
        (out / file).unlink()
    assert run(*command) == 0
    assert (out / "suggestions.tsv").read_bytes() == first
    for changed, name in ((["--minutes", 2], "minutes"), (["--seed", 7], "seed"), (["--long_text"], "long_text")):
        line = bad_input(*command, *changed)
        assert f"has a model that was trained with {name} " in line
        assert "delete" not in line
    texts = (folder / "entity2text.txt").read_text()
    (folder / "entity2text.txt").write_text(texts.replace("\n", " of another kind\n", 1))
    assert run(*command) == 2
    assert "trained on another version of" in capsys.readouterr().err.splitlines()[-1]
    (folder / "entity2text.txt").write_text(texts)
    with (folder / "train.tsv").open("a") as file:
        file.write("mouse\tis_a\tdog\n")
    assert "trained on another version of" in bad_input(*command)
    (tmp_path / "audited").mkdir()
    (tmp_path / "audited" / "audit.json").write_text("{}")
    command[4] = tmp_path / "audited"
    assert "has audit.json, the output of another command; choose another --output" in bad_input(*command)


def test_complete_says_once_what_became_of_the_file(default_encoder, tmp_path, caplog):
    lines = [f"ex:{head} ex:{relation} ex:{tail} ." for head, relation, tail in TRAIN]
    file = tmp_path / "animals.ttl"
    file.write_text("\n".join(["@prefix ex: <http://example.org/> .", *lines, "ex:cat ex:age 7 ."]), encoding="utf-8")
    assert run("complete", "--graph", file, "--output", tmp_path / "out", "--minutes", 1e-6) == 0
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 1


def test_evidence_that_a_kill_cut_off_is_added_once_and_the_recipe_is_there_before(
    graph_folder, default_encoder, tmp_path, monkeypatch
):
    calls = []

    def add(folder, *_):
        calls.append(sorted(path.name for path in folder.iterdir() if path.name in ("recipe.yaml", "training.json")))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"kinds": ["text"]}

    monkeypatch.setattr(run_module, "find_lack_of_structure", lambda graph: None)
    monkeypatch.setattr(automatic, "find_lack_of_structure", lambda graph: None)
    monkeypatch.setattr(run_module, "add_evidence", add)
    monkeypatch.setattr(automatic, "add_evidence", add)
    argv = ["--graph", str(graph_folder), "--minutes", "1e-6", "--quiet"]
    with pytest.raises(KeyboardInterrupt):
        automatic.train_once(tmp_path / "model", argv, "lass-hf complete")
    for _ in range(2):
        automatic.train_once(tmp_path / "model", argv, "lass-hf complete")
    assert calls == [["recipe.yaml", "training.json"]] * 2
    assert content_of(tmp_path / "model" / "training.json")["evidence"] == {"kinds": ["text"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--relations", "flies"], "flies"), (["--decisions", "nowhere.tsv"], "nowhere.tsv")],
)
def test_what_is_wrong_with_a_completion_is_told_before_the_training(
    options, message, graph_folder, tmp_path, monkeypatch, bad_input
):
    monkeypatch.setattr(automatic, "train_once", lambda *_: pytest.fail("it trains"))
    assert message in bad_input("complete", "--graph", graph_folder, "--output", tmp_path / "out", *options)


def test_what_is_switched_off_stays_off_in_the_recipe(graph_folder, default_encoder, tmp_path):
    argv = ["--graph", str(graph_folder), "--output_dir", str(tmp_path / "out"), "--max_steps", "1", "--quiet"]
    plan = automatic.plan_training([*argv, "--no_separators", "--no_learn_scale"])
    assert not plan.arguments.separators
    recipe = yaml.safe_load(plan.settings.as_recipe("head", plan.given))
    assert (recipe["separators"], recipe["learn_scale"]) == (False, False)


def test_a_schedule_without_warmup_gets_none(graph_folder, default_encoder, tmp_path):
    argv = ["--graph", str(graph_folder), "--output_dir", str(tmp_path / "out"), "--lr_scheduler_type"]
    plan = automatic.plan_training([*argv, "constant"])
    assert (plan.training.lr_scheduler_type, plan.training.warmup_steps) == ("constant", 0)
    assert "warmup_steps" not in plan.settings.as_recipe("", plan.given)
    assert automatic.plan_training([*argv, "cosine"]).training.warmup_steps == 0.05


def test_lists_and_groups_of_values_are_kept_in_the_recipe(graph_folder, default_encoder, tmp_path):
    argv = ["--graph", str(graph_folder), "--output_dir", str(tmp_path / "out"), "--max_steps", "1", "--quiet"]
    argv += ["--accelerator_config", '{"split_batches": true}', "--debug", "underflow_overflow"]
    plan = automatic.plan_training(argv)
    recipe = yaml.safe_load(plan.settings.as_recipe("head", plan.given))
    assert recipe["accelerator_config"]["split_batches"] is True
    assert recipe["debug"] == ["underflow_overflow"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--score_function", "rotatoin"], "score_function='rotatoin'; expected one of translation"),
        (["--score_head", "kgbert"], "score_head='kgbert'; expected one of segments"),
        (["--score_head", "star", "--score_function", "rotation"], "score_function='rotation' with score_head='star'"),
    ],
)
def test_a_head_or_score_function_that_does_not_fit_is_refused_before_the_encoder_is_loaded(
    flags, message, graph_folder, tmp_path, bad_input, monkeypatch
):
    monkeypatch.setattr("lass_hf.runs.automatic.load_training_graph", lambda *_: pytest.fail("read the graph"))
    assert message in bad_input("train", "--graph", graph_folder, "--output_dir", tmp_path / "out", *flags)
