"""Bad input of every kind, and a piece of what has to be said to it.

Each case is a command line over a folder of files. What is said goes to standard error, in
one line that begins with `error:`; the exit code is 2.
"""

from __future__ import annotations

import bz2
import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CASES", "Case", "good_rows", "lay_out"]


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong.

    Attributes
    ----------
    group, name : str
    arguments : str
        The command line, split at blanks; `{}` in it is the folder.
    said : tuple of str
        What the message must contain.
    file : (str, bytes) or None
        A file that is laid into the folder for this case.
    """

    group: str
    name: str
    arguments: str
    said: tuple[str, ...]
    file: tuple[str, bytes] | None = None


def good_rows(n_rows: int = 400) -> str:
    """Return a small table that is learnt from easily."""
    rows = (f"{i},{(i * 7) % 50},{'abc'[i % 3]},{'yes' if (i * 7) % 50 > 20 else 'no'}" for i in range(n_rows))
    return "\n".join(["id,age,kind,late", *rows]) + "\n"


def _broken(name: str, text: str | bytes, *said: str, options: str = "", file: str = "broken.csv") -> Case:
    data = text if isinstance(text, bytes) else text.encode()
    return Case("broken CSV", name, f"describe {{}}/{file} {options}".strip(), said, (file, data))


def _zip_of_two() -> bytes:
    import io

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "y\n1\n")
    return held.getvalue()


GZIP = gzip.compress(good_rows(2_000).encode())

BROKEN = [
    _broken("empty file", "", "broken.csv"),
    _broken("blank lines only", "\n\n\n", "broken.csv"),
    _broken("a line with too many fields", "a,b\n1,2\n3,4,5\n", "broken.csv:3", "--on-bad-lines skip"),
    _broken("a line with too few fields", "a,b,c\n1,2,3\n4\n", "broken.csv:3"),
    _broken("a quote that never ends", 'a,b\n1,"two\n3,4\n', "broken.csv:2"),
    _broken("text after a closing quote", 'a,b\n1,"two" three\n', "broken.csv:2"),
    _broken("not UTF-8", b"a,b\n1,caf\xe9\n", "broken.csv", "--encoding latin-1"),
    _broken("UTF-16 without a mark", "a,b\n1,2\n".encode("utf-16-le"), "broken.csv"),
    _broken("a NUL byte in a number", b"a,b\n1,2\0\n", "broken.csv:2", options="--types b=int"),
    Case(
        "broken CSV",
        "files with different columns",
        "describe {}/good*.csv",
        ("good-broken.csv",),
        ("good-broken.csv", b"a,b\n1,2\n"),
    ),
    _broken("bytes that are no text", bytes(range(256)) * 8, "broken.csv"),
    _broken(
        "a value against the given type",
        "a\n1\ntwo\n",
        "broken.csv:3",
        "'two'",
        "--types a=string",
        options="--types a=int",
    ),
    _broken("an integer beyond 64 bits", "a\n99999999999999999999\n", "99999999999999999999", options="--types a=int"),
    _broken(
        "the integer that stands for missing",
        "a\n-9223372036854775808\n",
        "-9223372036854775808",
        options="--types a=int",
    ),
    _broken("a day that does not exist", "a\n2023-02-30\n", "2023-02-30", options="--types a=time"),
    _broken("neither true nor false", "a\ntrue\nmaybe\n", "'maybe'", options="--types a=bool"),
    _broken("gzip cut off", GZIP[: len(GZIP) // 2], "broken.csv.gz", file="broken.csv.gz"),
    _broken("gzip with a wrong checksum", GZIP[:-8] + b"\0" * 8, "broken.csv.gz", file="broken.csv.gz"),
    _broken("bzip2 cut off", bz2.compress(good_rows().encode())[:100], "broken.csv.bz2", file="broken.csv.bz2"),
    _broken("zip of two files", _zip_of_two(), "broken.csv.zip", file="broken.csv.zip"),
    _broken("an Excel file named .csv", b"\xd0\xcf\x11\xe0" + bytes(600), "Excel"),
    _broken("JSON", '{"a": 1}\n', "JSON"),
    _broken("a separator of two characters", "a;;b\n1;;2\n", "';;'", options="--sep ;;"),
    _broken("an unknown type", "a\n1\n", "'integer'", options="--types a=integer"),
]

NAMES = [
    Case("names", "a column that is not there", "describe {}/good.csv --columns id,agee", ("'agee'", "did you mean 'age'?")),
    Case("names", "a type for a column that is not there", "describe {}/good.csv --types agee=int", ("'agee'", "'age'")),
    Case("names", "a target that is not there", "train {}/good.csv --target lat -o {}/m.hs", ("'lat'", "did you mean 'late'?")),
    Case("names", "a feature that is not there", "train {}/good.csv --target late --features agee -o {}/m.hs", ("'agee'", "did you mean 'age'?")),
    Case("names", "weights that are not there", "train {}/good.csv --target late --weights wt -o {}/m.hs", ("'wt'",)),
    Case("names", "rows without a feature of the model", "predict {}/late.hs {}/no_age.csv -o {}/out.csv", ("'age'",)),
    Case("names", "an engine that does not exist", "describe {}/good.csv --engine rey", ("'rey'", "did you mean 'ray'?")),
]  # fmt: skip

PARAMETERS = [
    Case("parameters", "no trees", "train {}/good.csv --target late --n-estimators 0 -o {}/m.hs", ("--n-estimators 0",)),
    Case("parameters", "a depth below 1", "train {}/good.csv --target late --max-depth -3 -o {}/m.hs", ("--max-depth -3",)),
    Case("parameters", "a learning rate of nan", "train {}/good.csv --target late --learning-rate nan -o {}/m.hs", ("--learning-rate nan",)),
    Case("parameters", "a word for a number", "train {}/good.csv --target late --learning-rate fast -o {}/m.hs", ("--learning-rate fast",)),
    Case("parameters", "a sample above 1", "train {}/good.csv --target late --subsample 1.5 -o {}/m.hs", ("--subsample 1.5",)),
    Case("parameters", "numbers asked of words", "train {}/good.csv --target kind --task regress -o {}/m.hs", ("'kind'",)),
    Case("parameters", "a target with one class", "train {}/one_class.csv --target late -o {}/m.hs", ("late",)),
    Case("parameters", "the target among the features", "train {}/good.csv --target late --features late,age -o {}/m.hs", ("'late'",)),
    Case("parameters", "negative weights", "train {}/negative.csv --target late --weights w -o {}/m.hs", ("w",)),
]  # fmt: skip

FILES = [
    Case("files", "no such file", "describe {}/nothing.csv", ("nothing.csv",)),
    Case("files", "a pattern that fits nothing", "describe {}/nothing-*.csv", ("nothing-*.csv",)),
    Case("files", "a folder", "describe {}", ("directory",)),
    Case("files", "a file that may not be read", "describe {}/secret.csv", ("secret.csv", "permissions")),
    Case("files", "a path through a file", "describe {}/good.csv/inner.csv", ("good.csv/inner.csv",)),
    Case("files", "an output of unknown kind", "predict {}/late.hs {}/good.csv -o {}/out.xyz", (".xyz", ".csv", ".parquet")),
    Case("files", "an output that exists", "predict {}/late.hs {}/good.csv -o {}/good.csv", ("good.csv", "overwrite")),
    Case("files", "an output in no folder", "predict {}/late.hs {}/good.csv -o {}/none/out.csv", ("none",)),
    Case("files", "a model that exists", "train {}/good.csv --target late -o {}/late.hs", ("late.hs", "overwrite")),
    Case("files", "a full disk, CSV", "predict {}/late.hs {}/many.csv -o {}/full/out.csv", ("full/out.csv",)),
    Case("files", "a full disk, Parquet", "predict {}/late.hs {}/many.csv --keep id -o {}/full/out.parquet", ("full/out.parquet",)),
    Case("files", "a full disk, report", "report {}/late.hs {}/good.csv -o {}/full/r.html --overwrite", ("full/r.html",)),
    Case("files", "a full disk, model", "train {}/good.csv --target late -o {}/full/m.hs --overwrite", ("full/m.hs",)),
]  # fmt: skip

MODELS = [
    Case("model files", "empty", "predict {}/bad.hs {}/good.csv -o {}/out.csv", ("bad.hs",), ("bad.hs", b"")),
    Case("model files", "not a model", "predict {}/good.csv {}/good.csv -o {}/out.csv", ("good.csv",)),
    Case("model files", "random bytes", "predict {}/bad.hs {}/good.csv -o {}/out.csv", ("bad.hs",), ("bad.hs", bytes(range(256)) * 40)),
    Case("model files", "cut off", "predict {}/cut.hs {}/good.csv -o {}/out.csv", ("cut.hs",)),
    Case("model files", "one byte changed", "predict {}/flipped.hs {}/good.csv -o {}/out.csv", ("flipped.hs",)),
]  # fmt: skip

CASES = [*BROKEN, *NAMES, *PARAMETERS, *FILES, *MODELS]


def lay_out(folder: Path, command: Callable[[list[str]], object]) -> None:
    """Write the files that the cases share; `command` trains the model among them."""
    (folder / "good.csv").write_text(good_rows())
    (folder / "many.csv").write_text(good_rows(60_000))
    (folder / "no_age.csv").write_text("id,kind\n1,a\n2,b\n")
    (folder / "one_class.csv").write_text("age,late\n1,yes\n2,yes\n3,yes\n")
    (folder / "negative.csv").write_text("age,w,late\n1,1,yes\n2,-1,no\n3,1,yes\n")
    (folder / "secret.csv").write_text(good_rows())
    (folder / "secret.csv").chmod(0)
    command(["train", str(folder / "good.csv"), "--target", "late", "--n-estimators", "5", "-q", "-o", str(folder / "late.hs")])  # fmt: skip
    model = (folder / "late.hs").read_bytes()
    (folder / "cut.hs").write_bytes(model[: len(model) // 2])
    middle = len(model) // 2
    (folder / "flipped.hs").write_bytes(model[:middle] + bytes([model[middle] ^ 1]) + model[middle + 1 :])
