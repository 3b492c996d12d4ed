"""What is written is read back with the readers of others: Perfetto's and OpenTelemetry's protobuf, dpkt, scapy."""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter, defaultdict

import dpkt
import numpy as np
import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent
from scapy.utils import RawPcapNgReader

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.findings import ANOMALIES, Finding
from hydroscope.scope.formats.built import Entry, Records
from hydroscope.scope.formats.pcapng import HEADER, NOBODY, write_dissector
from hydroscope.scope.formats.selection import selected
from tests.formats.timelines import every_kind, simulated

MESSAGES = (Kind.SENT, Kind.RECEIVED, Kind.DROPPED, Kind.RESENT)
SUFFIXES = (".pftrace", ".json", ".shiviz", ".otlp.jsonl", ".pcapng")
TIMELINES = {"simulated": simulated, "every kind": every_kind}

timelines = pytest.mark.parametrize("timeline", [make() for make in TIMELINES.values()], ids=TIMELINES)


def arrows(timeline):
    """Return how often each (sender, receiver) is joined by a receipt and what it is of."""
    events, partner = timeline.events, timeline.order.partner
    receipts = np.flatnonzero(np.isin(events.kind, (Kind.RECEIVED, Kind.DROPPED)) & (partner >= 0))
    names = [node.name for node in events.nodes]
    return Counter((names[events.node[partner[k]]], names[events.node[k]]) for k in receipts)


class Perfetto:
    """A trace as its protobuf says it is, every reference followed."""

    def __init__(self, path):
        trace = Trace()
        trace.ParseFromString(path.read_bytes())
        self.tracks, self.process = {}, {}
        self.names, self.texts, self.told = {}, {}, {}
        self.slices, self.instants, self.counters = [], [], []
        self.begins, self.ends = defaultdict(list), defaultdict(list)
        last_ns, stacks = 0, defaultdict(list)
        for packet in trace.packet:
            for interned, table in (
                (packet.interned_data.event_names, self.names),
                (packet.interned_data.debug_annotation_names, self.told),
                (packet.interned_data.debug_annotation_string_values, self.texts),
            ):
                for each in interned:
                    assert each.iid not in table
                    table[each.iid] = each.str.decode() if hasattr(each, "str") else each.name
            if packet.HasField("track_descriptor"):
                track = packet.track_descriptor
                assert track.uuid not in self.tracks
                assert not track.HasField("parent_uuid") or track.parent_uuid in self.tracks
                self.tracks[track.uuid] = track
            if packet.HasField("clock_snapshot"):
                clocks = {each.clock_id: each.timestamp for each in packet.clock_snapshot.clocks}
                self.wall_ns = clocks[1] - clocks[6]
            if packet.HasField("track_event"):
                assert packet.timestamp >= last_ns
                last_ns = packet.timestamp
                self.event(packet.track_event, packet.timestamp + self.wall_ns, stacks)
        assert not any(stacks.values()), "slices that do not end"

    def event(self, event, ns, stacks):
        track = self.tracks[event.track_uuid]
        stack = stacks[event.track_uuid]
        if event.type == TrackEvent.TYPE_SLICE_END:
            begin_ns, begun = stack.pop()
            self.slices.append((begun, begin_ns, ns))
            return
        if event.type == TrackEvent.TYPE_COUNTER:
            assert track.HasField("counter")
            self.counters.append((self.of(track), track.name, event.counter_value))
            return
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            stack.append((ns, event))
        else:
            assert event.type == TrackEvent.TYPE_INSTANT
            self.instants.append((ns, event))
        for flow in event.flow_ids:
            self.begins[flow].append((ns, self.of(track)))
        for flow in event.terminating_flow_ids:
            assert flow in self.begins, "an arrow that ends before it begins"
            self.ends[flow].append((ns, self.of(track)))

    def of(self, track):
        """Return the node of a track."""
        while track.parent_uuid:
            track = self.tracks[track.parent_uuid]
        return track.process.process_name

    def name(self, event):
        return self.names[event.name_iid] if event.name_iid else event.name

    def says(self, event):
        found = {}
        for each in event.debug_annotations:
            name = self.told[each.name_iid]
            kind = each.WhichOneof("value")
            value = getattr(each, kind)
            found[name] = self.texts[value] if kind == "string_value_iid" else value
        return found


@timelines
def test_perfetto_reads_all_slices_arrows_and_times(timeline, tmp_path):
    timeline.write(tmp_path / "a.pftrace")
    found = Perfetto(tmp_path / "a.pftrace")
    events, order = timeline.events, timeline.order
    n_slices = int(np.isin(events.kind, (*MESSAGES, Kind.STARTED)).sum())
    assert len(found.slices) == n_slices
    assert Counter((flow[0][1], found.ends[key][0][1]) for key, flow in found.begins.items()) == arrows(timeline)
    assert {len(each) for each in (*found.begins.values(), *found.ends.values())} <= {1}
    assert found.begins.keys() == found.ends.keys()
    assert all(found.begins[key][0][0] <= found.ends[key][0][0] for key in found.begins)
    messages = np.flatnonzero(np.isin(events.kind, MESSAGES))
    expected = Counter((int(order.time_ns[k]), int(events.id[k]), float(order.error_ns[k])) for k in messages)
    told = [(ns, found.says(event)) for event, ns, _ in found.slices]
    said = Counter((ns, each["id"], each["time is right within ns"]) for ns, each in told if "bytes" in each)
    assert said == expected
    assert {event.name for _, event in found.instants if event.name} == {each.kind for each in timeline.findings}


def test_perfetto_shows_every_kind_where_it_belongs(tmp_path):
    timeline = every_kind()
    timeline.write(tmp_path / "a.pftrace")
    found = Perfetto(tmp_path / "a.pftrace")
    slices = {found.name(event): (found.tracks[event.track_uuid], end - begin) for event, begin, end in found.slices}
    assert (slices["load"][1], slices["inner"][1], slices["overlapping"][1]) == (40_000, 10_000, 28_000)
    assert slices["load"][0].uuid == slices["inner"][0].uuid
    assert slices["overlapping"][0].parent_uuid == slices["load"][0].uuid
    assert slices["overlapping"][0].name == "main lane (2)"
    assert slices["answer"][1] == 30_000, "that did not end: until its node's last record"
    assert ("a node", "processor, percent of one", 50) in found.counters
    assert ("a node", "memory", 2**40) in found.counters
    names = {found.name(event): found.says(event) for _, event in found.instants if event.name_iid}
    assert names.keys() == {"failed ValueError", 'said "so", and </script> \u2028 \U0001f600', "put key 1"}
    assert names["put key 1"]["says"] == "key 1 = new"


@timelines
def test_chrome_has_every_arrow_in_a_slice_and_slices_nest(timeline, tmp_path):
    timeline.write(tmp_path / "a.json")
    trace = json.loads((tmp_path / "a.json").read_text())
    assert set(trace["otherData"]) == {"writer", "base_ns"}
    names, slices, begins, ends = {}, defaultdict(list), {}, {}
    for each in trace["traceEvents"]:
        if each["name"] == "process_name":
            names[each["pid"]] = each["args"]["name"]
        elif each["ph"] == "X":
            slices[each["pid"], each["tid"]].append((round(each["ts"] * 1000), round(each["dur"] * 1000)))
        elif each["ph"] == "s":
            assert each["id"] not in begins
            begins[each["id"]] = each
        elif each["ph"] == "f":
            assert each["id"] not in ends
            assert each["bp"] == "e"
            ends[each["id"]] = each
    for track in slices.values():
        assert all(took >= 1000 for _, took in track)
        stack = []
        for begin, took in track:
            while stack and stack[-1] <= begin:
                stack.pop()
            assert not stack or begin + took <= stack[-1]
            stack.append(begin + took)
    for each in (*begins.values(), *ends.values()):
        at = round(each["ts"] * 1000)
        assert any(begin <= at < begin + took for begin, took in slices[each["pid"], each["tid"]])
    assert begins.keys() == ends.keys()
    assert all(begins[key]["ts"] <= ends[key]["ts"] for key in begins)
    assert Counter((names[begins[key]["pid"]], names[ends[key]["pid"]]) for key in begins) == arrows(timeline)
    base_ns = int(trace["otherData"]["base_ns"])
    starts = Counter(base_ns + begin for track in slices.values() for begin, _ in track)
    kept = np.isin(timeline.events.kind, (*MESSAGES, Kind.STARTED))
    assert starts == Counter(timeline.order.time_ns[kept].tolist())


def shiviz_log(path):
    """Check a log as ShiViz does, slowly; return (host, clock, text) of each event."""
    first, delimiter, *lines = path.read_text().rstrip("\n").split("\n")
    assert first == r"^(?<event>.*)\n(?<host>\S*) (?<clock>{.*})$"
    assert delimiter == ""
    assert len(lines) % 2 == 0
    found = []
    for text, line in zip(lines[::2], lines[1::2], strict=True):
        host, _, clock = line.partition(" ")
        found.append((host, json.loads(clock), text))
    n_events = Counter(host for host, _, _ in found)
    for host, n in n_events.items():
        assert sorted(clock[host] for each, clock, _ in found if each == host) == list(range(1, n + 1))
    for _, clock, _ in found:
        for other, n in clock.items():
            assert 1 <= n <= n_events[other]
    return found


def causes_by_hand(timeline, rows):
    """Return the vector clock of each row by going back through everything, one record at a time."""
    events, partner = timeline.events, timeline.order.partner
    kept = set(rows)
    number = {}
    for row in rows:
        number[row] = sum(each <= row for each in rows if events.node[each] == events.node[row])

    def past(row):
        seen, todo = set(), [row]
        while todo:
            each = todo.pop()
            if each not in seen and each >= 0:
                seen.add(each)
                if each > events.starts[events.node[each]]:
                    todo.append(each - 1)
                if events.kind[each] in (Kind.RECEIVED, Kind.DROPPED):
                    todo.append(int(partner[each]))
        return seen & kept

    found = {}
    for row in rows:
        clock = {}
        for each in past(row):
            node = events.nodes[events.node[each]].name.replace(" ", "_")
            clock[node] = max(clock.get(node, 0), number[each])
        found[row] = clock
    return found


@pytest.mark.parametrize("nodes", [None, ["n0", "n1", "n4"]])
def test_shiviz_has_the_vector_clocks_that_the_past_of_each_event_gives(nodes, tmp_path):
    timeline = simulated(n_records=400)
    finding = next(each for each in timeline.findings if each.records)
    timeline.write(tmp_path / "a.shiviz", limit=60, around=finding, nodes=nodes)
    found = shiviz_log(tmp_path / "a.shiviz")
    assert len(found) == 60
    events, rank = timeline.events, timeline.order.rank
    names = [node.name for node in events.nodes]
    rows = [k for k in range(len(events)) if nodes is None or names[events.node[k]] in nodes]
    middle = rank[finding.records[0]]
    rows = sorted(sorted(rows, key=lambda k: (abs(rank[k] - middle), k))[:60], key=lambda k: rank[k])
    low, high = rank[rows[0]], rank[rows[-1]]
    between = [k for k in range(len(events)) if low <= rank[k] <= high]
    clocks = causes_by_hand(timeline, rows)
    within = causes_by_hand(timeline, between) if nodes else None
    for row, (host, clock, _) in zip(rows, found, strict=True):
        assert host == names[events.node[row]]
        assert clock == clocks[row], within


def test_shiviz_takes_names_and_texts_that_would_break_its_lines(tmp_path):
    every_kind().write(tmp_path / "a.shiviz")
    found = shiviz_log(tmp_path / "a.shiviz")
    assert {host for host, _, _ in found} == {"a_node", "b"}
    assert 'ask "a" b' in found[1][2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_text_that_is_half_a_character_is_written(suffix, tmp_path):
    records = Records()
    records.add(Entry("n\udc80", "\ud800", Kind.NOTE, 5, "\udcff", "said \udcff"))
    records.timeline().write(tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").stat().st_size


@timelines
def test_opentelemetry_reads_spans_whose_parents_and_links_are_there(timeline, tmp_path):
    timeline.write(tmp_path / "a.otlp.jsonl")
    spans, of, n_marks = {}, {}, 0
    for line in (tmp_path / "a.otlp.jsonl").read_text().splitlines():
        raw = json.loads(line)
        (resource,) = raw["resourceSpans"]
        for span in resource["scopeSpans"][0]["spans"]:
            for each in (span, *span.get("links", ())):
                for key in {"traceId", "spanId", "parentSpanId"} & each.keys():
                    assert len(each[key]) == (32 if key == "traceId" else 16)
                    each[key] = base64.b64encode(bytes.fromhex(each[key])).decode()  # as other JSON of protobuf has it
        (found,) = json_format.ParseDict(raw, TracesData()).resource_spans
        for span in found.scope_spans[0].spans:
            assert span.span_id not in spans
            assert span.span_id != bytes(8)
            assert span.trace_id != bytes(16)
            spans[span.span_id] = span
            of[span.span_id] = found.resource.attributes[0].value.string_value
            n_marks += len(span.events)
    pairs = Counter()
    for span in spans.values():
        assert span.end_time_unix_nano >= span.start_time_unix_nano
        if span.parent_span_id:
            parent = spans[span.parent_span_id]
            assert parent.trace_id == span.trace_id
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            if span.kind == Span.SPAN_KIND_CONSUMER and parent.kind == Span.SPAN_KIND_PRODUCER:
                pairs[of[span.parent_span_id], of[span.span_id]] += 1
        for link in span.links:
            assert spans[link.span_id].trace_id == link.trace_id
            assert spans[link.span_id].kind == Span.SPAN_KIND_CONSUMER
    assert pairs == arrows(timeline)
    kinds = Counter(Kind(k) for k in timeline.events.kind.tolist())
    n_ended = len(spans) + n_marks - (len(timeline) - kinds[Kind.ENDED])
    started = set(zip(*rows_of(timeline, Kind.STARTED), strict=True))
    assert n_ended == sum(each not in started for each in zip(*rows_of(timeline, Kind.ENDED), strict=True))


def rows_of(timeline, kind):
    here = timeline.events.kind == kind
    return timeline.events.node[here].tolist(), timeline.events.id[here].tolist()


def test_opentelemetry_has_one_tree_of_a_call_through_two_nodes(tmp_path):
    every_kind().write(tmp_path / "a.otlp.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.otlp.jsonl").read_text().splitlines()]
    spans = {span["spanId"]: span for line in lines for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]}
    (span,) = (each for each in spans.values() if each["name"] == "sent ok")
    path = [span["name"]]
    while span.get("parentSpanId"):
        span = spans[span["parentSpanId"]]
        path.append(span["name"])
    assert path == ["sent ok", "answer", "received ask", "sent again ask"]
    (load,) = (each for each in spans.values() if each["name"] == "load")
    assert load["status"] == {"code": 2}
    assert [each["name"] for each in load["events"]] == []
    (overlapping,) = (each for each in spans.values() if each["name"] == "overlapping")
    assert [each["name"] for each in overlapping["events"]] == ["failed ValueError"]


def test_opentelemetry_has_no_zeros_in_front_of_times_that_are_made_up(tmp_path):
    records = Records()
    for ns in (5, 1000, 10**12):
        records.add(Entry("n", "", Kind.NOTE, ns, "x", ""))
    records.timeline().write(tmp_path / "a.otlp.jsonl")
    spans = json.loads((tmp_path / "a.otlp.jsonl").read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for end in ("startTimeUnixNano", "endTimeUnixNano"):
        assert [span[end] for span in spans] == ["5", "1000", "1000000000000"]


@timelines
def test_wireshark_and_its_like_read_each_record_as_a_packet(timeline, tmp_path):
    timeline.write(tmp_path / "a.pcapng")
    events, order = timeline.events, timeline.order
    rows = np.argsort(order.rank)
    with RawPcapNgReader(str(tmp_path / "a.pcapng")) as reader:
        packets = list(reader)
    assert len(packets) == len(events)
    shown = Counter()
    for row, (data, about) in zip(rows.tolist(), packets, strict=True):
        kind, peer, ids, n_bytes = HEADER.unpack_from(data)
        assert (kind, ids, n_bytes) == (events.kind[row], events.id[row], events.n_bytes[row])
        assert peer == (events.peer[row] if events.peer[row] >= 0 else NOBODY)
        assert data[HEADER.size :] == events.data[row].tobytes()[: events.n_bytes[row]]
        assert (about.tshigh << 32 | about.tslow) == order.time_ns[row]
        assert about.ifname.decode() == events.nodes[events.node[row]].name
        assert about.wirelen == HEADER.size + n_bytes
        outward = events.kind[row] in (Kind.SENT, Kind.RESENT)
        assert about.direction == (2 if outward else 1 if events.peer[row] >= 0 else 0)
        comments = [each.decode() for each in about.comments]
        assert timeline.labels[row] in comments[0]
        shown.update(comments[1:])
    assert shown == Counter(f"{each.kind}: {each.text}" for each in timeline.findings if each.records)
    with open(tmp_path / "a.pcapng", "rb") as file:
        times = [ns for ns, _ in dpkt.pcapng.Reader(file)]
    assert np.allclose(np.array(times, float), order.time_ns[rows] / 1e9, rtol=0, atol=1e-6)


def test_blocks_of_a_capture_are_whole(tmp_path):
    """Each block says its length in front and behind, and options end."""
    every_kind().write(tmp_path / "a.pcapng")
    data = (tmp_path / "a.pcapng").read_bytes()
    at, kinds = 0, Counter()
    while at < len(data):
        kind, n = struct.unpack_from("<II", data, at)
        assert n % 4 == 0
        assert struct.unpack_from("<I", data, at + n - 4)[0] == n
        kinds[kind] += 1
        at += n
    assert kinds == {0x0A0D0D0A: 1, 1: 3, 6: 20}


def test_the_script_for_wireshark_is_written_once(tmp_path):
    write_dissector(tmp_path / "a.lua")
    assert "USER0" in (tmp_path / "a.lua").read_text()
    with pytest.raises(UserError, match="exists already"):
        write_dissector(tmp_path / "a.lua")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_timeline_without_records_is_written(suffix, tmp_path):
    timeline = simulated(n_records=100)
    timeline.write(tmp_path / f"few{suffix}", limit=1, nodes=["n2"])
    empty = type(timeline)(type(timeline.events).sorted([], [], {name: [] for name in COLUMN_NAMES}))
    empty.write(tmp_path / f"none{suffix}")
    assert (tmp_path / f"few{suffix}").stat().st_size > (tmp_path / f"none{suffix}").stat().st_size


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"nodes": ["n9"]}, "no node 'n9' in the timeline"),
        ({"nodes": "n"}, "no node 'n' in the timeline"),
        ({"limit": 0}, "at least 1; it is 0"),
        ({"limit": 2.5}, r"a whole number of at least 1; it is 2\.5"),
        ({"limit": 5, "around": 1_000_000}, r"from 0 to \d+; it is 1000000"),
        ({"limit": 5, "around": 0.5}, r"a finding, or the number of a record from 0 to \d+; it is 0\.5"),
        ({"limit": 5, "around": Finding("no records", "nothing of", ())}, "no record shows the finding 'nothing of'"),
        ({"around": 3}, "give limit as well"),
    ],
)
def test_what_cannot_be_is_said(options, why, tmp_path):
    with pytest.raises(UserError, match=why):
        simulated(n_records=100).write(tmp_path / "a.json", **options)
    assert not list(tmp_path.iterdir())


def test_the_records_nearest_to_what_went_wrong_first_are_kept(tmp_path):
    timeline = simulated(n_records=400)
    order = np.argsort(timeline.order.rank)
    first = min(int(timeline.order.rank[each.records[0]]) for each in timeline.findings if each.kind in ANOMALIES)
    for options, middle in (({}, first), ({"around": int(order[200])}, 200), ({"around": order[200]}, 200)):
        rows = selected(timeline, limit=11, **options)
        assert (np.diff(rows) > 0).all()
        assert set(timeline.order.rank[rows]) == set(range(middle - 5, middle + 6))
    assert set(timeline.events.node[selected(timeline, nodes="n2")].tolist()) == {2}
    assert np.array_equal(selected(timeline, 10**6, around=3), np.arange(len(timeline)))


def test_a_log_for_shiviz_has_no_more_than_its_page_can_take(tmp_path):
    timeline = simulated(n_records=3000)
    timeline.write(tmp_path / "a.shiviz")
    timeline.write(tmp_path / "b.shiviz", limit=len(timeline))
    assert len((tmp_path / "a.shiviz").read_text().splitlines()) == 2 + 2 * 2000
    assert len((tmp_path / "b.shiviz").read_text().splitlines()) == 2 + 2 * len(timeline)


COLUMN_NAMES = ("node", "lane", "kind", "stamp", "at_ns", "id", "peer", "subject", "n_bytes", "data")
