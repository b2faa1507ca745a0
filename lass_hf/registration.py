"""Makes transformers' Auto classes and pipelines know LASS: at once, or when transformers is first imported.

`import lass_hf` alone must not import transformers and torch, because the command line answers `--help`, and reads
graphs, without them. The modules in REGISTERED register their own classes when they are imported; this one sees to it
that they are.
"""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

WATCHED = "transformers"
REGISTERED = tuple(
    f"{__package__}.{name}"
    for name in ("core.configuration_lass", "core.modeling_lass", "core.processing_lass", "prediction.pipelines")
)


def register() -> None:
    """Registers configuration, model, processor and both pipelines; a second call changes nothing."""
    for name in REGISTERED:
        import_module(name)


def register_with_transformers() -> None:
    """Registers now if transformers is imported, else right after somebody imports it."""
    if WATCHED in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport(MetaPathFinder):
    """Lets the import of transformers take its course, and registers behind it."""

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != WATCHED:
            return None
        sys.meta_path.remove(self)  # while the other finders look for it
        spec = find_spec(fullname)
        sys.meta_path.insert(0, self)  # A spec is also asked for by those who import nothing.
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            execute(module)
            # One of them that is being imported, and asked for transformers, cannot be imported once more by now. It
            # registers its own class, and the first public name that is asked for registers the others.
            if not any(name in sys.modules for name in REGISTERED):
                register()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
