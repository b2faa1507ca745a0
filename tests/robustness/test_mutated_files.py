"""Every file that the package reads, damaged in seeded ways: the same answer as before, or one line that says why not.

Where files carry a digest, another answer than before is a fault. Where they carry none (the text files of a graph,
recipes, results), a change can be another valid content: there only other errors than a LassError, hangs and impossible
contents are faults. `pytest tests/robustness --mutations 5000 -rP` damages more files, and shows the counts.
"""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.cards import card_trainer
from helpers.evidence import some_evidence
from helpers.imports import make_source
from helpers.judged import METADATA, small_table
from helpers.mutations import (
    Change,
    Hangs,
    change_header,
    change_json,
    change_json_line,
    change_lines,
    change_yaml,
    mutated,
    no_hang,
)
from helpers.ranking import Table
from helpers.rule_sets import ENTITIES, RELATIONS, make_rules
from helpers.tiny import make_graph, make_model, make_processor, scores_of, write_graph

from lass_hf import KnowledgeGraph, read_results, read_training
from lass_hf.analysis.report import _read_ranks
from lass_hf.core.errors import LassError
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.evaluation.evaluate_and_record import evaluate_and_record
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.evidence.evidence_files import evidence_fingerprint, load_evidence, save_evidence
from lass_hf.formats.rdf import read_rdf
from lass_hf.graphs.decisions import graph_with_decisions, read_decisions
from lass_hf.graphs.import_files import SOURCE_FILE, read_source_record, write_import
from lass_hf.graphs.importing import ImportedGraph, to_graph_parts
from lass_hf.hub.card_files import CARD_DATA_FILE, CARD_FILE, add_evaluation, render_shared_card
from lass_hf.hub.upload import list_shared_files
from lass_hf.names.source import ReadingOptions
from lass_hf.runs.run import load_trained_model, train
from lass_hf.scoring.candidate_scores import scorer_from_triplets
from lass_hf.scoring.chunk_progress import ChunkProgress
from lass_hf.scoring.index_building import build_entity_index
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.structure.rule_files import read_rules, write_rules
from lass_hf.training.checkpoints import find_checkpoint
from lass_hf.training.recipes import parse_training
from lass_hf.writers.tables import read_judged_triplets
from lass_hf.writers.writing import write_judged_triplets

LONGEST_LINE = 1000
CONFIGS = ("config.json", "processor_config.json")


@dataclass
class Reader:
    """Files, and what is read from them.

    Args:
        folder: of the files.
        files: the changes of each file that know what is in it, besides those that any file can suffer.
        read: makes an answer of the files, which can be compared.
        exact: the files with a digest, damage to which never gives another answer.
    """

    folder: Path
    files: dict[str, list[Change]]
    read: Callable[[], Any]
    exact: Collection[str] = ()


def graph_answer(graph: KnowledgeGraph) -> Any:
    """Returns all that is in a graph; its numbers must be those of names, and its names texts."""
    for names in (graph.entities, graph.relations):
        assert len(set(names.ids)) == len(names.texts) == len(names) > 0
        assert all(isinstance(name, str) and name.strip() and name.encode() for name in [*names.ids, *names.texts])
    splits = []
    for name, split in graph.splits.items():
        rows = split.triplets
        assert (rows.dtype, rows.shape) == (np.int64, (len(rows), 3))
        assert ((rows >= 0) & (rows < [graph.num_entities, graph.num_relations, graph.num_entities])).all()
        assert graph.known.contains(split.positives).all()
        splits.append((name, rows.tolist(), None if split.labels is None else split.labels.tolist()))
    return graph.entities.ids, graph.entities.texts, graph.relations.ids, graph.relations.texts, splits


# What is read


def text_graph(folder: Path) -> Reader:
    write_graph(folder)
    names = ("train.tsv", "dev.tsv", "test.tsv", "entity2text.txt", "relation2text.txt")
    files: dict[str, list[Change]] = {name: [change_lines] for name in names}
    return Reader(folder, files, lambda: graph_answer(KnowledgeGraph.from_directory(folder)))


def rdf_files(folder: Path) -> Reader:
    ox = pytest.importorskip("pyoxigraph")
    folder.mkdir()
    names = [ox.NamedNode(f"http://example.org/{name}") for name in ("a", "part_of", "b")]
    label = ox.NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
    statements = [ox.Triple(*names), ox.Triple(names[0], label, ox.Literal("a thing", language="en"))]
    prefixes = {"ex": "http://example.org/"}
    for kind in (ox.RdfFormat.TURTLE, ox.RdfFormat.N_QUADS, ox.RdfFormat.RDF_XML, ox.RdfFormat.JSON_LD):
        path = folder / f"{kind.file_extension}.{kind.file_extension}"
        ox.serialize(statements, path, kind, prefixes={} if kind == ox.RdfFormat.N_QUADS else prefixes)
    files: dict[str, list[Change]] = {path.name: [change_lines] for path in sorted(folder.iterdir())}
    files["jsonld.jsonld"].append(change_json)

    def read():
        source = read_rdf(folder, ReadingOptions())
        train = source.splits["train"]
        assert len(set(train.names.to_pylist())) == len(train.names)
        return train.codes.tolist(), train.names.to_pylist(), source.entities.to_pylist()

    return Reader(folder, files, read)


def benchmark_folder(folder: Path) -> Reader:
    write_graph(folder, entity_text=None)
    (folder / "test_neg.txt").write_text("cat\teats\thouse\n")
    (folder / "entity2label.txt").write_text("cat\tcat\ndog\ta dog\n")
    (folder / "entity2definition.txt").write_text("cat\tit purrs\n")
    (folder / "relation2label.json").write_text(json.dumps({"eats": "eats", "is_a": "is a"}))
    names = ("test_neg.txt", "entity2label.txt", "entity2definition.txt")
    files: dict[str, list[Change]] = {name: [change_lines] for name in names}
    files["relation2label.json"] = [change_json]
    return Reader(folder, files, lambda: graph_answer(KnowledgeGraph.from_directory(folder)))


def import_record(folder: Path) -> Reader:
    source = make_source()
    write_import(ImportedGraph(KnowledgeGraph(*to_graph_parts(source)[0]), source), "x", ReadingOptions(), folder)
    return Reader(folder, {SOURCE_FILE: [change_json]}, lambda: repr(read_source_record(folder)))


def judged_files(folder: Path) -> Reader:
    folder.mkdir()
    files: dict[str, list[Change]] = {}
    for kind in ("tsv", "csv", "jsonl", "parquet"):
        write_judged_triplets(small_table(), folder / f"rows.{kind}", METADATA)
        files[f"rows.{kind}"] = [] if kind == "parquet" else [change_lines]
    files["rows.jsonl"].append(change_json_line)
    files["rows.tsv.metadata.json"] = [change_json]

    def read():
        read = [read_judged_triplets(folder / name) for name in files if not name.endswith("json")]
        return [(rows.to_pylist(), metadata) for rows, metadata in read]

    return Reader(folder, files, read)


def decisions(folder: Path) -> Reader:
    folder.mkdir()
    files: dict[str, list[Change]] = {}
    for kind in ("tsv", "csv", "jsonl", "parquet"):
        write_judged_triplets(small_table(), folder / f"rows.{kind}", METADATA)
        files[f"rows.{kind}"] = [] if kind == "parquet" else [change_lines]
    graph = make_graph()

    def read():
        read = [read_decisions(folder / name, graph) for name in files]
        return [(one.num_unsure, graph_with_decisions(one)["train"].triplets.tolist()) for one in read]

    return Reader(folder, files, read)


def dataset_folder(folder: Path) -> Reader:
    make_graph().save_dataset(folder)
    cards: list[Change] = [change_yaml, change_lines]
    files = {"triplets/train.parquet": [], "entities.parquet": [], "README.md": cards}
    return Reader(folder, files, lambda: graph_answer(KnowledgeGraph.from_directory(folder)))


def saved_graph(folder: Path) -> Reader:
    folder.mkdir()
    make_graph().save_pretrained(folder)
    files = {VOCABULARY_FILE: [change_json], TRIPLETS_FILE: [change_header]}
    paths = [folder / name for name in files]
    return Reader(folder, files, lambda: graph_answer(KnowledgeGraph.from_files(*paths)))


def saved_model(folder: Path) -> Reader:
    make_model().save_pretrained(folder)
    make_processor(make_graph()).save_pretrained(folder)
    configs = [json.loads((folder / name).read_text()) for name in CONFIGS]
    names = (*CONFIGS, "tokenizer.json", "tokenizer_config.json", VOCABULARY_FILE, "model.safetensors", TRIPLETS_FILE)
    files = {name: [change_json if name.endswith(".json") else change_header] for name in names}

    def read():
        list_shared_files(folder, "full")
        return scores_of(str(folder)).tolist()

    return Reader(folder, files, read, {name for config in configs for name in config.get("saved_files", ())})


def saved_model_without_digests(folder: Path) -> Reader:
    reader = saved_model(folder)
    for name in CONFIGS:
        config = json.loads((folder / name).read_text())
        kept = {key: value for key, value in config.items() if key not in ("saved_files", "model_files")}
        (folder / name).write_text(json.dumps(kept))
    return Reader(folder, reader.files, reader.read)


def results(folder: Path) -> Reader:
    model, processor = make_model(), make_processor(make_graph())
    model.save_pretrained(folder)
    graph, file = processor.graph, folder / "results.json"
    choices = {"folder": str(folder), "graph_name": "pets", "file": file, "quiet": True}
    evaluate_and_record("link_prediction", model, processor, graph, **choices)
    return Reader(
        folder, {file.name: [change_json]}, lambda: (read_results(file), _read_ranks(file, model, graph["test"], None))
    )


def training(folder: Path) -> Reader:
    write_graph(folder / "pets")
    make_model().encoder.save_pretrained(folder / "encoder")
    make_processor().tokenizer.save_pretrained(folder / "encoder")
    out, graph = folder / "out", KnowledgeGraph.from_directory(folder / "pets")
    words = ["--graph", folder / "pets", "--encoder", folder / "encoder", "--output_dir", out, "--max_steps", 2]
    words += ["--per_device_train_batch_size", 4, "--report_to", "none", "--quiet", "--save_steps", 1]
    train(*parse_training(list(map(str, words))))

    def read():
        newest = find_checkpoint("last", out)
        load_trained_model(out, graph)
        return read_training(out), newest

    return Reader(out, {"training.json": [change_json], "checkpoint-2/trainer_state.json": [change_json]}, read)


def recipe(folder: Path) -> Reader:
    folder.mkdir()
    file = folder / "mine.yaml"
    file.write_text(
        "encoder: bert-base-cased\narchitecture: cross-encoder\npreset: paper\nlearning_rate: 5e-5\nseparators: true\n"
        "max_length: 64\nnum_train_epochs: 3\nlr_scheduler_type: cosine\n"
        "lr_scheduler_kwargs: {num_cycles: 2}\nreport_to: none\nuse_cpu: true\n"
    )

    def read():
        try:
            with contextlib.redirect_stderr(io.StringIO()) as shown:
                return vars(parse_training([str(file), "--graph", "umls"])[0])
        except SystemExit:  # argparse has printed the line
            raise LassError(shown.getvalue().removesuffix("\n")) from None

    return Reader(folder, {file.name: [change_yaml, change_lines]}, read)


def ranking_progress(folder: Path) -> Reader:
    graph = make_graph()
    score = scorer_from_triplets(Table.random(graph))

    def rank():
        progress = ChunkProgress(folder, {"model": "a1"})
        result = rank_split(score, graph["train"], quiet=True, chunk_size=20, progress=progress)
        return [ranks.tolist() for ranks in (result.optimistic_ranks, result.pessimistic_ranks, result.num_candidates)]

    def read():
        (folder / "process-0.jsonl").unlink(missing_ok=True)
        return rank()

    rank()
    (folder / "process-0.jsonl").rename(folder / "process-1.jsonl")  # what another process finished is only read
    files = {"process-1.jsonl": [change_json_line, change_lines]}
    return Reader(folder, files, read, files)


def entity_index(folder: Path) -> Reader:
    scorer = TripletScorer(bi_encoder_model(), bi_encoder_processor().token_store(), "float32")

    def read():
        index = build_entity_index(scorer, folder)
        return index.vectors(np.arange(index.num_entities)).tolist()

    read()
    files = {"float32/00000.safetensors": [change_header]}
    return Reader(folder, files, read, files)


def model_card(folder: Path) -> Reader:
    trainer = card_trainer(folder, make_graph())
    trainer.evaluate()
    trainer.save_model()
    (evaluation,) = json.loads((folder / CARD_DATA_FILE).read_text())["evaluations"]
    files = {CARD_DATA_FILE: [change_json], CARD_FILE: [change_lines]}
    before = {name: (folder / name).read_bytes() for name in files}

    def read():
        add_evaluation(folder, {**evaluation, "split": "test"}, trainer.processing_class.graph)
        card = render_shared_card(folder, "me/pets", "full")
        for name, content in before.items():
            if (folder / name).is_file():
                (folder / name).write_bytes(content)
        if card is None:
            raise LassError("a warning was logged, and no card is made")
        return card

    return Reader(folder, files, read, files)


def evidence(folder: Path) -> Reader:
    save_evidence(some_evidence(make_graph()), folder, make_graph())
    headers = {name: [change_header] for name in ("vectors.safetensors", "rules.safetensors")}
    files = {"fusion.json": [change_json], **headers, "rules.tsv": [change_lines]}
    return Reader(folder, files, lambda: evidence_fingerprint(load_evidence(folder)), list(files)[:3])


def rules_file(folder: Path) -> Reader:
    folder.mkdir()
    file = folder / "rules.tsv"
    rules = make_rules(
        (0, (1, 2 + 3, -1), -1, -1, 8, 10, 0.75, 0),
        (0 + 3, (1, 0, 2), -1, -1, 7, 10, 0.5, 1),
        (1, (2, -1, -1), 0, -1, 2, 4, 0.25, 2),
        (2 + 3, (1 + 3, -1, -1), 1, 2, 2, 4, 0.125, 3),
    )
    write_rules(file, rules, ENTITIES, RELATIONS)

    def read():
        found = read_rules(file, ENTITIES, RELATIONS)
        assert ((found.confidences > 0) & (found.confidences <= 1)).all()
        assert ((found.bodies >= -1) & (found.bodies < 6) & (found.bodies[:, :1] >= 0)).all()
        return [getattr(found, one.name).tolist() for one in fields(found)]

    return Reader(folder, {file.name: [change_lines]}, read)


# The readers, and how many mutations of their files there are for each hundred of `--mutations`.
READERS = {
    **{text_graph: 10, dataset_folder: 12, saved_graph: 14, saved_model: 8, saved_model_without_digests: 12},
    **{results: 6, training: 6, recipe: 8, ranking_progress: 9, entity_index: 9, model_card: 6, rdf_files: 8},
    **{benchmark_folder: 5, import_record: 4, judged_files: 5, decisions: 5, evidence: 6, rules_file: 5},
}


@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_a_damaged_file_gives_the_same_answer_or_one_line(make, tmp_path, request):
    reader = make(tmp_path / "files")
    expected, names = reader.read(), list(reader.files)
    assert reader.read() == expected
    faults, counts = [], Counter()
    for number in range(-(-request.config.getoption("--mutations") * READERS[make] // 100)):
        name, random = names[number % len(names)], Random(f"{make.__name__} {number}")
        fault = None
        with mutated(reader.folder / name, reader.files[name], random) as change:
            try:
                with no_hang():
                    answer = reader.read()
            except LassError as error:
                outcome, line = "an error of one line", str(error)
                if len(line.splitlines()) != 1 or len(line) > LONGEST_LINE:
                    fault = f"{len(line)} letters: {line[:200]!r}"
            except (Exception, Hangs) as error:
                outcome = fault = f"{type(error).__name__}: {str(error)[:200]!r}"
            else:
                outcome = "the same answer" if answer == expected else "another valid content"
                if answer != expected and name in reader.exact:
                    fault = "another answer"
        counts[outcome if fault is None else "a fault"] += 1
        if fault is not None:
            faults.append(f"mutation {number}, {change} of {name}: {fault}")
    print(f"{make.__name__}: {counts.total()} mutations: {dict(counts)}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
