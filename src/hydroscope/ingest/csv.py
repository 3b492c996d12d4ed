"""Delimited text into a Frame: guess, cut, parse in parallel, widen where the guess was wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.ingest import assemble, guess
from hydroscope.ingest.dialect import NONE, Dialect
from hydroscope.ingest.header import Headers, read_headers
from hydroscope.ingest.origin import Origin, ParseReport
from hydroscope.ingest.pieces import Parse, parse_files, parse_streams
from hydroscope.ingest.plan import DEFAULT_NA, POLICIES, ColumnPlan, Plan, Sizes, sizes_of
from hydroscope.ingest.sources import PathLike, Source, expand, open_sources
from hydroscope.node import jobs

__all__ = ["Options", "read_delimited"]

NaStrings = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None
Types = Mapping[str, str] | Sequence[str] | None


TEXT_BYTES = 4096
"""Bytes by which a file is judged to be text."""

CONTROL = bytes(k for k in range(32) if k not in b"\x01\t\n\x0b\x0c\r\x1b")


@dataclass(frozen=True)
class Options:
    """What the user said about a file; None: to be guessed."""

    sep: str | None = None
    header: bool | None = None
    columns: Sequence[str] | None = None
    types: Types = None
    na_strings: NaStrings = None
    on_bad_lines: str = "error"
    quote: str | None = '"'
    comment: str | None = None
    encoding: str = "utf-8"
    skip_blank_lines: bool | None = None
    sizes: Sizes | None = None

    def __post_init__(self) -> None:
        if self.on_bad_lines not in POLICIES:
            raise UserError(
                f"on_bad_lines is {self.on_bad_lines!r}; it must be one of {', '.join(map(repr, POLICIES))}"
            )
        for name in ("sep", "quote", "comment"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and len(value) == 1 and ord(value) < 128):
                raise UserError(f"{name} is {value!r}; it must be one ASCII character" + _hint(name))
            if value is not None and value in "\r\n":
                raise UserError(f"{name} is {value!r}; a line end cannot be a {name}")
        given = [c for c in (self.sep, self.quote, self.comment) if c is not None]
        if len(set(given)) < len(given):
            raise UserError(
                f"sep, quote and comment must differ; they are {self.sep!r}, {self.quote!r}, {self.comment!r}"
            )


def _hint(name: str) -> str:
    return " (or None, to have it guessed)" if name == "sep" else " (or None, when there is none)"


def read_delimited(path: PathLike | Sequence[PathLike], options: Options) -> Frame:
    """Read files of delimited text that have the same columns into one Frame."""
    paths = expand(path)
    shown = os.path.basename(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    with jobs.running(f"reading {shown}"):
        return _read(paths, options)


def _read(paths: list[str], options: Options) -> Frame:
    begun = time.perf_counter()
    sources = open_sources(paths, options.encoding)
    samples, notes = _samples(sources)
    first = samples[0]
    dialect = guess.guess_dialect(_without_bom(first.head), first.complete, options.sep, options.quote, options.comment)
    headers = read_headers(samples, dialect, options.header, _words(options.na_strings, None))
    if options.skip_blank_lines is not None:
        dialect = replace(dialect, skip_blank=options.skip_blank_lines)
    elif len(headers.names) == 1:
        dialect = replace(dialect, skip_blank=False)
    notes += headers.notes
    plan, sample = _make_plan(samples, dialect, headers, options)
    parse = _parse(plan, headers)
    plan, parse, widened = _widen(plan, parse, sample, headers)
    origin = Origin(plan, headers, parse.segments, parse.reports)
    frame = Frame.from_vecs(assemble.make_vecs(plan, parse, origin))
    origin.report = ParseReport(
        files=tuple(source.name for source in plan.sources),
        n_bytes=sum(report.n_bytes for report in parse.reports),
        n_rows=sum(sum(report.chunk_rows) for report in parse.reports),
        seconds=time.perf_counter() - begun,
        n_bad_lines=sum(report.n_bad for report in parse.reports) + len(parse.cut_off),
        bad_lines=(*(line for report in parse.reports for line in report.bad_lines), *parse.cut_off),
        widened=widened,
        notes=tuple(notes + assemble.time_notes(plan, parse)),
    )
    return frame


def _without_bom(text: bytes) -> bytes:
    return text[3:] if text.startswith(b"\xef\xbb\xbf") else text


def _samples(sources: list[Source]) -> tuple[list[guess.SourceSample], list[str]]:
    """Sample every source that has text; a UTF-16 file is recognised by its mark."""
    samples: list[guess.SourceSample] = []
    notes: list[str] = []
    empty = ""
    for source in sources:
        jobs.check()
        sample = guess.sample_source(source)
        if sample.head[:2] in (b"\xff\xfe", b"\xfe\xff") and source.encoding == "utf-8":
            notes.append(f"{source.name} is UTF-16 by its mark, and was read as such")
            sample = guess.sample_source(replace(source, encoding="utf-16"))
        if _without_bom(sample.head).strip():
            _check_text(sample)
            samples.append(sample)
        else:
            notes.append(f"{source.name} {_emptiness(sample)}, and was left out")
            empty = empty or f"{source.name} {_emptiness(sample)}"
    if not samples:
        raise DataError(f"{empty}: there is no line to read; check the path and how it was written")
    return samples, notes


def _emptiness(sample: guess.SourceSample) -> str:
    return "holds only blank lines" if sample.head.strip(b"\xef\xbb\xbf") else "is empty"


def _check_text(sample: guess.SourceSample) -> None:
    """Refuse what is no text, by its first bytes."""
    name, start = sample.source.name, sample.head[:TEXT_BYTES]
    for odd, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if 2 * start[odd::2].count(0) > len(start[odd::2]) and sample.source.encoding == "utf-8":
            raise DataError(
                f"{name}: every second byte is 0, as in UTF-16 without a byte order mark; "
                f"read with encoding={encoding!r}"
            )
    n_control = len(start) - len(start.translate(None, CONTROL))
    if n_control > max(len(start) // 50, 8):
        raise DataError(
            f"{name} does not hold text: {n_control:,} of its first {len(start):,} bytes are control characters; "
            "check what kind of file it is, or name its encoding (encoding=...)"
        )


def _words(na_strings: NaStrings, column: str | None) -> tuple[str, ...]:
    """Return the words for a missing value in a column (None: in columns not named)."""
    if isinstance(na_strings, Mapping):
        na_strings = na_strings.get(column) if column is not None else None
    if na_strings is None:
        return DEFAULT_NA
    if isinstance(na_strings, str):
        na_strings = [na_strings]
    for word in na_strings:
        if not isinstance(word, str):
            raise UserError(f"na_strings holds {word!r}; each must be text, as it stands in the file, such as '-999'")
    return tuple(dict.fromkeys(("", *na_strings)))


def _make_plan(
    samples: list[guess.SourceSample], dialect: Dialect, headers: Headers, options: Options
) -> tuple[Plan, guess.Sample]:
    names = list(headers.names)
    if options.columns is not None:
        wanted = [options.columns] if isinstance(options.columns, str) else list(options.columns)
        for name in wanted:
            if name not in names:
                raise unknown_name("column", name, names, samples[0].source.name)
        if not wanted or len(set(wanted)) < len(wanted):
            raise UserError(f"columns is {wanted!r}; name at least one column, and each once")
        chosen = wanted
    else:
        chosen = names
    types = _types(options.types, names, samples[0].source.name)
    if isinstance(options.na_strings, Mapping):
        for name in options.na_strings:
            if name not in names:
                raise unknown_name("column", name, names, f"{samples[0].source.name} (named in na_strings)")
    fields = tuple(tuple(order[names.index(name)] for name in chosen) for order in headers.orders)
    sample = _make_sample(samples, dialect, headers, fields)
    quoted_text = not _all_quoted(sample, dialect)
    columns = []
    for k, name in enumerate(chosen):
        na = tuple(word.encode() for word in _words(options.na_strings, name))
        column = ColumnPlan(name, VecType.INT, na=na, quoted_text=quoted_text)
        fixed = types.get(name)
        if fixed is None:
            column = guess.guess_column(sample, k, column, dialect)
        else:
            column = replace(column, type=fixed, fixed=True, form=guess.guess_form(sample, k, column, dialect, fixed))
        columns.append(column)
    plan = Plan(
        dialect, tuple(columns), tuple(s.source for s in samples), fields, (headers.n_fields,) * len(samples),
        options.on_bad_lines, options.sizes or sizes_of(headers.n_fields, len(columns)),
    )  # fmt: skip
    return plan, sample


def _types(types: Types, names: list[str], owner: str) -> dict[str, VecType]:
    """Return the types that were asked for, by column."""
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        given = list(types)
        if isinstance(types, str) or len(given) != len(names):
            raise UserError(
                f"types has {len(given)} entries for {len(names)} columns; give one each, or a dict by name"
            )
        types = dict(zip(names, given, strict=True))
    found: dict[str, VecType] = {}
    for name, kind in types.items():
        if name not in names:
            raise unknown_name("column", name, names, f"{owner} (named in types)")
        if kind is None:
            continue
        if kind not in list(VecType):
            raise unknown_name("type", kind, map(str, VecType), f"types={{{name!r}: {kind!r}}}")
        found[name] = VecType(kind)
    return found


def _make_sample(
    samples: list[guess.SourceSample], dialect: Dialect, headers: Headers, fields: tuple[tuple[int, ...], ...]
) -> guess.Sample:
    windows = []
    for sample, begin, order in zip(samples, headers.begins, fields, strict=True):
        window = guess.head_window(sample, begin, dialect, headers.n_fields)
        windows.append((window, order))
        for block in sample.middles:
            middle = guess.middle_window(block, dialect, headers.n_fields)
            if middle is not None:
                windows.append((middle, order))
    return guess.Sample(tuple(windows), sum(window.n_rows for window, _ in windows))


def _all_quoted(sample: guess.Sample, dialect: Dialect) -> bool:
    """Tell whether every field is quoted, so that quotes say nothing about a field."""
    if dialect.quote == NONE or sample.n_rows == 0:
        return False
    for window, _ in sample.probes():
        bounds = window.bounds[: window.n_rows].astype("int64") + window.base
        starts = bounds[:, :-1].copy()
        starts[:, 1:] += 1
        empty = starts >= bounds[:, 1:]
        first = window.text[starts.clip(max=len(window.text) - 1)]
        if empty.any() or not (first == dialect.quote).all():
            return False
    return True


def _parse(plan: Plan, headers: Headers) -> Parse:
    if any(source.streamed for source in plan.sources):
        return parse_streams(plan, headers)
    return parse_files(plan, headers)


def _widen(
    plan: Plan, parse: Parse, sample: guess.Sample, headers: Headers
) -> tuple[Plan, Parse, tuple[tuple[str, str, str, str], ...]]:
    """Read columns again whose guessed type the file contradicts, until all fit."""
    widened: list[tuple[str, str, str, str]] = []
    while True:
        wider: dict[int, ColumnPlan] = {}
        for k, column in enumerate(plan.columns):
            kind, why = assemble.wider_type(column, [report.columns[k] for report in parse.reports])
            if kind is None:
                continue
            if kind == VecType.ENUM:
                kind = guess.guess_text(sample, k, column, plan.dialect)
            widened.append((column.name, str(column.type), str(kind), why))
            wider[k] = replace(column, type=kind)
        if not wider:
            return plan, parse, tuple(widened)
        plan = replace(plan, columns=tuple(wider.get(k, c) for k, c in enumerate(plan.columns)))
        again = [k for k in wider if not assemble.can_recode(wider[k], [r.columns[k] for r in parse.reports])]
        if plan.policy == "skip" and again:
            parse = _parse(plan, headers)  # which rows are dropped depends on all columns
        elif again:
            part = replace(
                plan,
                columns=tuple(plan.columns[k] for k in again),
                fields=tuple(tuple(order[k] for k in again) for order in plan.fields),
            )
            parse = parse.with_columns(again, _parse(part, headers))
