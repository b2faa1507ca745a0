"""Fixtures that tests of several folders share. What they are made of is in `helpers/`."""

import atexit
import gc
import logging
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="lass-hf-tests-")

import numpy as np
import pytest
import torch
from helpers.command_line import BadInput
from helpers.fake_evidence import fake_reasons  # noqa: F401, a fixture
from helpers.hub_server import Hub, connect
from helpers.tiny import (
    ENCODER_CONFIGS,
    ENTITY_TEXT,
    FALSE,
    RELATION_TEXT,
    TEST,
    TRAIN,
    VALIDATION,
    integer_graph,
    make_graph,
    make_model,
    make_processor,
    wordpiece_tokenizer,
    write_graph,
)
from transformers import BertModel
from transformers.utils import logging as transformers_logging

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor

atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)


def pytest_collection_finish():
    """Keeps the imported objects out of garbage collection, which takes a third of a run's time otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_deprecation_warning_logged(caplog):
    """Deprecations that our dependencies only log fail the suite too."""
    logger = transformers_logging.get_logger("transformers")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    for record in caplog.get_records("call"):
        if record.name.startswith(("transformers", "accelerate", "datasets")) and record.levelno >= logging.WARNING:
            assert "deprecated" not in record.getMessage().lower(), record.getMessage()


VERBOSITY = transformers_logging.get_verbosity()


@pytest.fixture(autouse=True)
def _restore_verbosity():
    """--quiet speaks for the whole process, also in a fixture of a module, which is made before this one."""
    logging.getLogger("lass_hf").setLevel(logging.NOTSET)
    transformers_logging.set_verbosity(VERBOSITY)
    yield
    transformers_logging.set_verbosity(VERBOSITY)
    transformers_logging.enable_progress_bar()


@pytest.fixture(scope="session")
def graph() -> KnowledgeGraph:
    """10 entities, 3 relations, 14 + 3 + 3 triplets; do not change it."""
    return make_graph()


@pytest.fixture(scope="session")
def labeled_graph() -> KnowledgeGraph:
    """The same graph with as many false triplets in validation and test."""
    return KnowledgeGraph.from_triplets(
        TRAIN,
        [(*row, "1") for row in VALIDATION] + [(*row, "-1") for row in FALSE],
        [(*row, "1") for row in TEST] + [(*row[::-1][:1], row[1], row[0], "-1") for row in TEST],
        entity_text=ENTITY_TEXT,
        relation_text=RELATION_TEXT,
    )


@pytest.fixture(scope="session")
def graph_folder(tmp_path_factory):
    return write_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="session")
def labeled_folder(tmp_path_factory, labeled_graph):
    """The labeled graph as a folder."""
    ids, relations = labeled_graph.entities.ids, labeled_graph.relations.ids
    rows = {
        name: [
            (ids[h], relations[r], ids[t], str(label))
            for (h, r, t), label in zip(split.triplets.tolist(), split.labels.tolist(), strict=True)
        ]
        for name, split in labeled_graph.splits.items()
        if name != "train"
    }
    return write_graph(tmp_path_factory.mktemp("labeled"), **rows)


@pytest.fixture(scope="session")
def dense_graph() -> KnowledgeGraph:
    """12 entities, 3 relations, and so many random triplets that most questions have several answers."""
    generator = np.random.default_rng(5)
    rows = np.stack([generator.integers(size, size=200) for size in (12, 3, 12)], axis=1)
    rows = np.unique(rows, axis=0).tolist()
    return integer_graph(rows[:60], 12, 3, test=rows[60:])


@pytest.fixture
def model() -> LassForKGCompletion:
    return make_model()


@pytest.fixture(scope="session")
def processor(graph) -> LassProcessor:
    """A WordPiece processor that has the graph; do not change it."""
    return make_processor(graph)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> str:
    """A bare pre-trained encoder as users have it: BERT weights, config and tokenizer in a folder."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertModel(ENCODER_CONFIGS["bert"]()).save_pretrained(folder)
    wordpiece_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, processor) -> str:
    """A saved LASS model with processor and graph."""
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def model_copy(model_folder, tmp_path) -> Path:
    """A copy of the saved model, to be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "animals"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on loopback, which this process takes for the Hugging Face hub."""
    with Hub() as server:
        connect(server, tmp_path / "home", monkeypatch)
        yield server
        assert not server.leaks, "the token was sent to another host"


@pytest.fixture
def training(graph_folder, encoder_folder, tmp_path):
    """The arguments of a training of two steps into `tmp_path / "out"`."""
    return [
        *("--graph", graph_folder, "--encoder", encoder_folder, "--output_dir", tmp_path / "out"),
        *("--max_steps", 2, "--per_device_train_batch_size", 4, "--num_negatives", 2, "--save_strategy", "no"),
        *("--architecture", "cross-encoder", "--report_to", "none", "--quiet"),
    ]


@pytest.fixture
def bad_input(capsys, caplog):
    return BadInput(capsys, caplog)


@pytest.fixture
def with_model(graph_folder, labeled_folder, tmp_path):
    """The other arguments of each subcommand that takes a model."""
    return {
        "evaluate": ["--graph", graph_folder],
        "classify": ["--graph", labeled_folder],
        "analyze": ["--graph", labeled_folder, "--output", tmp_path / "analysis"],
        "predict": ["--head", "cat", "--relation", "eats"],
    }


def pytest_addoption(parser):
    parser.addoption(
        "--mutations", type=int, default=300, help="damaged files that tests/robustness reads in all (default: 300)"
    )
