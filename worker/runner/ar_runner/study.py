"""study.json: what the coordinator decided about the table. Nothing here is inferred again."""

import json
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
# Seeds are of 64 bits where they come from; LightGBM takes 31.
SEEDS = 2**31


class StudyError(Exception):
    """The study cannot be served; the text says what to change."""


@dataclass(frozen=True)
class Study:
    data: Path
    delimiter: str
    header_rows: int
    target: str
    task: str
    metric: str
    # Name and kind of every column, in the order of the file.
    columns: list[tuple[str, str]]
    folds: int
    # Splits that one run on a fresh split covers.
    repeats: int
    holdout: float | None
    group: str | None
    time: str | None
    seed: int


def read_study(folder: str | Path) -> Study:
    folder = Path(folder)
    path = folder / "study.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"cannot read {path}: {error}") from error
    if raw.get("version") != VERSION:
        raise StudyError(f"{path} is of version {raw.get('version')}; this runner reads version {VERSION}")
    try:
        return Study(
            data=folder / raw["data"]["path"],
            delimiter=raw["data"].get("delimiter", ","),
            header_rows=raw["data"].get("header_rows", 1),
            target=raw["target"],
            task=raw["task"],
            metric=raw["metric"],
            columns=[(column["name"], column["kind"]) for column in raw["columns"]],
            folds=raw["folds"],
            repeats=raw.get("repeats", 1),
            holdout=raw.get("holdout"),
            group=raw.get("group"),
            time=raw.get("time"),
            seed=raw.get("seed", 0) % SEEDS,
        )
    except KeyError as error:
        raise StudyError(f"{path} lacks {error}") from error
