"""`lass-hf info`: the page for a person, the file, `--strict`, and what an encoder makes of texts."""

import pytest
from helpers.clean_graph import parts
from helpers.command_line import content_of, run
from helpers.tiny import write_graph


@pytest.fixture
def clean_folder(tmp_path):
    return write(tmp_path / "clean", **parts())


def write(folder, train, validation, test, entity_text, relation_text):
    write_graph(folder, train, validation, test, None)
    for kind, texts in (("entity", entity_text), ("relation", relation_text)):
        lines = "".join(f"{name}\t{text}\n" for name, text in texts.items())
        (folder / f"{kind}2text.txt").write_text(lines, encoding="utf-8")
    return folder


def with_leak(folder):
    first = (folder / "train.tsv").read_text(encoding="utf-8").splitlines()[0]
    with open(folder / "test.tsv", "a", encoding="utf-8") as file:
        file.write(first + "\n")
    return folder


def test_the_page_begins_with_what_is_in_the_graph(clean_folder, capsys):
    assert run("info", "--graph", clean_folder, "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "11 entities, 2 relations"
    assert [line.split()[:2] for line in lines[1:4]] == [["train", "44"], ["validation", "4"], ["test", "4"]]
    assert "characters (median)" in lines[4]
    assert lines[6] == "relations"
    assert lines[7].split()[0] == lines[8].split()[0] == "26"
    assert lines[7].endswith("--> basalt, something that is called so (basalt)")
    assert lines[-1] == "Nothing is odd, as far as this can be seen."


def test_strict_is_for_what_makes_results_wrong_only(clean_folder, tmp_path, capsys):
    assert run("info", "--graph", clean_folder, "--strict") == 0
    (clean_folder / "train.tsv").open("a", encoding="utf-8").write("amber\tnear\tamber\n")
    assert run("info", "--graph", clean_folder, "--strict") == 0
    assert "May be wrong" in capsys.readouterr().out
    with_leak(clean_folder)
    assert run("info", "--graph", clean_folder) == 0
    assert run("info", "--graph", clean_folder, "--strict", "--json", tmp_path / "info.json") == 1
    captured = capsys.readouterr()
    assert "Would make results wrong" in captured.out
    assert not captured.err
    assert content_of(tmp_path / "info.json")["metrics"]["findings"][0]["kind"] == "positives_in_train"


def test_the_file_has_every_finding_beside_the_counts(clean_folder, tmp_path):
    assert run("info", "--graph", with_leak(clean_folder), "--json", tmp_path / "info.json") == 0
    metrics = content_of(tmp_path / "info.json")["metrics"]
    assert metrics["splits"]["test"]["positives_in_train"] == 1
    (finding,) = metrics["findings"]
    assert (finding["severity"], finding["count"], finding["share"]) == ("wrong", 1, 0.2)
    assert finding.keys() == {"kind", "severity", "what", "count", "share", "example", "meaning", "remedy"}


def test_labels_and_many_relations_are_counted(tmp_path, capsys):
    rows = [(f"thing {number}", f"relation {number % 12}", f"thing {number + 1}") for number in range(30)]
    labeled = [(*rows[0], "1"), ("thing 3", "relation 1", "thing 9", "-1")]
    folder = write_graph(tmp_path / "graph", rows, None, labeled, None)
    assert run("info", "--graph", folder, "--quiet") == 0
    out = capsys.readouterr().out
    assert "2 triplets, 1 of them labeled false" in out
    assert "the 10 most frequent relations" in out
    assert out.count(" -- relation ") >= 10


def test_names_cannot_control_the_terminal(tmp_path, capsys):
    text = {"a": "red \x1b[31m name", "b": "another name"}
    folder = write_graph(tmp_path / "graph", [("a", "is_a", "b"), ("b", "is_a", "a")], None, None, text)
    assert run("info", "--graph", folder, "--quiet") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"red \x1b[31m name (a)" in out
    assert "damaged characters" in out


def test_an_encoder_says_what_it_reads_of_the_texts(encoder_folder, tmp_path, capsys):
    """The tokenizer reads 64 tokens, and no Chinese."""
    texts = {"a": "\u732b", "b": "cat \u72d7", "c": "cat " * 70, "d": "cat " * 69 + "dog", "e": "cat"}
    rows = [("a", "is_a", "b"), ("c", "is_a", "d"), ("e", "is_a", "e")]
    folder = write_graph(tmp_path / "graph", rows, None, None, texts)
    file = tmp_path / "info.json"
    assert run("info", "--graph", folder, "--encoder", encoder_folder, "--json", file) == 0
    findings = {one["kind"]: one for one in content_of(file)["metrics"]["findings"]}
    expected = {
        "entities_without_a_known_word": ("doubtful", 1, "\u732b (a)"),
        "entities_with_unknown_words": ("fact", 1, "cat \u72d7 (b)"),
        "entities_cut": ("fact", 2, "cat " * 9 + "cat… (c)"),
        "entities_with_same_tokens": ("doubtful", 2, "'c' and 'd'"),
    }
    assert {
        kind: tuple(findings[kind][key] for key in ("severity", "count", "example")) for kind in expected
    } == expected
    assert findings["sequences_cut"]["count"] == 1
    assert "relations_cut" not in findings
    out = capsys.readouterr().out
    assert "entities_with_same_tokens" in out
    assert "of whose text the encoder knows no word" in out


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_encoder_measures_the_first_split_that_is_there(split, encoder_folder, tmp_path):
    folder, file = tmp_path / "graph", tmp_path / "info.json"
    folder.mkdir()
    for part in (1, 2):  # of two files of edges, each is of the split that it is called after
        (folder / f"{split}.{part}.csv").write_text(f"head,relation,tail\n{'cat ' * 70},is_a,dog {part}\n")
    assert run("info", "--graph", folder, "--encoder", encoder_folder, "--json", file) == 0
    metrics = content_of(file)["metrics"]
    assert list(metrics["splits"]) == [split]
    (cut,) = [one for one in metrics["findings"] if one["kind"] == "sequences_cut"]
    assert (cut["what"].split()[0], cut["count"]) == (split, 2)
