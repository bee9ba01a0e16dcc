"""The closed list of ways in which a site folder can be bad: number, what is wrong, which pass sees it, how grave."""

from __future__ import annotations

from typing import Literal, NamedTuple

Pass = Literal["Y", "H", "T", "V", "U"]
PASSES: dict[Pass, str] = {
    "Y": "site.yaml",
    "H": "headers of the table and of the arrays",
    "T": "columns of the table",
    "V": "values of the features",
    "U": "while a run uses the folder, or between sites",
}


class Case(NamedTuple):
    """One way in which a folder can be bad.

    Attributes:
        wrong: in words.
        seen: the pass that finds it.
        grave: ``E`` the folder is refused, ``W`` it is used and the finding is told, ``E/W`` by what is found.
    """

    wrong: str
    seen: Pass
    grave: Literal["E", "W", "E/W"]


CASES: dict[str, Case] = {
    "D01": Case("folder missing, not a folder, or not readable", "Y", "E"),
    "D02": Case("site.yaml missing, empty, or no UTF-8 mapping", "Y", "E"),
    "D03": Case("YAML: syntax, tab, key twice, anchor bomb, tag", "Y", "E"),
    "D04": Case("unknown key in site.yaml", "Y", "E"),
    "D05": Case("value of the wrong type or out of range", "Y", "E"),
    "D06": Case("name of the site", "Y", "E"),
    "D07": Case("format is newer than this release", "Y", "E"),
    "D08": Case("task is not the federation's", "Y", "E"),
    "D09": Case("modality that the federation does not know", "Y", "E"),
    "D10": Case("no modality, or none with a single row", "T", "E"),
    "D11": Case("path leaves the folder", "T", "E"),
    "D12": Case("table of samples missing; there twice", "H", "E/W"),
    "D13": Case("table cannot be read", "H", "E"),
    "D14": Case("column missing", "H", "E"),
    "D15": Case("column name in other case, or twice; further columns", "H", "E/W"),
    "D16": Case("type of a column", "H", "E/W"),
    "D17": Case("row number outside the array", "T", "E"),
    "D18": Case("row numbers and paths in one column", "T", "E"),
    "D19": Case("absence written as -1, 0 or a word", "T", "E/W"),
    "D20": Case("sample_id empty", "T", "E"),
    "D21": Case("sample_id twice in one split", "T", "E"),
    "D22": Case("sample_id in two splits", "T", "E"),
    "D23": Case("two samples share a row of features", "T", "W"),
    "D24": Case("two splits share a row of features", "T", "E"),
    "D25": Case("unknown split", "T", "E"),
    "D26": Case("too few train rows", "T", "E"),
    "D27": Case("too few train rows to hold some out for contributions", "T", "E"),
    "D28": Case("target empty in train or val", "T", "E"),
    "D29": Case("class number out of range", "T", "E"),
    "D30": Case("one class only", "T", "W"),
    "D31": Case("regression target not finite, or huge", "T", "E"),
    "D32": Case("rows without any modality", "T", "W"),
    "D33": Case("modality never present, or no row that lacks one", "T", "W"),
    "D34": Case("fewer rows of a modality than the release floor", "T", "W"),
    "D35": Case("patterns rarer than the release floor", "T", "W"),
    "D36": Case("array of features missing", "H", "E"),
    "D37": Case("array not npy, or of a type that is not read", "H", "E"),
    "D38": Case("array in Fortran order or big-endian", "H", "E"),
    "D39": Case("array file shorter or longer than its header says", "H", "E"),
    "D40": Case("shape or kind of a modality", "H", "E"),
    "D41": Case("array without rows", "H", "E"),
    "D42": Case("NaN or infinity in a row that is used", "V", "E"),
    "D43": Case("NaN in rows that nobody uses", "V", "W"),
    "D44": Case("rows of zeros", "V", "W"),
    "D45": Case("modality constant", "V", "W"),
    "D46": Case("scale far from the federation's", "V", "W"),
    "D47": Case("type of the array is not the declared one", "H", "W"),
    "D48": Case("file missing", "T", "E"),
    "D49": Case("path is no regular file", "T", "E"),
    "D50": Case("file not readable", "T", "E"),
    "D51": Case("file empty, or its decoder fails", "V", "E"),
    "D52": Case("decoded shape is not the declared one", "V", "E"),
    "D53": Case("file decodes to more than the limit", "V", "E"),
    "D54": Case("path no UTF-8, or too long", "T", "E"),
    "D55": Case("path of another system: backslash, or other case", "T", "E"),
    "D56": Case("file changed after the check", "U", "E"),
    "D57": Case("file or disk gone during a run", "U", "E"),
    "D58": Case("not enough memory for one batch", "U", "E"),
    "D59": Case("table too large", "H", "E"),
    "D60": Case("two sites with the same data", "U", "E"),
    "D61": Case("folder of another site", "Y", "E"),
    "D62": Case("permissions too wide", "Y", "W"),
    "D63": Case("splits changed within a run", "U", "E"),
    "D64": Case("column of mixed types", "H", "E"),
    "D65": Case("file is not the sealed one", "V", "E"),
    "D66": Case("YAML reads something else than was meant", "Y", "E"),
}
