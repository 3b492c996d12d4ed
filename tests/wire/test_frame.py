"""What was framed comes back; what was not framed by a member is refused, with its reason."""

from __future__ import annotations

import hmac
import struct
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from hydroscope.ground.errors import InternalError, UserError
from hydroscope.ground.limits import FRAME_BYTES
from hydroscope.wire.frame import (
    FRAME_OVERHEAD_BYTES,
    HEADER_BYTES,
    MESSAGES_MAX,
    REASONS,
    Framing,
    Refusal,
    decode_message,
    encode_message,
)
from hydroscope.wire.messages import AckAck, Call, Nack, Packet, Piece
from hydroscope.wire.stream import ROOM_BYTES, STRANGER_BYTES, FrameReader
from tests.wire.examples import CLUSTER, MESSAGES, PACKETS, SECRET, U64


def framing() -> Framing:
    return Framing(CLUSTER, SECRET)


NACK = bytes([0x92, 12, 7])
ACKACK = bytes([0x92, 14, 8])


def sealed(body: bytes, cluster: int = CLUSTER, version: int = 3, length: int | None = None) -> bytes:
    """Return a frame made by hand, from the description of the format, with a right checksum and MAC."""
    n = len(body) if length is None else length
    header = b"hyds" + struct.pack("!BQHQHQIQI", version, cluster, 1, 2, 3, 4, 5, 6, n)
    frame = header + struct.pack("!I", crc32(header + body)) + body
    return frame + hmac.new(SECRET, frame, "sha256").digest()[:16]


@given(PACKETS)
def test_a_packet_comes_back_as_it_was(packet):
    frame = framing().pack(packet)
    assert framing().unpack(frame) == [packet]
    assert framing().unpack(memoryview(bytearray(frame))) == [packet]
    assert framing().size(frame[:HEADER_BYTES]) == len(frame)


@given(PACKETS, st.lists(st.tuples(MESSAGES, U64), min_size=1, max_size=40))
def test_several_packets_come_back_as_if_each_had_come_alone_with_the_newest_stamp(packet, said):
    packets = [replace(packet, message=message, hlc=stamp) for message, stamp in said]
    newest = max(stamp for _, stamp in said)
    one_by_one = [replace(each, hlc=newest) for p in packets for each in framing().unpack(framing().pack(p))]
    frame = framing().pack(*packets)
    assert framing().unpack(frame) == one_by_one
    assert len(frame) <= FRAME_OVERHEAD_BYTES + sum(len(encode_message(each.message)) for each in packets)


@pytest.mark.parametrize(
    "change", [{"sender_life": 9}, {"receiver_life": 9}, {"epoch": 9}, {"sender": 9}, {"receiver": 9}, {"cluster": 9}]
)
def test_packets_of_other_lives_or_epochs_do_not_go_into_one_frame(change):
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))
    with pytest.raises(InternalError, match="one frame"):
        framing().pack(packet, replace(packet, **change))


@given(st.lists(MESSAGES, min_size=2, max_size=10), st.integers(0, 9), st.data())
def test_one_message_that_is_none_spoils_its_frame(messages, place, data):
    encoded = [encode_message(each) for each in messages]
    bad = data.draw(
        st.sampled_from((b"\xc0", b"\x90", b"\x92\x63\x07", b"\x92\x0c\xa1x", b"\x93\x0c\x07\x07", b"\xc1"))
    )
    encoded[place % len(encoded)] = bad
    taker = framing()
    frame = taker.seal(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, messages[0]), 6, encoded)
    assert taker.unpack(frame) == Refusal("body")
    assert taker.refused == {"body": 1}


def test_as_many_messages_as_an_array_can_count_and_no_more():
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, AckAck(1))
    many = [encode_message(AckAck(n % 100)) for n in range(30_000)]
    taken = framing().unpack(framing().seal(packet, 6, many))
    assert [each.message.number for each in taken] == [n % 100 for n in range(30_000)]
    for n in (0, MESSAGES_MAX + 1):
        with pytest.raises(InternalError, match=f"{n} messages do not make a frame"):
            framing().seal(packet, 6, [b"\xc0"] * n)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message):
    assert decode_message(encode_message(message)) == message


def test_the_format_is_the_one_that_is_described():
    packet, other = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7)), Packet(CLUSTER, 1, 2, 3, 4, 5, 5, AckAck(8))
    for packets, body in (([packet], b"\x91" + NACK), ([packet, other], b"\x92" + NACK + ACKACK)):
        assert framing().pack(*packets) == sealed(body)
        assert framing().unpack(sealed(body)) == [replace(each, hlc=6) for each in packets]
    assert framing().unpack(sealed(b"\xdc\x00\x02" + NACK + ACKACK)) == [packet, replace(other, hlc=6)]


@given(PACKETS, st.integers(0, 10**6), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(packet, place, change):
    frame = bytearray(framing().pack(packet))
    frame[place % len(frame)] ^= change
    assert isinstance(framing().unpack(frame), Refusal)


@given(PACKETS, st.integers(0, 10**6))
def test_no_frame_that_was_cut_or_lengthened_is_taken(packet, cut):
    frame = framing().pack(packet)
    assert isinstance(framing().unpack(frame[: cut % len(frame)]), Refusal)
    assert framing().unpack(frame + b"\0") == Refusal("length")


@given(st.binary(max_size=300))
@example(b"")
@example(b"hyds")
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b" " * 100)
def test_bytes_from_anywhere_are_refused(data):
    taker = framing()
    refusal = taker.unpack(data)
    assert isinstance(refusal, Refusal)
    assert refusal.reason in REASONS
    assert taker.refused == {refusal.reason: 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "short"),
        (b"hyds\x03", "short"),
        (b"GET / HTTP/1.1\r\n\r\n", "magic"),
        (sealed(b"\x91" + NACK, version=2), "version"),
        (sealed(b"\x91" + NACK, version=4), "version"),
        (sealed(b"\x91" + NACK, cluster=1), "cluster"),
        (sealed(b"\x91" + NACK, length=2**31), "too long"),
        (sealed(b"\x91" + NACK, length=2), "length"),
        (Framing(CLUSTER, b"another secret, as long").pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))), "mac"),
        (framing().pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7)))[:-16] + bytes(16), "mac"),
        (sealed(b"\x91" + bytes([0x92, 99, 7])), "body"),
        (sealed(b"\x91" + bytes([0x92, 13, 7])), "body"),
        (sealed(b"\x91" + bytes([0x92, 12])), "body"),
        (sealed(b"\x91" + NACK + b"\0"), "body"),
        (sealed(b"\x92" + NACK), "body"),
        (sealed(b"\x91" + NACK + NACK), "body"),
        (sealed(NACK), "body"),
        (sealed(b"\x90"), "body"),
        (sealed(b"\xdd\xff\xff\xff\xff" + NACK), "body"),
        (sealed(b"\xdc\xff\xff" + NACK), "body"),
        (sealed(b"\x81" + NACK + NACK), "body"),
        (sealed(b"\x91" * 100_000), "body"),
        (sealed(b"\x91" + bytes([0x93, 10, 7]) + b"\x91" * 100_000), "body"),
        (sealed(b"\x91" + bytes([0x93, 10, 7]) + b"\x01"), "body"),
        (sealed(b"\x91" + bytes([0x93, 10, 7]) + b"\xdd\xff\xff\xff\xff"), "body"),
        (sealed(b"\x91" + bytes([0x93, 10, 7]) + b"\xc6\x7f\xff\xff\xff"), "body"),
        (sealed(b"\x91" + bytes([0x92, 1]) + b"\xd9\x02\xff\xfe"), "body"),
        (sealed(b""), "body"),
        (sealed(b"\x80\x04\x95cos\nsystem\n(S'true'\ntR."), "body"),
    ],
)
def test_what_is_wrong_is_named(data, reason):
    taker = framing()
    assert taker.unpack(data) == Refusal(reason)
    assert taker.refused == {reason: 1}


def test_a_right_checksum_without_the_secret_is_not_enough():
    frame = framing().pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Call(7, b"x")))
    forged = bytearray(frame)
    forged[15:23] = bytes(8)  # another life of the sender
    forged[49:53] = struct.pack("!I", crc32(forged[53:-16], crc32(forged[:49])))
    assert framing().unpack(forged) == Refusal("mac")


def test_a_damaged_frame_is_told_from_a_forged_one():
    frame = bytearray(framing().pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Call(7, b"x"))))
    frame[-20] ^= 1
    assert framing().unpack(frame) == Refusal("checksum")


def test_a_secret_that_can_be_guessed_is_refused():
    with pytest.raises(UserError, match=r"5 bytes can be guessed.*token_bytes\(16\)"):
        Framing(1, b"hello")


@pytest.mark.parametrize(
    "packet",
    [
        Packet(CLUSTER, 2**16, 2, 3, 4, 5, 6, Nack(7)),
        Packet(CLUSTER, 1, -2, 3, 4, 5, 6, Nack(7)),
        Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Call(7, object())),
        Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Call(2**64, b"")),
        Packet(CLUSTER, 1, 2, 3, 4, 5, 6, "hello"),
        Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Piece(1, 0, 1, 1, 1, bytes(FRAME_BYTES))),
    ],
)
def test_a_packet_that_cannot_be_framed_is_our_error(packet):
    with pytest.raises(InternalError, match="frame"):
        framing().pack(packet)


def feed(reader: FrameReader, data: bytes, taken: list[Packet] | None = None) -> list[Packet]:
    """Return the packets that are complete with these bytes, which must hold after the buffer was used again."""
    taken = [] if taken is None else taken
    while data and reader.refusal is None:
        room = reader.room()
        n_bytes = min(len(room), len(data))
        room[:n_bytes] = data[:n_bytes]
        data = data[n_bytes:]
        for packet in reader.received(n_bytes):
            message = packet.message
            if isinstance(message, Piece):
                message = replace(message, data=memoryview(bytes(message.data)))
            taken.append(replace(packet, message=message))
    return taken


def piece_of(data: bytes) -> Piece:
    return Piece(1, 0, 1, 1, 1, memoryview(data))


@given(st.lists(PACKETS, max_size=5), st.lists(st.integers(1, 80), min_size=1, max_size=30))
def test_frames_come_out_of_a_stream_however_it_is_cut(packets, cuts):
    data = b"".join(framing().pack(packet) for packet in packets)
    reader = FrameReader(framing())
    taken: list[Packet] = []
    place, turn = 0, 0
    while place < len(data):
        step = cuts[turn % len(cuts)]
        feed(reader, data[place : place + step], taken)
        place, turn = place + step, turn + 1
    assert taken == packets
    assert reader.refusal is None


@pytest.mark.parametrize(
    "rubbish",
    [b"GET / HTTP/1.1\r\n" * 10, sealed(b"\x91" + NACK, length=2**31), sealed(b"\x91" * 1000), bytes(200)],
)
def test_a_stream_is_given_up_at_the_first_rubbish_before_there_is_room_made_for_it(rubbish):
    reader = FrameReader(framing())
    good = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))
    assert feed(reader, framing().pack(good)) == [good]
    assert feed(reader, rubbish) == []
    assert reader.refusal is not None
    assert feed(reader, framing().pack(good)) == []
    assert len(reader._buffer) == 0


def test_a_stranger_gets_room_for_what_he_has_sent_and_no_more():
    reader = FrameReader(framing())
    stranger = Framing(CLUSTER, bytes(32)).pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, piece_of(bytes(200_000))))
    for n_sent, place in enumerate(range(0, len(stranger), 1_000)):
        assert len(reader.room()) + reader._end <= max(STRANGER_BYTES, 2_000 * (n_sent + 1))
        assert feed(reader, stranger[place : place + 1_000]) == []
    assert reader.refusal == Refusal("mac")


def test_a_stream_holds_what_one_call_of_the_kernel_brings_and_no_more():
    reader = FrameReader(framing())
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, piece_of(bytes(200_000)))
    data = framing().pack(packet) * 50
    n_taken = 0
    for place in range(0, len(data), 70_000):
        n_taken += len(feed(reader, data[place : place + 70_000]))
        assert len(reader._buffer) <= ROOM_BYTES
    assert n_taken == 50


@given(st.binary(max_size=300), st.integers(0, 2**63), st.integers(0, 2**32 - 1))
def test_a_piece_in_parts_is_the_frame_that_it_would_be_in_one(data, transfer, checksum):
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Piece(transfer, 0, 1, 1, checksum, memoryview(data)))
    head, middle, mac = framing().seal_piece(packet)
    assert middle.obj is data
    (taken,) = framing().unpack(b"".join((head, middle, mac)))
    assert taken == packet


def test_a_received_piece_is_a_view_of_the_buffer():
    data = bytes(range(100))
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, piece_of(data))
    buffer = bytearray(framing().pack(packet))
    (taken,) = framing().unpack(memoryview(buffer))
    assert taken.message.data == data
    assert taken.message.data.obj is buffer


def test_a_piece_that_does_not_fit_a_frame_is_our_error():
    with pytest.raises(InternalError, match="frame"):
        framing().seal_piece(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, piece_of(bytes(FRAME_BYTES))))
