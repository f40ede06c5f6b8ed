"""From the file to the matrix, by the kinds that the coordinator decided."""

import json
import unittest

# First: it sets how many threads the libraries use.
from support import StudyCase, cross_validate, mixed_cells, MIXED_KINDS, write_study

import numpy as np
import pandas as pd

from ar_runner.frames import FrameError, Receiver, encode
from ar_runner.load import load_table, to_codes
from ar_runner.study import StudyError, read_study


class Load(StudyCase):
    def load(self, text, kinds, task="classification", encoding="utf-8", delimiter=",", header_rows=1, **roles):
        path = self.folder / "data.csv"
        path.write_bytes(text.encode(encoding))
        return load_table(str(path), delimiter, header_rows, kinds, "y", task, **roles)

    def test_each_kind_becomes_what_the_readme_says(self):
        rows = ("1.5,b,2024-03-05T06:00:00,7,same,out,yes", ",a,2024-12-31,8,same,out,no", "2,?,NA,9,same,out,yes")
        text = "\n".join(("n,c,d,i,k,x,y", *rows)) + "\n"
        kinds = [("n", "numeric"), ("c", "categorical"), ("d", "date"), ("i", "id"), ("k", "constant")]
        table = self.load(text, [*kinds, ("x", "dropped"), ("y", "target")])
        names = ["n", "c", "d_year", "d_month", "d_day", "d_weekday", "d_hour", "d_days"]
        self.assertEqual(table.layout.names, names)
        nan = np.nan
        expected = [
            [1.5, 1, 2024, 3, 5, 1, 6, 19787.25],
            [nan, 0, 2024, 12, 31, 1, 0, 20088],
            [2.0, nan, nan, nan, nan, nan, nan, nan],
        ]
        np.testing.assert_array_equal(table.X, expected)
        self.assertEqual((table.classes, table.y.tolist()), (["no", "yes"], [1, 0, 1]))

    def test_rows_without_a_target_are_dropped_and_counted(self):
        text = "a,y\n1,p\n2,NA\n3,\n4,q\n"
        table = self.load(text, [("a", "numeric"), ("y", "target")])
        self.assertEqual((table.dropped_rows, table.X.ravel().tolist()), (2, [1.0, 4.0]))
        table = self.load("a,y\n1,2.5\n2,word\n3,inf\n", [("a", "numeric"), ("y", "target")], task="regression")
        self.assertEqual((table.dropped_rows, table.y.tolist()), (2, [2.5]))

    def test_labels_of_any_kind(self):
        for labels, order in (
            (["10", "9", "10"], ["9", "10"]),
            (["True", "False", "True"], ["False", "True"]),
            (["-1.0", "1.0", "1.0"], ["-1.0", "1.0"]),
            (["größer", "kleiner, viel", "größer"], ["größer", "kleiner, viel"]),
        ):
            text = "a,y\n" + "".join(f'{row},"{label}"\n' for row, label in enumerate(labels))
            table = self.load(text, [("a", "numeric"), ("y", "target")])
            self.assertEqual([table.classes[code] for code in table.y], labels)
            self.assertEqual(table.classes, order)

    def test_a_category_never_seen_is_none_of_the_known_ones(self):
        np.testing.assert_array_equal(to_codes(pd.Series(["b", "z", None]), ["a", "b"]), [1, 2, np.nan])

    def test_files_as_they_come(self):
        kinds = [("a", "numeric"), ("b", "categorical"), ("y", "target")]
        plain = 'a,b,y\n1,"x, ä",p\n2,z,q\n'
        expected = self.load(plain, kinds)
        for text, more in (
            ("\ufeff" + plain, {}),
            (plain.replace("\n", "\r\n"), {}),
            (plain, {"encoding": "latin-1"}),
            (plain.replace("a,b,y", " a , b , y "), {}),
            (plain.replace("1,", " 1 ,"), {}),
            ('1;"x, ä";p\n2;z;q\n', {"delimiter": ";", "header_rows": 0}),
        ):
            table = self.load(text, kinds, **more)
            np.testing.assert_array_equal(table.X, expected.X)
            self.assertEqual(table.layout, expected.layout)

    def test_numbers_that_are_none_are_missing(self):
        table = self.load("a,y\n1e3,p\ninf,q\nword,p\nTrue,q\n", [("a", "numeric"), ("y", "target")])
        np.testing.assert_array_equal(table.X.ravel(), [1000, np.nan, np.nan, 1])

    def test_text_stands_beside_numbers(self):
        table = self.load("t,a,y\nred wine,1,p\n,2,q\n", [("t", "text"), ("a", "numeric"), ("y", "target")])
        self.assertEqual((table.layout.text, table.layout.numeric), ([0], [1]))
        self.assertEqual(table.X.iloc[:, 0].tolist(), ["red wine", ""])

    def test_times_are_ordered_as_numbers_dates_or_words(self):
        for cells, order in (
            (["9", "10", "1"], [2, 0, 1]),
            (["2024-02-01", "2023-12-31", "2024-01-15"], [1, 2, 0]),
            (["week b", "week c", "week a"], [2, 0, 1]),
        ):
            text = "t,a,y\n" + "".join(f"{cell},1,p\n" for cell in cells)
            table = self.load(text, [("t", "time"), ("a", "numeric"), ("y", "target")], time="t")
            self.assertEqual(np.argsort(table.times).tolist(), order)

    def test_columns_of_one_kind_alone_are_enough(self):
        cells = mixed_cells(60)
        for name in ("size", "zone", "day", "note"):
            alone = {name: cells[name], "target": cells["target"]}
            result = cross_validate(self.evaluator(alone, MIXED_KINDS))
            self.assertEqual(len(result["folds"]), 3, name)

    def test_a_table_without_a_column_to_learn_from_is_refused(self):
        cells = {"a": ["1"] * 10, "target": ["p", "q"] * 5}
        with self.assertRaisesRegex(StudyError, "no column is left"):
            self.evaluator(cells, {"a": "constant", "target": "target"})


class StudyFile(StudyCase):
    def test_a_study_that_cannot_be_read_says_why(self):
        path = write_study(self.folder, mixed_cells(10), MIXED_KINDS) / "study.json"
        study = json.loads(path.read_text())
        for change, reason in (({"version": 2}, "version 2"), ({"target": None}, "lacks 'target'")):
            broken = {key: value for key, value in {**study, **change}.items() if value is not None}
            path.write_text(json.dumps(broken))
            with self.assertRaisesRegex(StudyError, reason):
                read_study(self.folder)
        path.write_text("{")
        with self.assertRaisesRegex(StudyError, "cannot read"):
            read_study(self.folder)


class FakeSocket:
    """Gives these bytes, some at a time."""

    def __init__(self, data, at_once):
        self.pieces = [data[start : start + at_once] for start in range(0, len(data), at_once)]

    def recvmsg(self, *_):
        return (self.pieces.pop(0) if self.pieces else b""), [], 0, None


class Frames(unittest.TestCase):
    def test_frames_arrive_whole_however_they_are_cut(self):
        sent = [{"op": "a"}, {"op": "b", "folds": [0.1, None]}, {"op": "ü" * 300}]
        data = b"".join(map(encode, sent))
        for at_once in (1, 3, 7, len(data)):
            receiver, received = Receiver(FakeSocket(data, at_once)), []
            while (frames := receiver.receive()) is not None:
                received += frames
            self.assertEqual(received, sent)

    def test_a_length_out_of_all_reason_is_refused(self):
        with self.assertRaises(FrameError):
            Receiver(FakeSocket(b"\xff" * 8, 8)).receive()

    def test_a_run_without_its_descriptors_is_refused(self):
        with self.assertRaises(FrameError):
            Receiver(FakeSocket(b"", 1)).take_descriptors(2)


if __name__ == "__main__":
    unittest.main()
