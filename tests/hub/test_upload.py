"""Models pushed to a hub and pulled from it over HTTP: which files are uploaded, and what happens on failures."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.evidence import some_evidence
from helpers.hub_server import Repo
from helpers.tiny import forget_digests, make_model
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer

from lass_hf import LassForKGCompletion, LassPredictor, LassProcessor, push_to_hub
from lass_hf.core.errors import HubError, ModelError
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.evidence.evidence_files import save_evidence
from lass_hf.utils.hub_client import api

NAME = "user/animals"
TEXTS = [("cat", "is a", "animal"), ("dog", "eats", "cheese, food made of milk"), ("mouse", "lives in", "garden")]
CODE = {
    *(
        "architectures.py",
        "choices.py",
        "configuration_lass.py",
        "encoders.py",
        "errors.py",
        "graph_formats.py",
        "knowledge_graph.py",
        "known_triplets.py",
        "neighbor_names.py",
    ),
    *("modeling_lass.py", "processing_lass.py", "saved_files.py", "score_functions.py", "score_heads.py"),
    *("token_store.py", "vocabulary.py"),
}
MODEL = {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")

# huggingface_hub itself uploads files with an argument that its HTTP client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def folder(model_folder, tmp_path):
    return Path(shutil.copytree(model_folder, tmp_path / "animals"))


def scores_of(name, **kwargs):
    model, processor = (
        LassForKGCompletion.from_pretrained(name, **kwargs),
        LassProcessor.from_pretrained(name, **kwargs),
    )
    with torch.no_grad():
        return model(**processor(TEXTS)).scores


def contents(folder):
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def assert_one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    for part in parts:
        assert part in message


# Push, pull


def test_hub_gives_back_the_model_that_was_pushed(hub, folder, tmp_path):
    before = contents(folder)
    info = push_to_hub(folder, NAME)
    assert info.oid == list(hub.repos["models", NAME].commits)[-1]
    assert contents(folder) == before
    assert set(hub.files(NAME)) == CODE | MODEL | {VOCABULARY_FILE, ".gitattributes"}
    assert torch.equal(scores_of(NAME), scores_of(folder))
    assert (
        type(AutoConfig.from_pretrained(NAME)).__module__ == "lass_hf.core.configuration_lass"
    )  # without asking whether its code may run
    assert type(AutoModel.from_pretrained(NAME)) is LassForKGCompletion
    assert type(AutoProcessor.from_pretrained(NAME)) is LassProcessor
    assert (
        AutoTokenizer.from_pretrained(NAME)("cat")["input_ids"]
        == AutoTokenizer.from_pretrained(folder)("cat").input_ids
    )
    answers = LassPredictor.from_pretrained(NAME).predict(head="cat", relation="eats", top_k=3)
    assert len(answers) == 3


def test_hub_gets_a_model_and_processor_that_were_never_saved(hub, model, processor):
    push_to_hub((model, processor), NAME, private=True)
    assert hub.repos["models", NAME].private
    assert set(hub.files(NAME)) == CODE | MODEL | {VOCABULARY_FILE, ".gitattributes", "README.md"}
    assert b"No training of it is recorded" in hub.files(NAME)["README.md"]
    with torch.no_grad():
        assert torch.equal(scores_of(NAME), model(**processor(TEXTS)).scores)


def test_hub_gets_the_evidence_of_a_model_that_was_loaded_unless_the_model_changed(hub, graph, tmp_path, caplog):
    made, processor = bi_encoder_model(), bi_encoder_processor(graph)
    made.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    model = LassForKGCompletion.from_pretrained(tmp_path)
    save_evidence(some_evidence(graph, model, processor, ("text", "rules")), tmp_path / "evidence", graph)
    saved = {f"evidence/{file.name}": file.read_bytes() for file in (tmp_path / "evidence").iterdir()}
    push_to_hub((model, processor), NAME, include_graph="full")
    assert saved.items() <= hub.files(NAME).items()
    assert not caplog.text
    push_to_hub((LassForKGCompletion.from_pretrained(NAME), processor), "user/again", include_graph="full")
    assert saved.items() <= hub.files("user/again").items()
    push_to_hub((model, processor), NAME)
    assert "its evidence stays here" in caplog.text
    assert not saved.keys() & hub.files(NAME).keys()
    next(model.parameters()).data += 1
    push_to_hub((model, processor), "user/again", include_graph="full")
    assert "user/again: pushed without evidence: " in caplog.text
    assert not saved.keys() & hub.files("user/again").keys()


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_a_push_without_the_triplets_warns_if_the_model_needs_them(weight, hub, tmp_path, caplog):
    bi_encoder_model(**{weight: 0.3}).save_pretrained(tmp_path)
    bi_encoder_processor().save_pretrained(tmp_path)
    push_to_hub(tmp_path, NAME, include_graph="full")
    assert not caplog.text
    push_to_hub(tmp_path, NAME)
    assert f"{NAME} ranks entities by their neighbors or frequencies" in caplog.text


@pytest.mark.parametrize("include", ["full", "vocabulary", "none"])
def test_hub_has_as_much_of_the_graph_as_include_graph_allows(include, hub, folder, graph, caplog):
    push_to_hub(folder, NAME, include_graph=include)
    assert not caplog.text
    files = {"full": {VOCABULARY_FILE, TRIPLETS_FILE}, "vocabulary": {VOCABULARY_FILE}, "none": set()}[include]
    assert {VOCABULARY_FILE, TRIPLETS_FILE} & set(hub.files(NAME)) == files
    pulled = LassProcessor.from_pretrained(NAME).graph
    assert LassProcessor.from_pretrained(folder).graph.known.contains(graph["train"].triplets).all()
    if include == "none":
        assert pulled is None
    else:
        assert pulled.entities.texts == graph.entities.texts
        assert len(pulled.known) == (len(graph.known) if include == "full" else 0)


def test_a_push_removes_the_triplets_that_it_leaves_out(hub, folder):
    push_to_hub(folder, NAME, include_graph="full")
    push_to_hub(folder, NAME, include_graph="none")
    assert not {VOCABULARY_FILE, TRIPLETS_FILE} & set(hub.files(NAME))
    assert (folder / TRIPLETS_FILE).is_file()


def test_hub_gets_the_card_and_no_file_of_local_use_only(hub, folder):
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# Animals\n")
    for name in ("checkpoint-3/model.safetensors", "entity_index/part.safetensors", "runs/events.out", "logs/a.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    for name in ("training.json", "trainer_state.json", "all_results.json", "umls.json.progress", "_notes", ".hidden"):
        (folder / name).write_bytes(b"x")
    for name in ("test.json", "notes.txt", "own_script.py", "losses_of_mine.py", "other.safetensors", "x.jinja"):
        (folder / name).write_bytes(b"x")
    for suffix in PICKLES:
        (folder / f"pytorch_model{suffix}").write_bytes(b"x")
    push_to_hub(folder, NAME)
    assert set(hub.files(NAME)) == CODE | MODEL | {VOCABULARY_FILE, ".gitattributes", "README.md"}
    assert b"# Animals" in hub.files(NAME)["README.md"]


def test_hub_keeps_what_was_pushed_before_under_its_commit(hub, folder, processor):
    first = push_to_hub(folder, NAME).oid
    other = make_model(seed=1)
    second = push_to_hub((other, processor), NAME).oid
    with torch.no_grad():
        assert torch.equal(scores_of(NAME, revision=second), other(**processor(TEXTS)).scores)
    assert torch.equal(scores_of(NAME, revision=first), scores_of(folder))
    assert not torch.equal(scores_of(NAME), scores_of(folder))


def test_only_changed_files_are_uploaded(hub, folder):
    push_to_hub(folder, NAME)
    commits, sent = len(hub.repos["models", NAME].commits), hub.count("/lfs/")["PUT"]
    push_to_hub(folder, NAME)
    assert len(hub.repos["models", NAME].commits) == commits
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# Animals\n")
    push_to_hub(folder, NAME, commit_message="A card")
    assert hub.repos["models", NAME].messages[-1] == "A card"
    assert hub.count("/lfs/")["PUT"] == sent


def test_hub_sends_large_files_in_parts_and_small_ones_at_once(hub, folder):
    push_to_hub(folder, NAME, include_graph="full")
    assert hub.count("/lfs/")["PUT"] > 2
    for name in ("model.safetensors", TRIPLETS_FILE):
        assert hub.files(NAME)[name] == (folder / name).read_bytes()
    assert hub.count("/verify/")["POST"] == 2


def test_hub_push_of_a_processor_alone_keeps_the_triplets_here(hub, processor):
    processor.push_to_hub(NAME)
    assert VOCABULARY_FILE in hub.files(NAME)
    assert TRIPLETS_FILE not in hub.files(NAME)
    processor.push_to_hub(NAME, include_graph="full")
    assert TRIPLETS_FILE in hub.files(NAME)
    assert len(processor.graph.known) == 20


def test_hub_push_of_a_saved_processor_keeps_the_triplets_here(hub, processor, tmp_path):
    processor.save_pretrained(tmp_path / "mine", push_to_hub=True, repo_id=NAME)
    assert VOCABULARY_FILE in hub.files(NAME)
    assert TRIPLETS_FILE not in hub.files(NAME)
    assert (tmp_path / "mine" / TRIPLETS_FILE).is_file()


def test_hub_push_of_a_model_alone_brings_its_code(hub, model):
    model.push_to_hub(NAME)
    assert {"config.json", "model.safetensors", "modeling_lass.py", "configuration_lass.py"} <= set(hub.files(NAME))


@pytest.mark.parametrize("include", ["triplets", "", None])
def test_hub_push_refuses_an_unknown_choice_of_the_graph(include, hub, folder, processor):
    with pytest.raises(HubError, match="expected one of full, vocabulary, none"):
        push_to_hub(folder, NAME, include_graph=include)
    with pytest.raises(ValueError, match="expected one of full, vocabulary, none"):
        processor.push_to_hub(NAME, include_graph=include)
    assert not hub.files(NAME).keys() - {".gitattributes"} if hub.repos else True


def test_hub_push_refuses_a_folder_without_a_model(hub, tmp_path, encoder_folder):
    for source in (tmp_path, tmp_path / "nothing", encoder_folder):
        with pytest.raises(HubError) as caught:
            push_to_hub(source, NAME)
        assert_one_line(caught, str(source), "processor_config.json")
    assert not hub.repos


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (list, "a list of LassForKGCompletion, LassProcessor"),
        (lambda both: both[:1], "a tuple of LassForKGCompletion"),
        (lambda both: both[::-1], "a tuple of LassProcessor, LassForKGCompletion"),
        (lambda both: both[0], "a LassForKGCompletion"),
        (lambda _: None, "a NoneType"),
        (lambda _: (), "a tuple"),
    ],
)
def test_hub_push_refuses_what_is_no_folder_and_no_model_with_its_processor(make, given, hub, model, processor):
    with pytest.raises(HubError) as caught:
        push_to_hub(make((model, processor)), NAME)
    assert_one_line(caught, f"{given} cannot be pushed; expected the folder of a saved model, or (model, processor)")
    assert not hub.repos


# What goes wrong when pushing


def test_hub_push_with_a_bad_token_changes_nothing(hub, folder):
    before = contents(folder)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME, token="hf_wrong")
    assert_one_line(caught, NAME, "the hub does not accept the token", "hf auth login")
    assert contents(folder) == before
    assert not hub.repos
    push_to_hub(folder, NAME)
    assert torch.equal(scores_of(NAME), scores_of(folder))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "the hub refuses it: told to (HTTP 400)"),
        (401, "does not accept the token"),
        (403, "does not allow this"),
        (404, "no repository"),
        (500, "try again"),
    ],
)
@pytest.mark.parametrize("call", ["/api/repos/create", "/preupload/", "objects/batch", "/commit/"])
def test_hub_push_that_is_refused_says_why_and_a_second_completes(status, reason, call, hub, folder):
    hub.fail("POST", call, status, times=6)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, NAME, reason)
    assert not hub.repos or set(hub.files(NAME)) == {".gitattributes"}
    hub.faults.clear()
    push_to_hub(folder, NAME)
    assert hub.files(NAME)["model.safetensors"] == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("method", "call"),
    [("POST", "/repos/create"), ("POST", "/preupload/"), ("POST", "/batch"), ("PUT", "/lfs/"), ("POST", "/commit/")],
)
def test_hub_push_whose_connection_breaks_off_loses_nothing_and_a_second_completes(method, call, hub, folder):
    before = contents(folder)
    hub.fail(method, call, times=1000)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME, include_graph="full")
    assert_one_line(caught, NAME, "the connection to the hub broke off", "try again")
    assert contents(folder) == before
    assert not hub.repos or set(hub.files(NAME)) == {".gitattributes"}  # no half of a model
    hub.faults.clear()
    push_to_hub(folder, NAME, include_graph="full")
    assert torch.equal(scores_of(NAME), scores_of(folder))


def test_hub_push_under_an_invalid_name_says_so(hub, folder):
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, "user/my animals")
    assert_one_line(caught, "user/my animals", "Repo id must")


def test_hub_push_of_a_card_that_the_hub_refuses_says_why(hub, folder):
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# Animals\n")
    hub.fail("POST", "/validate-yaml", 400)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, "told to (HTTP 400)")
    assert set(hub.files(NAME)) == {".gitattributes"}


def test_hub_push_survives_a_connection_that_breaks_off_once(hub, folder):
    hub.fail("PUT", "/lfs/")
    push_to_hub(folder, NAME)
    assert hub.files(NAME)["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_hub_push_without_a_hub_says_so(hub, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    api.cache_clear()
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, "the connection to the hub broke off")


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), ModelError("a bug")])
def test_hub_push_turns_errors_of_any_kind_into_a_line_and_keeps_the_cause(error, hub, folder, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(type(api()), "create_commit", fail)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, "not pushed (", "a bug")
    assert caught.value.__cause__ is error


def test_hub_push_of_a_damaged_configuration_says_which(hub, folder):
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, "tokenizer_config.json is not the one that processor_config.json was saved with")
    forget_digests(folder)
    with pytest.raises(HubError) as caught:
        push_to_hub(folder, NAME)
    assert_one_line(caught, "tokenizer_config.json: its auto_map cannot be read")


# What goes wrong when pulling


@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, LassProcessor.from_pretrained])
def test_hub_pull_of_a_missing_model_says_so(load, hub):
    with pytest.raises(ModelError) as caught:
        load("user/nothing")
    assert_one_line(caught, "user/nothing", "no repository of that name")


@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, LassProcessor.from_pretrained])
def test_hub_pull_of_a_missing_revision_says_so(load, hub, folder):
    push_to_hub(folder, NAME)
    with pytest.raises(ModelError) as caught:
        load(NAME, revision="v9")
    assert_one_line(caught, NAME, "no such revision")


@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, LassProcessor.from_pretrained])
@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_hub_pull_with_a_bad_token_says_so(load, door, hub, folder):
    push_to_hub(folder, NAME, private=True)
    with pytest.raises(ModelError) as caught:
        getattr(load.__self__, door)(NAME, token="hf_wrong")
    assert_one_line(caught, NAME, "the hub does not accept the token")


def test_hub_pull_of_a_private_model_without_a_token_says_so(hub, folder):
    push_to_hub(folder, NAME, private=True)
    with pytest.raises(ModelError) as caught:
        LassForKGCompletion.from_pretrained(NAME, token=False)
    assert_one_line(caught, NAME, "no repository of that name, or not for you")


@pytest.mark.parametrize(
    ("method", "part"),
    [("GET", "/lfs/"), ("HEAD", "/model.safetensors"), ("GET", "/config.json"), ("HEAD", "/config.json")],
)
def test_hub_pull_whose_connection_breaks_off_says_so_and_a_second_completes(method, part, hub, folder):
    push_to_hub(folder, NAME)
    hub.fail(method, part, times=1000)
    with pytest.raises(ModelError) as caught:
        LassForKGCompletion.from_pretrained(NAME)
    assert_one_line(caught, NAME, "the connection to the hub broke off")
    hub.faults.clear()
    assert torch.equal(scores_of(NAME), scores_of(folder))


@pytest.mark.parametrize("load", [LassForKGCompletion, LassProcessor])
@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_hub_pull_without_a_hub_of_a_mistyped_name_does_not_wait(load, door, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits to try again"))
    with pytest.raises(ModelError) as caught:
        getattr(load, door)("runs/typo")
    assert_one_line(caught, "runs/typo: no such folder", "could not be reached")


@pytest.mark.parametrize("name", ["./typo", "typo/", "runs/typo/", "a/b/c", "/nowhere/typo", Path("a/b/c")])
@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, LassProcessor.from_encoder])
def test_no_request_is_made_for_a_name_that_the_hub_cannot_have(load, name, hub):
    with pytest.raises(ModelError) as caught:
        load(name)
    assert_one_line(caught, f"{name}: no such folder")
    assert not hub.calls


@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, LassProcessor.from_pretrained])
def test_none_instead_of_a_name_is_refused(load):
    with pytest.raises(ModelError) as caught:
        load(None)
    assert_one_line(caught, "None is not the name of a model")


def test_hub_pull_survives_the_loss_of_its_first_connection(hub, folder):
    push_to_hub(folder, NAME)
    hub.fail("HEAD", "/config.json", times=1)
    assert torch.equal(scores_of(NAME), scores_of(folder))


def test_hub_pull_without_a_hub_gives_what_is_cached(hub, folder):
    push_to_hub(folder, NAME, include_graph="full")
    expected = scores_of(NAME)
    hub.fail("GET", "/", 503, times=10**9)
    hub.fail("HEAD", "/", 503, times=10**9)
    assert torch.equal(scores_of(NAME), expected)


def test_hub_pull_goes_on_where_a_connection_broke_off(hub, folder):
    push_to_hub(folder, NAME)
    hub.fail("GET", "/lfs/")
    assert torch.equal(scores_of(NAME), scores_of(folder))
    assert hub.count("/lfs/")["GET"] == 2


# Nothing is unpickled


class Trap:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def with_pickle_only(folder, trap):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    forget_digests(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weights": Trap(trap)}))
    return weights


@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
@pytest.mark.parametrize("choices", [{}, {"use_safetensors": False}, {"weights_only": False}])
def test_hub_and_folders_never_give_a_pickle(door, choices, hub, folder, tmp_path):
    trap = tmp_path / "trap"
    with_pickle_only(folder, trap)
    load = getattr(LassForKGCompletion, door)
    with pytest.raises(ModelError) as caught:
        load(str(folder), **choices)
    assert_one_line(caught, str(folder), "pickled weights are not read")
    hub.repos["models", NAME] = repo = Repo()
    repo.commit({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}, "by hand")
    with pytest.raises(ModelError) as caught:
        load(NAME, **choices)
    assert_one_line(caught, NAME, "pickled weights are not read")
    assert not trap.exists()


def test_hub_and_folders_get_no_pickle(hub, model, processor, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    assert not [path for path in (tmp_path / "saved").rglob("*") if path.suffix in PICKLES]
    push_to_hub(tmp_path / "saved", NAME, include_graph="full")
    assert not [path for path in hub.files(NAME) if path.endswith(PICKLES)]
