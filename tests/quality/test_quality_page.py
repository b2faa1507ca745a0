"""How findings are written for a person."""

import re
from pathlib import Path

from helpers.clean_graph import with_entities, with_rows

import lass_hf
from lass_hf.quality.faults import ACROSS_SPLITS, IN_SPLITS, find_faults
from lass_hf.quality.findings import SEVERITIES, Finding, format_findings
from lass_hf.quality.name_faults import TEXT_PATTERNS
from lass_hf.quality.relation_faults import MIRRORS


def test_a_clean_graph_is_said_to_be_clean():
    assert format_findings([]) == ["Nothing is odd, as far as this can be seen."]


def test_findings_stand_under_headings_the_worst_first():
    graph = with_rows("test", ("amber", "near", "basalt"), ("flint", "near", "flint"))
    lines = format_findings(find_faults(graph))
    assert [line for line in lines if line and line[0] != " "] == [SEVERITIES["wrong"], SEVERITIES["doubtful"]]
    assert lines[1].split() == ["1", "16.7%", "test", "triplets", "that", "train", "has", "too"]
    assert lines[2].strip().startswith("such as amber, something that is called so (amber) -- lies near to (near) --> ")
    assert lines[3].strip().endswith("Remove them from train or from test.")
    lines = format_findings(find_faults(with_entities({"i": "Washington County", "j": "Washington County"})))
    assert lines[:3] == ["Nothing would make results wrong, as far as this can be seen.", "", SEVERITIES["doubtful"]]


def test_an_example_is_shortened_and_controls_nothing():
    one = Finding("kind", "fact", "things", 3, 0.0001, "\x1b[31m\n" + "x" * 1000, "It matters.")
    lines = format_findings([one])
    assert lines[3] == "          3  <0.1%  things"
    assert lines[4].strip().startswith(r"such as \x1b[31m\nxxx")
    assert len(lines[4]) < 300
    assert lines[5].strip() == "It matters."
    assert format_findings([Finding("kind", "fact", "things", 3, None, "", "", "")])[3:] == [
        "          3         things"
    ]


def test_the_documentation_lists_every_kind_of_finding():
    folder = Path(lass_hf.__file__).parent / "quality"
    page = (folder.parents[1] / "docs" / "reference" / "quality.md").read_text(encoding="utf-8")
    kinds = {*IN_SPLITS, *ACROSS_SPLITS, *TEXT_PATTERNS, *(kind for kind, *_ in MIRRORS.values())}
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for kind in re.findall(r'"((?:[a-z]+_)+(?:relations|triplet|triplets|text|islands))"', code):
        kinds.add(kind)
    for pattern in re.findall(r'f"([a-z_]*\{(?:names\.)?kind\}[a-z_]*)"', code):
        kinds |= {re.sub(r"\{.*\}", name, pattern) for name in ("entities", "relations")}
    assert len(kinds) > 40
    assert {kind for kind in kinds if f"`{kind}`" not in page} == set()
