"""Finds the options: one Python file per option, by slot and name, the package's own and the user's."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ar_runner.study import Study

SLOTS = ("impute", "encode", "scale", "features", "weighting", "build_model")
# The treatment of text columns is not searched, but is a file like the options.
FIXED = (("text", "base"),)
OWN_FOLDER = Path(__file__).parent / "options"


class OptionsIndex:
    """The modules that could be imported, and why the others could not."""

    def __init__(self, study: Study) -> None:
        self.extra_folder = study.extra_options
        self.modules: dict[tuple[str, str], ModuleType] = {}
        self.unavailable: list[dict[str, str]] = []
        for slot, option in self._wanted(study):
            try:
                self.modules[slot, option] = self._load(slot, option)
            # A library that cannot be loaded (OSError for libgomp, say) costs its option, not the study.
            except Exception as error:  # noqa: BLE001
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                self.unavailable.append({"dimension": slot, "option": option, "reason": reason})

    def _wanted(self, study: Study) -> list[tuple[str, str]]:
        folders = [OWN_FOLDER] + ([self.extra_folder] if self.extra_folder else [])
        found = {
            (slot, path.stem)
            for folder in folders
            for slot in SLOTS
            for path in (folder / slot).glob("*.py")
            if not path.stem.startswith("_")
        }
        if study.options is not None:
            named = {(slot, option) for slot, options in study.options.items() for option in options}
            found = named | {(slot, "base") for slot in SLOTS}
        return sorted(found) + list(FIXED)

    def _load(self, slot: str, option: str) -> ModuleType:
        if self.extra_folder and (path := self.extra_folder / slot / f"{option}.py").exists():
            name = f"ar_runner_extra.{slot}.{option}"
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(f"ar_runner.options.{slot}.{option}")

    def chosen(self, config: dict[str, str]) -> dict[str, ModuleType]:
        """The module of each slot for this configuration; a slot that is left out is at base."""
        unknown = set(config) - set(SLOTS)
        if unknown:
            raise KeyError(f"there is no slot `{sorted(unknown)[0]}`")
        modules = {}
        for slot, option in [(slot, config.get(slot, "base")) for slot in SLOTS] + list(FIXED):
            if (slot, option) not in self.modules:
                raise KeyError(f"there is no option `{option}` in `{slot}`, or it cannot be imported here")
            modules[slot] = self.modules[slot, option]
        return modules
