"""README and docs/: the code runs as printed, options and links exist, and the site builds without warnings."""

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import datasets
import pytest
import yaml
from helpers.hub_server import Hub, connect
from helpers.tiny import FALSE, TEST, VALIDATION, make_model, make_processor, write_graph
from transformers import TrainingArguments

import lass_hf
from lass_hf import load_benchmark
from lass_hf.cli.commands import COMMANDS, main
from lass_hf.core.score_functions import SCORE_FUNCTIONS
from lass_hf.core.score_heads import SCORE_HEADS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
MEASURED = ("docs/results.md", "docs/performance.md", "docs/paper_vs_code.md")  # their commands take minutes to hours
NOT_RUN = {  # blocks with `<!-- not run: why -->` above them
    "README.md": 2,
    "docs/concepts/evidence.md": 1,
    "docs/index.md": 2,
    "docs/launching.md": 3,
    "docs/reference/audit.md": 1,
    "docs/reference/comparison.md": 1,
    "docs/tutorials/every_entity.md": 2,
    "docs/tutorials/link_prediction.md": 2,
    "docs/tutorials/splitting.md": 1,
    "docs/tutorials/review.md": 1,
    "docs/tutorials/web_page.md": 3,
    "docs/reliability.md": 3,
}
ELSEWHERE = (  # options of launchers, of the example scripts and of the tests
    *("--config_file", "--cpu", "--multi_gpu", "--num_processes", "--mutations"),
    *("--nnodes", "--nproc_per_node", "--rdzv-backend", "--rdzv-endpoint", "--rdzv-id", "--scoring_dtype"),
)
TURTLE = """@prefix ex: <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:cat ex:eats ex:mouse ; ex:seeAlso ex:dog ; rdfs:label "cat"@en ; rdfs:comment "a small animal that purrs"@en .
ex:mouse rdfs:label "mouse"@en .
"""
FENCE = re.compile(r"^(<!-- not run: \S[^\n]* -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[int, bool, str, str]]:
    """Returns each fenced block: the number of its first line, whether it is to be run, its language and its text."""
    text = text_of(page)
    found = [
        (text.count("\n", 0, fence.start(3)), fence[1] is None, *fence.groups()[1:]) for fence in FENCE.finditer(text)
    ]
    assert 2 * len(found) == len(re.findall(r"^\s*```", text, re.MULTILINE)), "a fence without language, or indented"
    return found


# Code


@pytest.fixture
def place(tmp_path, monkeypatch, model_folder):
    """A folder with the graphs and the trained models that the pages use."""
    monkeypatch.chdir(tmp_path)
    write_graph(tmp_path / "my_graph")
    write_graph(tmp_path / "my_triplets", validation=None, test=None)
    (tmp_path / "my_file.ttl").write_text(TURTLE, encoding="utf-8")
    labeled = [[(*row, "1") for row in split] + [(*row, "-1") for row in FALSE] for split in (VALIDATION, TEST)]
    write_graph(tmp_path / "my_facts", validation=labeled[0], test=labeled[1])
    shutil.copytree(ROOT / "examples" / "recipes", tmp_path / "examples" / "recipes")
    for name in ("mine", "judge"):
        shutil.copytree(model_folder, tmp_path / "runs" / name)
    make_model(calibration={"threshold": 0.0, "slope": 1.0, "intercept": 0.0}).save_pretrained(
        tmp_path / "runs" / "judge"
    )
    shutil.copytree(model_folder, tmp_path / "runs" / "quickstart")
    make_processor(load_benchmark("countries")).save_pretrained(tmp_path / "runs" / "quickstart")
    registered = [(names, dict(names)) for names in (SCORE_FUNCTIONS, SCORE_HEADS)]
    yield tmp_path
    for names, before in registered:
        names.clear()  # A page registers some.
        names.update(before)


def run_commands(text: str) -> None:
    """Runs `lass-hf` commands in this process. Any other command fails."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and words != [".", ".venv/bin/activate"]:
            assert words[0] == "lass-hf", f"{line}: cannot be run here; say so above the block"
            try:
                code = main(words[1:])
            except SystemExit as end:  # --version, --help
                code = end.code
            assert code == 0, line


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's own
@pytest.mark.parametrize("page", [page for page in PAGES if any(run for _, run, language, _ in blocks(page))])
def test_code_of_a_page_runs(page, place, encoder_folder, monkeypatch):
    """Blocks run in order, with a tiny encoder in place of the named ones, and a hub on loopback."""
    tiny = {
        "bert-base-uncased": encoder_folder,
        "sentence-transformers/all-MiniLM-L6-v2": encoder_folder,
        "split my_graph --validation 5%": "split my_triplets --validation 5%",
        "--output my_graph": "--output my_import",  # the graph of the pages has splits, and was not imported
        "my_file.ttl --output runs/completion": "my_graph --output runs/completion",  # of which something is missing
        "my_file.ttl --decisions": "my_graph --decisions",
        "top_k 50": "top_k 5",
        "top_k=50": "top_k=5",
    }
    for recipe in (place / "examples" / "recipes").iterdir():
        recipe.write_text(recipe.read_text().replace("sentence-transformers/all-MiniLM-L6-v2", encoder_folder))
    monkeypatch.setattr("lass_hf.runs.automatic.DEFAULT_ENCODER", encoder_folder)
    space: dict = {"__name__": "__page__"}
    with Hub() as hub:
        connect(hub, place / "home", monkeypatch)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
        for line, run, language, text in blocks(page):
            for name, other in tiny.items():
                text = text.replace(name, other)  # noqa: PLW2901
            if run and language == "python":
                exec(compile("\n" * line + text, page, "exec"), space)
            elif run and language == "bash":
                run_commands(text)


def test_blocks_that_do_not_run_are_marked_and_counted():
    found = {page: sum(not run for _, run, _, _ in blocks(page)) for page in PAGES if page not in MEASURED}
    assert {page: count for page, count in found.items() if count} == NOT_RUN


@pytest.mark.parametrize("page", [page for page in PAGES if page not in MEASURED])
def test_commands_are_in_blocks_that_are_run(page):
    assert {language for _, _, language, _ in blocks(page)} <= {"python", "bash", "text", "yaml"}
    for _, run, language, text in blocks(page):
        assert not (run and language in ("text", "yaml")) or not re.search(
            r"^(lass-hf|python|pip|make) ", text, re.MULTILINE
        )
    assert not re.search(r"^    .*\b(lass-hf|python|torchrun|pip|make) ", FENCE.sub("", text_of(page)), re.MULTILINE)


def test_the_first_question_has_the_answer_that_the_graph_holds():
    graph = load_benchmark("countries")
    fact = [graph.entities.find("france"), graph.relations.find("has_capital"), graph.entities.find("paris")]
    assert fact in graph["test"].triplets.tolist()
    for page in ("README.md", "docs/index.md"):
        asked = re.findall(r"^.*\bfrance\b.*has_capital.*$", text_of(page), re.MULTILINE)
        assert asked, page
        assert all("--include_known" in line or "exclude_known=False" in line for line in asked), page


def test_commands_of_the_reference_are_those_of_the_program():
    table = re.findall(r"^\| `([\w-]+)[^|]*\|", text_of("docs/reference/command_line.md"), re.MULTILINE)
    assert sorted(table) == sorted({*COMMANDS, "train"})


def test_options_named_on_pages_are_those_of_the_program(capsys):
    known = {*ELSEWHERE, *(f"--{one.name}" for one in fields(TrainingArguments))}  # help does not list these
    for command in ([], ["train"], *([name] for name in COMMANDS)):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        known |= set(re.findall(r"--[a-z][a-z0-9_]*", capsys.readouterr().out))
    for page in [*PAGES, "CONTRIBUTING.md", "MODEL_CARD.md"]:
        if page not in ("docs/performance.md", "docs/results.md"):  # commands of benchmarks, and of past runs
            named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text_of(page)))
            assert named <= known, f"{page}: {sorted(named - known)}"


def test_what_the_first_commands_need_is_installed_before_them():
    text = blocks("README.md")[0][3]
    install, rest = text.split("\n", 1)
    extras = set(re.fullmatch(r'pip install -e "\.\[([\w,]+)\]" .*', install)[1].split(","))
    assert re.findall(r"^lass-hf (\w+)", rest, re.MULTILINE) == ["complete", "audit", *["review"] * 3, "train"]
    assert {"quickstart", "rdf", "serve"} <= extras  # the encoder, Turtle, the page of review
    known = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    for page in [*PAGES, "CONTRIBUTING.md", "MODEL_CARD.md"]:
        assert "lass-hf[" not in text_of(page), "the package is installed from a clone"
        named = re.findall(r'pip install [^`\n]*-e "\.\[([\w,]+)\]"', text_of(page))
        assert {extra for some in named for extra in some.split(",")} <= set(known), page


# Links


def slugs(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and mkdocs make them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "MODEL_CARD.md"])
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text_of(page))):
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
            assert path.exists(), target
            assert not anchor or anchor in slugs(path), target


def test_every_page_is_in_the_navigation():
    def files(node):
        return (
            [node]
            if isinstance(node, str)
            else [file for value in (node.values() if isinstance(node, dict) else node) for file in files(value)]
        )

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(f"docs/{file}" for file in files(nav)) == [page for page in PAGES if page != "README.md"]


def test_reference_has_every_public_name_and_none_that_is_not_there():
    named = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", text_of(page), re.MULTILINE)]
    assert len(named) == len(set(named))
    assert not set(lass_hf.__all__) - {name.rpartition(".")[2] for name in named}
    for name in named:
        module, _, attribute = name.rpartition(".")
        parent = importlib.import_module(module)
        is_module = hasattr(parent, "__path__") and importlib.util.find_spec(name) is not None
        found = importlib.import_module(name) if is_module else getattr(parent, attribute)
        assert found.__doc__, name


# The site


@pytest.mark.slow
def test_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(PAGES) - 1
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//", text), page
        assert "<!-- arguments:" not in text
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", style.read_text(encoding="utf-8")), style
