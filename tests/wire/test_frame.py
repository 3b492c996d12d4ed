"""What was framed comes back; what was not framed by a member is refused, with its reason."""

from __future__ import annotations

import hmac
import struct
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydroscope.ground.errors import InternalError, UserError
from hydroscope.ground.limits import FRAME_BYTES
from hydroscope.wire.frame import HEADER_BYTES, MAC_BYTES, REASONS, Framing, Refusal, decode_message, encode_message
from hydroscope.wire.messages import Call, Nack, Packet, Piece
from hydroscope.wire.stream import FrameReader
from tests.wire.examples import CLUSTER, MESSAGES, PACKETS, SECRET


def framing() -> Framing:
    return Framing(CLUSTER, SECRET)


def sealed(body: bytes, kind: int = 12, cluster: int = CLUSTER, version: int = 1, length: int | None = None) -> bytes:
    """Return a frame made by hand, from the description of the format, with a right checksum and MAC."""
    n = len(body) if length is None else length
    header = b"hyds" + struct.pack("!BBQHQHQIQI", version, kind, cluster, 1, 2, 3, 4, 5, 6, n)
    frame = header + struct.pack("!I", crc32(header + body)) + body
    return frame + hmac.new(SECRET, frame, "sha256").digest()[:16]


@given(PACKETS)
def test_a_packet_comes_back_as_it_was(packet):
    frame = framing().pack(packet)
    assert framing().unpack(frame) == packet
    assert framing().unpack(memoryview(bytearray(frame))) == packet
    assert framing().size(frame[:HEADER_BYTES]) == len(frame)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message):
    assert decode_message(encode_message(message)) == message


def test_the_format_is_the_one_that_is_described():
    packet = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))
    assert framing().pack(packet) == sealed(bytes([0x92, 12, 7]))
    assert framing().unpack(sealed(bytes([0x92, 12, 7]))) == packet


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
        (b"hyds\x01", "short"),
        (b"GET / HTTP/1.1\r\n\r\n", "magic"),
        (sealed(bytes([0x92, 12, 7]), version=2), "version"),
        (sealed(bytes([0x92, 12, 7]), cluster=1), "cluster"),
        (sealed(bytes([0x92, 99, 7]), kind=99), "type"),
        (sealed(bytes([0x92, 12, 7]), length=2**31), "too long"),
        (sealed(bytes([0x92, 12, 7]), length=2), "length"),
        (Framing(CLUSTER, b"another secret, as long").pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))), "mac"),
        (framing().pack(Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7)))[:-16] + bytes(16), "mac"),
        (sealed(bytes([0x92, 13, 7]), kind=12), "body"),
        (sealed(bytes([0x92, 12, 7]), kind=13), "body"),
        (sealed(bytes([0x92, 12])), "body"),
        (sealed(bytes([0x92, 12, 7, 0])), "body"),
        (sealed(b"\x91" * 100_000), "body"),
        (sealed(bytes([0x93, 10, 7]) + b"\x91" * 100_000, kind=10), "body"),
        (sealed(bytes([0x93, 10, 7]) + b"\xdd\xff\xff\xff\xff", kind=10), "body"),
        (sealed(bytes([0x93, 10, 7]) + b"\xc6\x7f\xff\xff\xff", kind=10), "body"),
        (sealed(bytes([0x92, 1]) + b"\xd9\x02\xff\xfe", kind=1), "body"),
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
    forged[16:24] = bytes(8)  # another life of the sender
    forged[50:54] = struct.pack("!I", crc32(forged[54:-16], crc32(forged[:50])))
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


@given(st.lists(PACKETS, max_size=5), st.lists(st.integers(1, 80), min_size=1, max_size=30))
def test_frames_come_out_of_a_stream_however_it_is_cut(packets, cuts):
    data = b"".join(framing().pack(packet) for packet in packets)
    reader = FrameReader(framing())
    taken, place, turn = [], 0, 0
    while place < len(data):
        step = cuts[turn % len(cuts)]
        taken += reader.feed(data[place : place + step])
        place, turn = place + step, turn + 1
    assert taken == packets
    assert reader.refusal is None


@pytest.mark.parametrize(
    "rubbish",
    [b"GET / HTTP/1.1\r\n" * 10, sealed(bytes([0x92, 12, 7]), length=2**31), sealed(b"\x91" * 1000), bytes(200)],
)
def test_a_stream_is_given_up_at_the_first_rubbish_before_there_is_room_made_for_it(rubbish):
    reader = FrameReader(framing())
    good = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Nack(7))
    assert reader.feed(framing().pack(good)) == [good]
    assert reader.feed(rubbish) == []
    assert reader.refusal is not None
    assert reader.feed(framing().pack(good)) == []
    assert len(reader._buffer) == 0


def test_a_stream_holds_one_frame_and_no_more():
    reader = FrameReader(framing())
    piece = Packet(CLUSTER, 1, 2, 3, 4, 5, 6, Piece(1, 0, 1, 1, 1, bytes(100_000)))
    data = framing().pack(piece) * 50
    for place in range(0, len(data), 7_000):
        reader.feed(data[place : place + 7_000])
        assert len(reader._buffer) <= FRAME_BYTES + HEADER_BYTES + MAC_BYTES
