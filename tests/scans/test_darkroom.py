"""The process that looks at pictures: it may end, and nothing else does."""

import io

import pytest
import segno
from PIL import Image, ImageDraw

from gateway.domain.refusals import Refusal, Unavailable
from gateway.scans.codes import Code
from gateway.scans.darkroom import PLACES_MAX, Darkroom


def drawn(text: str) -> bytes:
    content = io.BytesIO()
    segno.make_qr(text.encode(), mode="byte").save(content, kind="png", scale=4)
    return content.getvalue()


def hall_of_finders(width: int, height: int) -> bytes:
    """What every detector of QR codes takes longest over: its corners, and nothing between them."""
    finder = Image.new("L", (9, 9), 255)
    pen = ImageDraw.Draw(finder)
    for inset, gray in ((1, 0), (2, 255), (3, 0)):
        pen.rectangle([inset, inset, 8 - inset, 8 - inset], fill=gray)
    hall = Image.new("L", (width, height), 255)
    for y in range(0, height, 9):
        for x in range(0, width, 9):
            hall.paste(finder, (x, y))
    content = io.BytesIO()
    hall.save(content, "png")
    return content.getvalue()


async def test_a_picture_that_takes_too_long_ends_its_process_alone() -> None:
    darkroom = Darkroom(12_582_912)
    try:
        assert await darkroom.codes_in(drawn("A1")) == [Code("QRCode", b"A1")]
        with pytest.raises(Refusal, match="takes less to look at"):
            await darkroom.codes_in(hall_of_finders(4096, 3072))
        assert await darkroom.codes_in(drawn("A2")) == [Code("QRCode", b"A2")]
    finally:
        await darkroom.close()


async def test_a_process_that_was_killed_is_started_anew() -> None:
    darkroom = Darkroom(1_000_000)
    try:
        await darkroom.codes_in(drawn("A1"))
        process = darkroom._process
        assert process is not None
        process.kill()
        await process.wait()
        assert await darkroom.codes_in(drawn("A2")) == [Code("QRCode", b"A2")]
    finally:
        await darkroom.close()
    assert darkroom._process is None


async def test_refusals_come_through_and_the_process_goes_on() -> None:
    darkroom = Darkroom(10_000)
    try:
        with pytest.raises(Refusal, match="body_too_large"):
            await darkroom.codes_in(drawn("A" * 200))
        process = darkroom._process
        with pytest.raises(Refusal, match="malformed"):
            await darkroom.codes_in(b"hello")
        assert (await darkroom.drawn(b"A1", "png")).startswith(b"\x89PNG")
        assert darkroom._process is process
    finally:
        await darkroom.close()


async def test_it_has_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPECK_DATABASE_URL", "postgresql://secret")
    darkroom = Darkroom(10_000)
    try:
        await darkroom.drawn(b"A1", "svg")
        process = darkroom._process
        assert process is not None
        with open(f"/proc/{process.pid}/environ", "rb") as environ:  # noqa: ASYNC230
            assert b"KOPECK_" not in environ.read()
    finally:
        await darkroom.close()


async def test_places_are_bounded_and_given_back() -> None:
    darkroom = Darkroom(10_000)
    places = [darkroom.place() for _ in range(PLACES_MAX + 1)]
    for place in places[:-1]:
        place.__enter__()
    with pytest.raises(Unavailable, match="overloaded"):
        places[-1].__enter__()
    places[0].__exit__(None, None, None)
    with darkroom.place():
        pass


async def test_its_memory_and_time_are_bounded_by_the_kernel() -> None:
    darkroom = Darkroom(10_000)
    try:
        await darkroom.drawn(b"A1", "svg")
        process = darkroom._process
        assert process is not None
        with open(f"/proc/{process.pid}/limits") as limits:  # noqa: ASYNC230
            told = {line[:25].strip(): line[25:].split()[:1] for line in limits}
        assert told["Max address space"] == [str(2**30)]
        assert told["Max core file size"] == ["0"]
        (cpu_s,) = told["Max cpu time"]
        assert 5 <= int(cpu_s) <= 60
    finally:
        await darkroom.close()


async def test_it_ends_with_the_worker_that_asked() -> None:
    darkroom = Darkroom(10_000)
    await darkroom.drawn(b"A1", "svg")
    process = darkroom._process
    assert process is not None
    assert process.stdin is not None
    # As the kernel does for a worker that was killed.
    process.stdin.close()
    assert await process.wait() == 0
