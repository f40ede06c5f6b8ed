"""What an option may know when it makes its part of a pipeline.

Imports nothing of the package: `pipeline.py` carries a copy of it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    task: str
    metric: str
    # 0 for regression.
    n_classes: int
    seed: int
    # Rows that the pipeline will be fitted on.
    rows: int
    # Positions in the loaded matrix, by treatment; dates are numeric by then.
    numeric: list[int]
    categorical: list[int]
    text: list[int]
    # Name of every column of the loaded matrix.
    names: list[str]
    # The option of every slot.
    config: dict[str, str]
    # Whether the model must give probabilities, not just a ranking of the classes.
    probabilities: bool = False
    # Positions, in the matrix that the model sees, of columns that hold category codes.
    native_columns: tuple[int, ...] = ()
