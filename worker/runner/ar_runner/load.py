"""Reads the CSV file and turns it into the matrix that every experiment starts from.

What is done here learns nothing from the target and nothing from one row about another (category
codes are only names), so it may happen once, before the folds. This module imports nothing of the
package: `pipeline.py` carries a copy of it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

# The cells that mean "missing", after blanks around them are cut off. The coordinator has the same list.
# What pandas takes for missing, and `?`, which UCI tables have.
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "null",
    "?",
)

# A date becomes these numbers.
DATE_PARTS = ("year", "month", "day", "weekday", "hour", "days")

# Kinds of columns that a model may look at.
FEATURE_KINDS = ("numeric", "categorical", "date", "text")


@dataclass
class Layout:
    """How the columns of a file become columns of the matrix."""

    # Name and kind of the columns that are used, in the order of the file.
    columns: list[tuple[str, str]]
    # The known values of each categorical column; the code of a value is its position.
    levels: dict[str, list[str]]
    # Names of the columns of the matrix, and their positions by treatment.
    names: list[str]
    numeric: list[int]
    categorical: list[int]
    text: list[int]


@dataclass
class Table:
    """The rows that have a target, ready for folds."""

    X: "np.ndarray | pd.DataFrame"
    y: np.ndarray
    # Labels as written in the file, in the order of their codes; empty for regression.
    classes: list[str]
    groups: np.ndarray | None
    # Sort key of each row, if time orders them.
    times: np.ndarray | None
    dropped_rows: int
    layout: Layout


def read_cells(path: str, delimiter: str, header_rows: int = 1, names: list[str] | None = None) -> pd.DataFrame:
    """Every cell as text, missing ones as None. UTF-8 with or without a mark, else Latin-1."""
    options = {
        "sep": delimiter,
        "header": header_rows - 1 if header_rows else None,
        "names": names,
        "index_col": False,
        "dtype": str,
        "keep_default_na": False,
        "na_filter": False,
        "low_memory": False,
    }
    try:
        cells = pd.read_csv(path, encoding="utf-8-sig", **options)
    except UnicodeDecodeError:
        cells = pd.read_csv(path, encoding="latin-1", **options)
    cells.columns = [str(name).strip() for name in cells.columns]
    for name in cells.columns:
        # A row with too few cells is filled up with NaN by pandas, whatever it is told.
        column = cells[name].astype(object).where(cells[name].notna(), "").str.strip()
        cells[name] = column.where(~column.isin(MISSING), None)
    return cells


def to_numbers(column: pd.Series) -> np.ndarray:
    """Numbers; what is none, or infinite, is missing. The words true and false count as 1 and 0."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, copy=True)
    if np.isnan(numbers).any():
        words = column.str.lower()
        numbers[(words == "true").to_numpy()] = 1.0
        numbers[(words == "false").to_numpy()] = 0.0
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def to_moments(column: pd.Series) -> pd.Series:
    """Points in time (UTC): ISO 8601, and what pandas can make of the rest, month before day."""
    moments = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    rest = moments.isna() & column.notna()
    if rest.any():
        moments[rest] = pd.to_datetime(column[rest], errors="coerce", utc=True, format="mixed")
    return moments


def to_date_parts(column: pd.Series) -> list[np.ndarray]:
    moments = to_moments(column)
    part = moments.dt
    days = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    parts = (part.year, part.month, part.day, part.weekday, part.hour, days)
    return [values.to_numpy(dtype=float) for values in parts]


def sorted_levels(column: pd.Series) -> list[str]:
    """The distinct values; as numbers if all are numbers, so that 9 stands before 10."""
    levels = sorted(column.dropna().unique())
    try:
        return sorted(levels, key=float)
    except ValueError:
        return levels


def to_codes(column: pd.Series, levels: list[str]) -> np.ndarray:
    """Position in `levels`; a value that is not there gets the number after the last, missing stays missing."""
    codes = pd.Categorical(column, categories=levels).codes.astype(float)
    codes[codes < 0] = len(levels)
    codes[column.isna().to_numpy()] = np.nan
    return codes


def make_layout(cells: pd.DataFrame, columns: list[tuple[str, str]]) -> Layout:
    used = [(name, kind) for name, kind in columns if kind in FEATURE_KINDS]
    layout = Layout(columns=used, levels={}, names=[], numeric=[], categorical=[], text=[])
    for name, kind in used:
        if kind == "date":
            names, positions = [f"{name}_{part}" for part in DATE_PARTS], layout.numeric
        else:
            names, positions = [name], getattr(layout, kind)
        if kind == "categorical":
            layout.levels[name] = sorted_levels(cells[name])
        positions.extend(range(len(layout.names), len(layout.names) + len(names)))
        layout.names.extend(names)
    return layout


def to_matrix(cells: pd.DataFrame, layout: Layout) -> "np.ndarray | pd.DataFrame":
    """Numbers, date parts and category codes as floats. A data frame only where text stands beside them."""
    columns: list[np.ndarray] = []
    for name, kind in layout.columns:
        if kind == "numeric":
            columns.append(to_numbers(cells[name]))
        elif kind == "date":
            columns.extend(to_date_parts(cells[name]))
        elif kind == "categorical":
            columns.append(to_codes(cells[name], layout.levels[name]))
        else:
            columns.append(cells[name].fillna("").to_numpy(dtype=object))
    if layout.text:
        return pd.DataFrame(dict(enumerate(columns)))
    return np.column_stack(columns) if columns else np.empty((len(cells), 0))


def to_times(column: pd.Series) -> np.ndarray:
    """A sort key: numbers if all are numbers, else points in time, else the text itself."""
    numbers = to_numbers(column)
    if not np.isnan(numbers[column.notna().to_numpy()]).any():
        return numbers
    moments = to_moments(column)
    if moments[column.notna()].notna().all():
        return moments.astype("int64").to_numpy(dtype=float)
    return pd.Series(pd.Categorical(column, ordered=True).codes, dtype=float).to_numpy()


def load_table(
    path: str,
    delimiter: str,
    header_rows: int,
    columns: list[tuple[str, str]],
    target: str,
    task: str,
    group: str | None = None,
    time: str | None = None,
) -> Table:
    """Reads the file, drops the rows without a target (counted) and encodes what is left."""
    cells = read_cells(path, delimiter, header_rows, [name for name, _ in columns])
    if task == "regression":
        values = to_numbers(cells[target])
        known = ~np.isnan(values)
    else:
        known = cells[target].notna().to_numpy()
    kept = cells[known].reset_index(drop=True)
    if task == "regression":
        classes: list[str] = []
        y = values[known]
    else:
        classes = sorted_levels(kept[target])
        y = to_codes(kept[target], classes).astype(int)
    layout = make_layout(kept, columns)
    return Table(
        X=to_matrix(kept, layout),
        y=y,
        classes=classes,
        groups=kept[group].fillna("").to_numpy(dtype=str) if group else None,
        times=to_times(kept[time]) if time else None,
        dropped_rows=int((~known).sum()),
        layout=layout,
    )
