"""The hash by which two experiments are known to be the same one."""

import hashlib

import numpy as np


def matrix_hash(train: np.ndarray, test: np.ndarray, *also: str) -> str:
    """Of the matrices of fold 0 after every transform (type and shape included), and of what decides the rest.

    The test rows are part of it: two encoders can agree on all training rows and differ on a value
    that only the test rows have.
    """
    digest = hashlib.blake2b(digest_size=32)
    for matrix in (np.ascontiguousarray(train), np.ascontiguousarray(test)):
        digest.update(f"{matrix.dtype.str}{matrix.shape}".encode())
        digest.update(matrix.data if matrix.dtype != object else repr(matrix.tolist()).encode())
    for text in also:
        digest.update(b"\0" + text.encode())
    return digest.hexdigest()
