"""Errors of libraries, where they cross into ours: any kind, one line, the cause kept."""

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.command_line import run
from helpers.tiny import one_line, wordpiece_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.processing_utils import ProcessorMixin

from lass_hf import GraphError, LassError, LassForKGCompletion, LassProcessor, ModelError
from lass_hf.core.errors import MAX_LENGTH, first_line, library_errors


class PanicException(BaseException):
    """What Rust code raises through pyo3 when it panics."""


KINDS = [
    *(Exception("Cannot instantiate this tokenizer"), AttributeError("no attribute"), IndexError(), AssertionError()),
    *(ZeroDivisionError("division by zero"), RecursionError("maximum recursion depth exceeded"), MemoryError()),
    *(pickle.UnpicklingError("invalid load key"), KeyError("type"), EOFError(), StopIteration(), OSError(5, "disk")),
    PanicException("index out of bounds"),
]


def kind_of(error):
    return type(error).__name__


@pytest.mark.parametrize("error", KINDS, ids=kind_of)
def test_an_error_of_any_kind_becomes_one_line_and_stays_the_cause(error):
    with pytest.raises(ModelError) as caught, library_errors("folder: no model", "; do this"):
        raise error
    one_line(caught, "folder: no model (", "); do this", str(error) or kind_of(error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=kind_of)
def test_what_ends_a_program_passes(error):
    with pytest.raises(type(error)), library_errors("folder: no model"):
        raise error


def test_an_error_of_the_kind_asked_for_passes_and_another_gets_the_name():
    ours = ModelError("it is right already")
    with pytest.raises(ModelError) as caught, library_errors("folder: no model"):
        raise ours
    assert caught.value is ours
    with pytest.raises(ModelError, match=r"^folder: no model \(line 3 is wrong\)$"), library_errors("folder: no model"):
        raise GraphError("line 3 is wrong")
    with pytest.raises(GraphError), library_errors("folder: no model", kind=LassError):
        raise GraphError("line 3 is wrong")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first of two\nsecond"), "first of two"),
        (ValueError("Validation error for field 'scale':\n    TypeError: expected float"), None),
        (ValueError("no backend from one of:\n\n(1) a file"), "no backend from one of: (1) a file"),
        (KeyError("model_type"), "KeyError: 'model_type'"),
        (ValueError("x" * 1000), None),
        (IndexError("  \n"), "IndexError"),
        (
            RuntimeError("You set `ignore_mismatched_sizes` to `False`, thus raising an error. See the above report!"),
            "its weights have other sizes than those that its config.json says",
        ),
        (LassError("x " * 400), "x " * 400),
    ],
)
def test_the_line_of_an_error_says_something_and_not_too_much(error, line):
    found = first_line(error)
    if line is None:
        line = "Validation error for field 'scale': TypeError: expected float"
        if "x" * 300 in str(error):
            line = f"ValueError: {'x' * (MAX_LENGTH - 1)}…"
    assert found == line


def test_an_error_of_megabytes_is_a_line():
    assert len(first_line(ValueError("a b " * 10_000_000))) == MAX_LENGTH


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("error", KINDS, ids=kind_of)
@pytest.mark.parametrize(
    ("owner", "method", "load", "message"),
    [
        (AutoTokenizer, "from_pretrained", LassProcessor.from_encoder, "no tokenizer could be loaded"),
        (AutoModel, "from_pretrained", LassForKGCompletion.from_encoder, "no encoder could be loaded"),
        (ProcessorMixin, "from_pretrained", LassProcessor.from_pretrained, "no LASS processor could be loaded"),
        (PreTrainedModel, "from_pretrained", LassForKGCompletion.from_pretrained, "no model could be loaded"),
    ],
)
def test_whatever_loading_raises_is_a_model_error(
    owner, method, load, message, error, encoder_folder, model_folder, monkeypatch
):
    folder = model_folder if load.__name__ == "from_pretrained" else encoder_folder
    monkeypatch.setattr(owner, method, raising(error))
    with pytest.raises(ModelError) as caught:
        load(folder)
    one_line(caught, f"{folder}: {message} (")


def test_a_tokenizer_that_knows_no_unknown_token_is_one_line(graph):
    """The tokenizers library raises a bare Exception there."""
    vocabulary = {"[CLS]": 0, "[SEP]": 1, "[PAD]": 2, "a": 3, "b": 4}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    processor = LassProcessor(PreTrainedTokenizerFast(tokenizer_object=backend, **special))
    with pytest.raises(ModelError) as caught:
        processor.token_store(graph)
    one_line(caught, "this tokenizer does not tokenize the texts (", "Missing [UNK] token")


def test_debug_shows_where_a_library_failed(encoder_folder, training, monkeypatch, capsys):
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", raising(IndexError("list index out of range")))
    assert run("train", *training, "--debug") == 2
    shown = capsys.readouterr().err
    assert "IndexError: list index out of range" in shown
    assert shown.splitlines()[-1] == (
        f"lass-hf: error: {encoder_folder}: no tokenizer could be loaded (list index out of range)"
    )


def test_a_folder_with_a_tokenizer_only_has_no_positions(tmp_path, monkeypatch):
    wordpiece_tokenizer().save_pretrained(tmp_path)
    loader = SimpleNamespace(from_pretrained=raising(AttributeError("no config")))
    monkeypatch.setattr("lass_hf.core.processing_lass.AutoConfig", loader)
    assert LassProcessor.from_encoder(str(tmp_path)).max_length == 64


def test_weights_of_other_sizes_are_told_as_such(encoder_folder, tmp_path, caplog):
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    with pytest.raises(ModelError) as caught:
        LassForKGCompletion.from_encoder(str(folder))
    one_line(caught, "no encoder could be loaded (its weights have other sizes than those that its config.json says)")
