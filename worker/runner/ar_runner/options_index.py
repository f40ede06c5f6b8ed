"""Finds the options: one Python file per option, by slot and name."""

import importlib
from pathlib import Path
from types import ModuleType

SLOTS = ("impute", "encode", "scale", "features", "weighting", "build_model")
# The treatment of text columns is not searched, but is a file like the options.
FIXED = (("text", "base"),)
FOLDER = Path(__file__).parent / "options"


class OptionsIndex:
    """The modules that could be imported, and why the others could not."""

    def __init__(self) -> None:
        self.modules: dict[tuple[str, str], ModuleType] = {}
        self.unavailable: list[dict[str, str]] = []
        for slot, option in [*option_files(), *FIXED]:
            try:
                self.modules[slot, option] = load(slot, option)
            # A library that cannot be loaded (OSError for libgomp, say) costs its option, not the study.
            except Exception as error:  # noqa: BLE001
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                self.unavailable.append({"dimension": slot, "option": option, "reason": reason})

    def effective(self, config: dict[str, str]) -> dict[str, str]:
        """The option of every slot: base where none is given, or where the model says that the slot cannot matter."""
        unknown = set(config) - set(SLOTS)
        if unknown:
            raise KeyError(f"there is no slot `{sorted(unknown)[0]}`")
        full = {slot: config.get(slot, "base") for slot in SLOTS}
        ignored = getattr(self._module("build_model", full["build_model"]), "IGNORES", ())
        return {slot: "base" if slot in ignored else option for slot, option in full.items()}

    def chosen(self, config: dict[str, str]) -> dict[str, ModuleType]:
        """The module of each slot for this configuration."""
        pairs = [*self.effective(config).items(), *FIXED]
        return {slot: self._module(slot, option) for slot, option in pairs}

    def _module(self, slot: str, option: str) -> ModuleType:
        if (slot, option) not in self.modules:
            raise KeyError(f"there is no option `{option}` in `{slot}`, or it cannot be imported here")
        return self.modules[slot, option]


def option_files() -> list[tuple[str, str]]:
    """Slot and name of every option file."""
    files = ((slot, path) for slot in SLOTS for path in (FOLDER / slot).glob("*.py"))
    return sorted((slot, path.stem) for slot, path in files if not path.stem.startswith("_"))


def load(slot: str, option: str) -> ModuleType:
    module = importlib.import_module(f"ar_runner.options.{slot}.{option}")
    if not callable(getattr(module, "make", None)):
        raise ImportError("the file has no function `make`")
    return module
