from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventcore.server.http2_frames import Allowance, FrameGate, goaway_frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, MORE = 0, 1, 4, 6, 7, 9


def frame(kind: int, size: int = 0, flags: int = 0) -> bytes:
    return size.to_bytes(3) + bytes([kind, flags]) + bytes(4) + b"p" * size


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 4, 6, 7, 9, 99]), st.integers(0, 30))),
    st.lists(st.integers(1, 40)),
)
def test_everything_but_goaways_goes_through_however_it_is_cut(frames, cuts):
    data = PREFACE + b"".join(frame(kind, size) for kind, size in frames)
    kept = PREFACE + b"".join(frame(kind, size) for kind, size in frames if kind != GOAWAY)
    gate = FrameGate()
    seen = b""
    for cut in [*cuts, len(data)]:
        seen += gate.feed(data[:cut])
        data = data[cut:]
    assert seen == kept
    assert gate.is_leaving == any(kind == GOAWAY for kind, _ in frames)
    last_block = [kind for kind, _ in frames if kind in (HEADERS, MORE)]
    assert gate.is_partial == bool(last_block)  # none of them has END_HEADERS


def test_whole_frames_are_handed_on_as_they_are():
    gate = FrameGate()
    assert gate.feed(PREFACE) == PREFACE
    data = frame(SETTINGS, 6) + frame(PING, 8)
    assert gate.feed(data) is data


def test_an_incomplete_frame_is_known_from_its_first_byte_to_its_last():
    gate = FrameGate()
    assert gate.is_partial  # the preface
    gate.feed(PREFACE)
    for byte in frame(PING, 8)[:-1]:
        gate.feed(bytes([byte]))
        assert gate.is_partial
    gate.feed(b"p")
    assert not gate.is_partial


def test_a_header_block_is_one_unit_with_all_its_bytes():
    gate = FrameGate()
    gate.feed(PREFACE + frame(HEADERS, 10))
    assert (gate.units, gate.is_partial) == (1, True)
    gate.feed(frame(MORE, 20))
    assert (gate.units, gate.block_bytes, gate.is_partial) == (1, 30, True)
    gate.feed(frame(MORE, 5, 4))
    assert (gate.units, gate.block_bytes, gate.is_partial) == (1, 35, False)
    gate.feed(frame(HEADERS, 7, 4))
    assert (gate.units, gate.block_bytes, gate.is_partial) == (2, 7, False)


def test_frames_that_bring_little_are_counted():
    gate = FrameGate()
    gate.feed(PREFACE)
    for data, count in (
        (frame(HEADERS, 10, 4), 0),
        (frame(DATA, 64), 0),
        (frame(DATA, 63), 1),
        (frame(DATA, 0, 1), 0),  # the end of a request
        (frame(SETTINGS, 6), 1),
        (frame(SETTINGS, 0, 1), 1),
        (frame(PING, 8), 1),
        (frame(99, 8), 1),
    ):
        before = gate.small_frames
        gate.feed(data)
        assert gate.small_frames - before == count, data
    assert gate.settings == 1  # not our own ones, acknowledged


def test_an_allowance_is_spent_and_comes_back_with_time():
    allowance = Allowance(10, 2, 1_000)
    assert allowance.spend(10, 1_000)
    assert not allowance.spend(1, 1_000)
    assert not allowance.spend(1, 1_999)  # 2 short, 1.998 back, 1 spent
    assert allowance.spend(1, 3_000)
    assert allowance.spend(10, 60_000)
    assert not allowance.spend(1, 60_000)
    allowance.give(3)
    assert allowance.spend(2, 60_000)
    allowance.give(1_000)
    assert allowance.spend(10, 60_000)
    assert not allowance.spend(1, 60_000)


def test_a_goaway_says_which_stream_was_the_last_and_why():
    data = goaway_frame(5, 11, b"calm")
    assert data == b"\0\0\x0c\x07\0\0\0\0\0\0\0\0\x05\0\0\0\x0bcalm"
