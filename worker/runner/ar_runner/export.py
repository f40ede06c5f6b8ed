"""Writes `pipeline.py`: the winning pipeline as one file that needs nothing of this package.

It is put together from the sources that scored it: the chosen options, and of the other modules
just the definitions that they reach.
"""

import ast
import inspect
import sys
from pathlib import Path
from pprint import pformat
from types import ModuleType
from typing import Any

from ar_runner import assemble, context, fitting, load, metrics, models, splits, standalone, standalone_ensemble
from ar_runner import transformers, voting
from ar_runner.study import StudyError

# In the order in which they appear in the file.
SHARED = (load, splits, metrics, transformers, models, context, assemble, fitting, standalone)
SHARED_BY_MEMBERS = (*SHARED[:-1], voting, standalone_ensemble, standalone)
FILLED_IN = ("SETTINGS", "MAKE", "METRIC")

HEADER = '''"""{title}

Made by a study: {changes}.
`python pipeline.py DATA.csv` repeats its cross-validation and prints the score;
`python pipeline.py DATA.csv NEW.csv PREDICTIONS.csv` also fits on all rows and predicts new ones.
Needs numpy, pandas, scipy, scikit-learn{boosters}; best in the versions of the study.
"""

import os

# One thread, as in the study; must be set before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
'''


class Pool:
    """Top-level definitions and imports of several modules, by the names they bind."""

    def __init__(self) -> None:
        # Name -> (source, names it refers to), in the order in which they were added.
        self.definitions: dict[str, tuple[str, set[str]]] = {}
        self.imports: dict[str, str] = {}

    def add(self, module: ModuleType, make: str | None = None, apart: bool = False, known: bool = False) -> None:
        """Adds a module; of an option, `make` gets this name, and says above it what the option does. Where two options
        of a slot stand in one file, their helpers are kept `apart`: they get a name with that of the option. Where
        `known`, what another module has defined before takes the place of this one's.
        """
        source = inspect.getsource(module)
        if apart:
            source = rename(source, {name: f"{name}_{make.removeprefix('make_')}" for name in own_names(source)})
        lines = source.splitlines(keepends=True)
        end_of_previous = 0
        for node in ast.parse(source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._add_import(node)
            elif not isinstance(node, ast.Expr):
                # Comments and decorators above a definition belong to it.
                text = "".join(lines[end_of_previous : node.end_lineno]).strip("\n")
                if make and getattr(node, "name", None) == "make":
                    about = "".join(f"# {line}\n" for line in (module.__doc__ or "").strip().splitlines())
                    self._add_definition(make, node, about + text.replace("def make(", f"def {make}(", 1))
                elif not (known and bound_name(node) in self.definitions):
                    self._add_definition(bound_name(node), node, text)
            end_of_previous = node.end_lineno

    def _add_import(self, node: "ast.Import | ast.ImportFrom") -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            as_name = f" as {alias.asname}" if alias.asname else ""
            if isinstance(node, ast.Import):
                line = f"import {alias.name}{as_name}"
            elif node.module.split(".")[0] == "ar_runner":
                continue
            else:
                line = f"from {node.module} import {alias.name}{as_name}"
            if self.imports.setdefault(name, line) != line:
                raise StudyError(f"cannot export: `{line}` and `{self.imports[name]}` share a name; rename one")

    def _add_definition(self, name: str, node: ast.stmt, text: str) -> None:
        if name in self.definitions:
            raise StudyError(f"cannot export: two definitions are called `{name}`; rename one")
        self.definitions[name] = (text, names_in(node))

    def reach(self, start: set[str]) -> tuple[list[str], list[str]]:
        """Import lines and definitions that these names need, directly or not."""
        reached, waiting = set(), set(start)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting |= self.definitions.get(name, ("", set()))[1]
        # Some imports act by being imported (scikit-learn's experimental ones).
        lines = [line for name, line in self.imports.items() if name in reached or ".experimental" in line]
        texts = [text for name, (text, _) in self.definitions.items() if name in reached and name not in FILLED_IN]
        return lines, texts


def own_names(source: str) -> set[str]:
    """What an option file defines beside `make`."""
    skipped = (ast.Import, ast.ImportFrom, ast.Expr)
    return {bound_name(node) for node in ast.parse(source).body if not isinstance(node, skipped)} - {"make"}


def rename(source: str, names: dict[str, str]) -> str:
    """The source with these top-level names changed, wherever they are used."""
    lines = source.splitlines(keepends=True)
    places = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in names:
            places.append((node.lineno, node.col_offset, node.id))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
            places.append((node.lineno, lines[node.lineno - 1].index(node.name, node.col_offset), node.name))
    # From the last to the first, so that the places before stay right. Offsets are of bytes.
    for number, offset, name in sorted(places, reverse=True):
        line = lines[number - 1].encode()
        lines[number - 1] = (line[:offset] + names[name].encode() + line[offset + len(name.encode()) :]).decode()
    return "".join(lines)


def bound_name(node: ast.stmt) -> str:
    """The name that a top-level definition or assignment gives."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])


def names_in(node: ast.AST) -> set[str]:
    """The names that a definition refers to, those in quoted annotations too."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.startswith("np."):
            names |= {"np", "pd"}
    return names


def sort_imports(lines: list[str]) -> str:
    """The standard library first; imports of one module on one line."""
    by_module: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("from "):
            module, _, names = line[5:].partition(" import ")
            by_module.setdefault(module, []).append(names)
    merged = [line for line in lines if line.startswith("import ")]
    merged += [f"from {module} import {', '.join(sorted(names))}" for module, names in by_module.items()]

    def is_foreign(line: str) -> bool:
        return line.split()[1].split(".")[0] not in sys.stdlib_module_names

    blocks = [
        sorted((line for line in merged if is_foreign(line) is foreign), key=str.lower) for foreign in (False, True)
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def render(evaluator: Any, config: dict[str, str], members: list[dict[str, Any]] | None = None) -> str:
    """The text of the file: of one configuration, or of the members of an ensemble."""
    if members:
        return render_members(evaluator, members)
    chosen, full = options_of(evaluator, config)
    pool = Pool()
    # What was chosen comes first: it is what a reader looks for.
    for slot, module in chosen.items():
        pool.add(module, make=f"make_{slot}")
    for module in SHARED:
        pool.add(module)
    make = "".join(f'    "{slot}": make_{slot},\n' for slot in chosen)
    changes = changes_of(full)
    return put_together(evaluator, pool, {f"make_{slot}" for slot in chosen}, {"config": full}, changes, f"{{\n{make}}}")


def render_members(evaluator: Any, members: list[dict[str, Any]]) -> str:
    """The text of the file for an ensemble. An option that several members use stands there once."""
    pool, makes, settings, start = Pool(), [], [], set()
    for member in members:
        chosen, full = options_of(evaluator, member["config"])
        names = {slot: f"make_{slot}_{full[slot]}" for slot in chosen}
        for slot, module in chosen.items():
            if names[slot] not in start:
                pool.add(module, make=names[slot], apart=True)
                start.add(names[slot])
        entries = "".join(f'        "{slot}": {name},\n' for slot, name in names.items())
        makes.append(f"    {{\n{entries}    }},\n")
        settings.append({"weight": member["weight"], "config": full})
    for module in SHARED_BY_MEMBERS:
        pool.add(module, known=module is standalone)
    parts = [f"{member['weight']}x ({changes_of(member['config'])})" for member in settings]
    changes = f"an ensemble of {len(parts)}, {', '.join(parts)}"
    return put_together(evaluator, pool, start, {"members": settings}, changes, f"[\n{''.join(makes)}]")


def options_of(evaluator: Any, config: dict[str, str]) -> tuple[dict[str, ModuleType], dict[str, str]]:
    """The module of each slot that this table has a use for, and the name of its option."""
    chosen = evaluator.options.chosen(config)
    if not evaluator.table.layout.text:
        chosen.pop("text")
    full = {**evaluator.options.effective(config), "text": "base"}
    return chosen, {slot: full[slot] for slot in chosen}


def changes_of(full: dict[str, str]) -> str:
    return ", ".join(f"{slot}={option}" for slot, option in full.items() if option != "base") or "every slot at base"


def put_together(
    evaluator: Any, pool: Pool, start: set[str], chosen: dict[str, Any], changes: str, make: str
) -> str:
    """The file: what `start` and the main part reach, and the constants."""
    study = evaluator.study
    metric = evaluator.metric.function.__name__
    lines, texts = pool.reach({"main", metric} | start)
    settings = {
        "delimiter": study.delimiter,
        "header_rows": study.header_rows,
        "columns": study.columns,
        "target": study.target,
        "task": study.task,
        "group": study.group,
        "time": study.time,
        "metric": study.metric,
        "looks_at": evaluator.metric.looks_at,
        "folds": study.folds,
        "holdout": study.holdout,
        "seed": study.seed,
        **chosen,
    }
    boosters = "".join(f", {name}" for name in ("xgboost", "lightgbm") if any(name in line for line in lines))
    header = HEADER.format(title=f"Predicts `{study.target}` ({study.task}).", changes=changes, boosters=boosters)
    constants = f"SETTINGS = {pformat(settings, sort_dicts=False, width=110)}\n"
    ending = f"MAKE = {make}\nMETRIC = {metric}\n\n\nif __name__ == \"__main__\":\n    main()\n"
    return f"{header}\n{sort_imports(lines)}\n\n{constants}\n\n" + "\n\n\n".join(texts) + f"\n\n\n{ending}"


def write_pipeline(
    out: str, evaluator: Any, config: dict[str, str], members: list[dict[str, Any]] | None = None
) -> None:
    (Path(out) / "pipeline.py").write_text(render(evaluator, config, members), encoding="utf-8")
