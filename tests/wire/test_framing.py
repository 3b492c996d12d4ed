"""Where a message ends in a stream: the same whatever the pieces, and as the protocols' own libraries say."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ground.errors import UserError
from hydroscope.wire import framing

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MESSAGES = {
    framing.lines: [b"one\n", b"\n", b"a longer line\r\n"],
    framing.length_prefixed(): [struct.pack(">I", n) + b"x" * n for n in (0, 1, 300)],
    framing.length_prefixed(4, "little"): [struct.pack("<I", n) + b"x" * n for n in (0, 1, 300)],
    framing.length_prefixed(4, "little", counts_itself=True): [struct.pack("<I", n + 4) + b"x" * n for n in (0, 9)],
    framing.length_prefixed(2, "big", at=3): [b"abc" + struct.pack(">H", n) + b"x" * n for n in (0, 77)],
    framing.http1: [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"POST /form HTTP/1.1\r\ncontent-length: 11\r\n\r\nhello\r\n\r\n12",
        b"PUT /x HTTP/1.1\r\n" + CHUNKED + b"5;name=value\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"a\r\n0123456789\r\n2\r\n\r\n\r\n0\r\nTrailer: yes\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    framing.http2: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0", b"\0\1\0\0\1\0\0\0\1" + b"d" * 256],
    framing.tls: [b"\x16\3\1\0\2hi", b"\x17\3\3\1\0" + b"s" * 256],
    framing.resp: [
        b"*2\r\n$3\r\nGET\r\n$4\r\nk\r\ny\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"+OK\r\n",
        b":17\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n$0\r\n\r\n%1\r\n+a\r\n~2\r\n:1\r\n,1.5\r\n",
        b"|1\r\n+ttl\r\n:5\r\n$2\r\nab\r\n",
        b"PING\r\n",
    ],
}


def split(framer, stream: bytes, cuts: list[int]) -> list[bytes]:
    """Return the messages, asking the framer anew whenever a piece has come."""
    places = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    found, start = [], 0
    for end in places:
        while start < end:
            n = framer(stream[start:end])
            assert n >= 0, f"no message at {start}"
            if n == framing.MORE or start + n > end:
                break
            found.append(stream[start : start + n])
            start += n
    assert start == len(stream)
    return found


@pytest.mark.parametrize("framer", MESSAGES, ids=lambda each: getattr(each, "__qualname__", ""))
@given(data=st.data())
def test_messages_are_the_same_however_they_are_cut(framer, data):
    sent = data.draw(st.lists(st.sampled_from(MESSAGES[framer]), min_size=1, max_size=8))
    stream = b"".join(sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert split(framer, stream, cuts) == sent


@pytest.mark.parametrize("framer", [framing.http1, framing.tls, framing.resp, framing.http2])
@given(data=st.binary(max_size=60))
def test_any_bytes_have_an_answer_that_goes_on(framer, data):
    n = framer(data)
    assert n == framing.UNFRAMED or n == framing.MORE or n > 0


def test_a_stream_that_is_no_longer_framed_says_so():
    assert framing.http1(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end") == framing.UNFRAMED
    assert framing.http1(b"\x16\3\1\0\2hi and more") == framing.UNFRAMED
    assert framing.tls(b"GET / HTTP/1.1\r\n") == framing.UNFRAMED
    assert framing.length_prefixed(counts_itself=True)(b"\0\0\0\3") == framing.UNFRAMED
    assert framing.resp(b"*many\r\n") == framing.UNFRAMED
    assert framing.http1(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"-20\r\nback to where it began") == framing.UNFRAMED


@pytest.mark.parametrize("number", ["--5", "", "-", "9" * 5000])
def test_what_is_no_length_ends_the_framing(number):
    assert framing.resp(f"${number}\r\n".encode()) == framing.UNFRAMED
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\n\r\n"
    assert framing.http1(head.encode()) == framing.UNFRAMED


@pytest.mark.parametrize("framer", [framing.http1, framing.http2, framing.tls, framing.resp])
def test_protocols_are_told_by_their_first_bytes(framer):
    first = MESSAGES[framer][0]
    assert framing.guess(first) is framer


@pytest.mark.parametrize("first", [b"", b"hello\n", b"\0\0\0\5hello", b"\x80\4\x95"])
def test_what_is_none_of_them_is_not_guessed(first):
    assert framing.guess(first) is None


def test_a_length_of_three_bytes_is_refused():
    with pytest.raises(UserError, match="1, 2, 4 or 8"):
        framing.length_prefixed(3)
