"""Results files: what they record, that they are written whole or not at all, and what is refused."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import lass_hf
from lass_hf.core.errors import LassError
from lass_hf.utils.environment import environment, git_commit
from lass_hf.utils.result_files import FORMAT, TRAINING_FILE, read_results, read_training, write_results


def test_file_records_metrics_versions_machine_and_commit(tmp_path):
    file = tmp_path / "a.json"
    write_results(file, {"mrr": 0.5}, task="link_prediction", seed=3)
    content = read_results(file)
    assert content["metrics"] == {"mrr": 0.5}
    assert (content["format"], content["task"], content["seed"], content["num_processes"]) == (
        FORMAT,
        "link_prediction",
        3,
        1,
    )
    assert content["versions"]["lass-hf"] == lass_hf.__version__
    assert {"python", "torch", "transformers"} <= set(content["versions"])
    assert content["machine"]["cores"] >= 1
    assert content["git_commit"] == environment()["git_commit"]


def test_commit_is_that_of_the_checkout():
    folder = Path(lass_hf.__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("the package does not run from a git checkout")
    assert head.stdout.startswith(git_commit().rstrip("+"))


@pytest.mark.parametrize("changed", [None, "lass_hf/utils/environment.py", "examples/recipes/new.yaml"])
def test_a_commit_says_whether_code_or_recipes_differ_from_it(changed, monkeypatch, tmp_path):
    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for file in ("lass_hf/utils/environment.py", "examples/recipes/old.yaml"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    if changed:
        (tmp_path / changed).write_text("changed", encoding="utf-8")
    monkeypatch.setattr(lass_hf.utils.environment, "__file__", str(tmp_path / "lass_hf" / "utils" / "environment.py"))
    assert re.fullmatch("[0-9a-f]{12}" + (r"\+" if changed else ""), git_commit())


def test_a_package_outside_a_checkout_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(lass_hf.utils.environment, "__file__", str(tmp_path / "lass_hf" / "utils" / "environment.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    file = tmp_path / "a.json"
    write_results(file, {"mrr": 0.5})
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_results(file, {"mrr": object()})
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"format": FORMAT - 1, "metrics": {}}), f"results of format {FORMAT - 1}, expected {FORMAT}"),
        (json.dumps({"metrics": {}}), f"results of format None, expected {FORMAT}"),
        (json.dumps({"format": FORMAT}), "not a results file"),
        (json.dumps({"format": FORMAT, "metrics": [1]}), r"not a results file, .* \(metrics is of type list\)"),
        ("[1]", r"not a results file, .* \(no JSON object\)"),
        ("no json", "not a results file, .*line 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"metrics": ' * 100_000, "nested too deeply"),
        (None, "No such file"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, message):
    file = tmp_path / "a.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(LassError, match=message) as caught:
        read_results(file)
    assert str(file) in str(caught.value)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(LassError, match=r"a\.json: not a results file, .*no regular file"):
        read_results(tmp_path / "a.json")


RUN = {
    **{"graph": "pets", "graph_fingerprint": "a1", "recipe": None, "changed": {}, "seed": 3, "bf16": False},
    **{"choices": {"margin": 7.0}, "command": "lass-hf train", "resumed": False},
}


@pytest.mark.parametrize("name", RUN)
def test_a_training_whose_record_lacks_a_key_or_has_another_type_is_refused(name, tmp_path):
    for run in ({key: value for key, value in RUN.items() if key != name}, {**RUN, name: [1]}):
        write_results(tmp_path / TRAINING_FILE, {"train_loss": 1.0}, task="training", **run)
        with pytest.raises(LassError, match=rf"training\.json: not the results .*{name} (in it|is of type list)"):
            read_training(tmp_path)


def test_a_training_that_has_not_ended_has_no_metadata(tmp_path):
    assert read_training(tmp_path) is None
    write_results(tmp_path / TRAINING_FILE, {}, task="training", **RUN)
    assert read_training(tmp_path) is None
    write_results(tmp_path / TRAINING_FILE, {"train_loss": 1.0}, task="training", **RUN, log=[{}])
    metadata = read_training(tmp_path)
    assert (metadata["seed"], metadata["metrics"], metadata["num_processes"]) == (3, {"train_loss": 1.0}, 1)
    assert not {"log", "task", "format"} & set(metadata)


def test_a_run_probes_its_environment_once(tmp_path, monkeypatch):
    write_results(tmp_path / "a.json", {})
    monkeypatch.setattr("lass_hf.utils.environment.git_commit", lambda: pytest.fail("a second probe"))
    write_results(tmp_path / "b.json", {})
    first, second = (read_results(tmp_path / name) for name in ("a.json", "b.json"))
    assert first["git_commit"] == second["git_commit"]
