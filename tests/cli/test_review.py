"""`lass-hf review` on the command line: the export and bad input."""

import socket
from argparse import Namespace

import pytest
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.reviews import COLUMNS, write_list

from lass_hf.cli.commands import main
from lass_hf.cli.subcommands.review import _load_graph
from lass_hf.core.errors import LassError
from lass_hf.review.reviewing import Review
from lass_hf.utils.result_files import read_results, write_results
from lass_hf.writers.tables import read_judged_triplets


@pytest.fixture
def folder(tmp_path):
    """A folder whose graph is an RDF file with prefixes."""
    pytest.importorskip("pyoxigraph")
    graph = tmp_path / "graph.ttl"
    graph.write_text("@prefix e: <http://e.org/> . e:cat e:eats e:dog . e:fish e:eats e:food .\n")
    ids = {name: [f"e:{id}" for id in COLUMNS[name]] for name in ("head", "relation", "tail")}
    return write_list(tmp_path, graph=str(graph), **ids)


def error_of(capsys, *arguments):
    assert main(["review", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_export_writes_accepted_triplets_by_the_ids_of_the_source_and_all_decisions(folder, capsys):
    review = Review(folder)
    review.decide(0, "accept", "Ada")
    review.decide(1, "reject", "Ada")
    assert not main(["review", str(folder), "--export", str(folder / "new.nt")])
    assert capsys.readouterr().out.startswith(f"accepted triplets in {folder}/new.nt: 1; all decisions are in")
    stated = (folder / "new.nt").read_text()
    assert "<http://e.org/cat> <http://e.org/eats> <http://e.org/mouse> ." in stated
    assert read_judged_triplets(folder / "decisions.tsv")[0]["label"].to_pylist() == [True, False]
    assert not main(["review", str(folder), "--export", "/dev/null", "--export_format", "obo", "--quiet"])
    assert capsys.readouterr().out == ""


def test_an_export_never_overwrites_the_source_of_the_graph(folder, tmp_path, capsys):
    Review(folder).decide(0, "accept", "Ada")
    source = tmp_path / "graph.ttl"
    before = source.read_bytes()
    line = error_of(capsys, folder, "--export", source)
    assert f"{source}: the graph's own source, which would be overwritten; name another file" in line
    assert source.read_bytes() == before


def test_an_export_never_overwrites_a_graph_folder_that_is_not_given(folder, graph_folder, capsys):
    Review(folder).decide(0, "accept", "Ada")
    file = graph_folder / "train.tsv"
    before = file.read_bytes()
    line = error_of(capsys, folder, "--export", file)
    assert f"{file}: named as a file of a graph folder, which would be overwritten; name another file" in line
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["decisions.jsonl", "decisions.tsv", "suggestions.tsv", "implied.tsv", "suggestions.tsv.metadata.json", "link.tsv"],
)
def test_an_export_never_overwrites_the_list_or_what_people_decided(name, folder, bad_input):
    (folder / "link.tsv").symlink_to(folder / "suggestions.tsv")
    Review(folder).decide(0, "accept", "Ada")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    file = folder / name
    line = bad_input("review", folder, "--export", file, "--export_format", "jsonl")
    assert f"{file}: a file of {folder} itself, which would be overwritten; name another file" in line
    with pytest.raises(LassError, match="which would be overwritten"):
        Review(folder).export(file, "jsonl")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_the_list_of_another_graph_is_not_reviewed_by_the_given_one(folder, capsys):
    Review(folder).decide(0, "accept", "Ada")
    line = error_of(capsys, folder, "--graph", "countries", "--export", folder / "new.nt")
    assert "--graph countries: lacks " in line
    assert "expected the graph that the list was made of" in line
    assert not (folder / "new.nt").exists()


def test_an_export_of_rejected_triplets_alone_keeps_all_decisions_and_says_that_none_is_accepted(folder, capsys):
    review = Review(folder)
    review.decide(1, "reject", "Ada")
    assert not main(["review", str(folder), "--export", str(folder / "new.nt"), "--quiet"])
    assert not capsys.readouterr().err
    assert not main(["review", str(folder), "--export", str(folder / "new.nt")])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lass-hf: note: no triplet is accepted, so {folder}/new.nt is not written; all decisions")
    assert line.endswith(str(folder / "decisions.tsv"))
    assert not (folder / "new.nt").exists()
    assert read_judged_triplets(folder / "decisions.tsv")[0]["label"].to_pylist() == [False]
    review.undo("Ada")
    assert "no triplet is accepted yet (0 of 4 triplets are decided)" in error_of(
        capsys, folder, "--export", folder / "new.nt"
    )
    assert len(read_judged_triplets(folder / "decisions.tsv")[0]) == 0


@pytest.mark.parametrize(
    ("graph", "entity", "size"),
    [("countries", "france", 237), ("countries", "cat", None), ("no such graph", "cat", None), (None, "cat", None)],
)
def test_known_facts_are_those_of_the_graph_that_the_list_was_made_of(graph, entity, size, tmp_path, capsys):
    columns = {"head": [entity] * 4, "tail": [entity] * 4, "relation": ["a", "b", "c", "d"]}
    review, arguments = Review(write_list(tmp_path, graph=graph, **columns)), Namespace(graph=None, quiet=False)
    found = _load_graph(arguments, review)
    assert (found and found.num_entities, arguments.graph) == (size, graph if size else None)
    note = capsys.readouterr().err
    assert ("is not here" in note and "give --graph" in note) == (size is None)
    _load_graph(Namespace(graph=None, quiet=True), review)
    assert not capsys.readouterr().err


def test_a_list_of_the_graph_that_a_model_has_is_reviewed_with_it(tmp_path, graph, graph_folder, capsys):
    model, out = tmp_path / "model", tmp_path / "out"
    bi_encoder_model().save_pretrained(model)
    bi_encoder_processor(graph).save_pretrained(model)
    training = {"graph": "countries", "graph_fingerprint": "", "recipe": None, "changed": {}, "seed": 1, "bf16": False}
    more = {"choices": {}, "command": "lass-hf train --graph ./countries", "resumed": False}
    write_results(model / "training.json", {"loss": 1.0}, **training, **more)
    assert not main(["complete", "--model", str(model), "--output", str(out), "--max", "3", "--quiet"])
    assert read_results(out / "completion.json")["graph"] is None
    review = Review(out)
    found = _load_graph(Namespace(graph=None, quiet=False), review)
    assert (found.entities.ids, list(found.splits)) == (graph.entities.ids, list(graph.splits))
    review.decide(0, "accept", "Ada")
    capsys.readouterr()
    assert not main(["review", str(out), "--export", str(out / "new.tsv")])
    assert not capsys.readouterr().err
    assert read_judged_triplets(out / "new.tsv")[0]["head"].to_pylist() == [review.list.triplets[0][0]]


def test_the_list_itself_stands_for_its_folder(folder, capsys):
    Review(folder).decide(0, "accept", "Ada")
    assert not main(["review", str(folder / "suggestions.tsv"), "--export", str(folder / "new.nt"), "--quiet"])
    assert (folder / "new.nt").exists()
    capsys.readouterr()
    line = error_of(capsys, folder / "decisions.tsv", "--port", "0")
    assert line.endswith(f"the folder of a list (suggestions.tsv or findings.tsv); give {folder}")


def test_bad_input_is_one_line(folder, capsys, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    assert "holds no suggestions.tsv and no findings.tsv" in error_of(capsys, empty, "--port", "0")
    assert "no triplet is accepted yet" in error_of(capsys, folder, "--export", folder / "new.nt")
    assert "new.xyz: no ending of a known format" in error_of(capsys, folder, "--export", "new.xyz")
    assert "--export_format needs --export" in error_of(capsys, folder, "--export_format", "obo")
    for option in (("--host", "0.0.0.0"), ("--port", 9000), ("--allow_host", "a"), ("--token", "t"), ("--no_token",)):
        line = error_of(capsys, folder, "--export", "new.nt", *option)
        assert line.endswith(f"{option[0]} is for the page, and --export opens none; leave one of them out")
    assert "nowhere" in error_of(capsys, folder, "--graph", "nowhere", "--port", "0")
    (folder / "decisions.jsonl").write_text('{"head": 1}\n')
    assert "decisions.jsonl, line 1: not a decision" in error_of(capsys, folder, "--port", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1: Address already in use" in error_of(capsys, folder, "--port", port)
