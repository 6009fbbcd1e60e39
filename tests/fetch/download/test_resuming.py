"""Lines that break are gone on with; what comes is the file and nothing else, whatever the server answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from download_bench import QUICK, Bench, some_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import faults
from world.fixture import World

from modelhub.errors import NotFoundError, UnreachableError, WrongBytesError
from modelhub.fetch.download import already
from modelhub.fetch.download.place import Place
from modelhub.fetch.download.state import State, read_state, write_state

GET = "GET storage"


def left_behind(bench: Bench, count: int) -> None:
    """Have a try that ends after so many bytes."""
    bench.world.fault(GET, faults.drop(count), faults.status(404))
    with pytest.raises(NotFoundError):
        bench.get()
    assert bench.part.read_bytes() == bench.data[:count]
    bench.world.asked.clear()


def is_right(bench: Bench) -> bool:
    return bench.goal.read_bytes() == bench.data and bench.beside == ["mine.safetensors"]


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("cut", [1, 4095, 4096, 4097, 100_000, 299_999])
def test_a_dropped_line_is_gone_on_with(bench: Bench, cut: int, reset: bool):
    bench.world.fault(GET, faults.drop(cut, reset))
    bench.get()
    assert is_right(bench)
    assert bench.ranges == [None, f"bytes={cut}-"]
    assert sum(bench.counts) == len(bench.data)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 120_000), min_size=1, max_size=4))
def test_any_number_of_drops_at_any_place(bare: Bench, cuts: list[int]):
    bare.world.clear_faults()
    bare.world.fault(GET, *(faults.drop(cut, reset=bool(cut % 2)) for cut in cuts))
    bare.get()
    assert is_right(bare)
    assert sum(bare.counts) == len(bare.data)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 299_999), st.booleans())
def test_any_number_of_tries(bench: Bench, cut: int, known: bool):
    bench.file = replace(bench.file, hashes={"sha256": bench.sha256} if known else {})
    bench.world.clear_faults()
    left_behind(bench, cut)
    assert already(bench.file, bench.goal) == cut
    assert bench.get().resumed == cut
    assert is_right(bench)
    assert bench.ranges == [f"bytes={cut}-"]


def test_the_condition_of_a_range_is_a_strong_etag(bench: Bench):
    left_behind(bench, 50_000)
    bench.get()
    (asked,) = bench.world.asked_of("storage")
    assert asked.headers["If-Range"] == read_etag(bench)


def read_etag(bench: Bench) -> str:
    answer = bench.world.storage._public["/files/model.safetensors"]
    return answer.headers["ETag"]


def test_a_weak_etag_is_none_and_the_date_takes_its_place(bare: Bench):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    bare.serve(bare.data, "weak.safetensors", ETag='W/"1"', Last_Modified=date)
    left_behind(bare, 50_000)
    assert bare.get().resumed == 50_000
    (asked,) = bare.world.asked_of("storage")
    assert asked.headers["If-Range"] == date


@pytest.mark.parametrize("known", [True, False])
def test_without_either_only_a_known_content_is_gone_on_with(bench: Bench, known: bool):
    hashes = {"sha256": bench.sha256} if known else {}
    file = bench.serve(bench.data, "plain.safetensors", ETag='W/"1"', Last_Modified=None)  # type: ignore[arg-type]
    bench.file = replace(file, hashes=hashes)
    left_behind(bench, 50_000)
    assert already(bench.file, bench.goal) == (50_000 if known else 0)
    assert bench.get().resumed == (50_000 if known else 0)
    (asked,) = bench.world.asked_of("storage")
    assert (asked.range, asked.headers["If-Range"]) == ("bytes=50000-" if known else None, None)
    assert is_right(bench)


@pytest.mark.parametrize(
    "fault",
    [
        faults.whole_file(),
        faults.new_etag(),
        faults.wrong_range(1),
        faults.wrong_range(-1),
        faults.no_range_header(),
        faults.status(416),
        faults.status(416, Content_Range="bytes */77"),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("known", [True, False])
def test_an_answer_that_does_not_fit_begins_the_file_anew(bench: Bench, fault: faults.Fault, known: bool):
    if not known:
        bench.file = replace(bench.file, hashes={})
    left_behind(bench, 50_000)
    bench.world.fault(GET, fault)
    found = bench.get()
    assert found.resumed == 0
    assert is_right(bench)
    assert sum(bench.counts) == len(bench.data)


def test_a_file_that_was_replaced_is_begun_anew(bare: Bench):
    left_behind(bare, 50_000)
    new = some_bytes(200_000, seed=2)
    bare.world.fault(GET, faults.new_file(new), times=None)
    bare.get()
    bare.data = new
    assert is_right(bare)


def test_a_file_of_the_same_etag_and_another_size_is_begun_anew(bare: Bench):
    etag = '"stays"'
    bare.serve(bare.data, "same.safetensors", ETag=etag)
    left_behind(bare, 50_000)
    bare.serve(some_bytes(200_000, seed=2), "same.safetensors", ETag=etag)
    bare.get()
    assert is_right(bare)


def test_a_whole_part_of_unknown_content_is_not_believed(bare: Bench):
    """All bytes are there, and no hash is known: the server has to say that it is still the same file."""
    state = State(len(bare.data), read_etag(bare), None, {}, "", None, "")
    place = Place.of(bare.file, bare.goal)
    bare.goal.parent.mkdir()
    place.part.write_bytes(bare.data)
    write_state(place.state, state)
    bare.get()
    assert bare.ranges == ["bytes=299999-"]
    assert is_right(bare)
    bare.goal.unlink()
    place.part.write_bytes(bytes(300_000))
    write_state(place.state, replace(state, etag='"of before"'))
    bare.get()
    assert is_right(bare)


def test_wrong_bytes_from_before_cost_one_whole_download(bench: Bench):
    left_behind(bench, 50_000)
    bench.part.write_bytes(bytes(50_000))
    found = bench.get()
    assert (found.resumed, bench.ranges) == (0, ["bytes=50000-", None])
    assert is_right(bench)
    assert sum(bench.counts) == len(bench.data)


def test_a_part_that_is_too_long_is_not_used(bench: Bench):
    left_behind(bench, 50_000)
    bench.part.write_bytes(bench.data + b"more")
    assert already(bench.file, bench.goal) == 0
    bench.get()
    assert (bench.ranges, is_right(bench)) == ([None], True)


def test_a_part_whose_state_is_lost(bench: Bench):
    left_behind(bench, 50_000)
    Place.of(bench.file, bench.goal).state.unlink()
    assert bench.get().resumed == 50_000, "its content is known"
    bench.goal.unlink()
    bench.file = replace(bench.file, hashes={})
    left_behind(bench, 50_000)
    Place.of(bench.file, bench.goal).state.write_bytes(b"\x00\xff{")
    assert bench.get().resumed == 0
    assert is_right(bench)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"form": 2}', '{"form": 1, "size": -1}', '{"form": 1, "size": "x"}', "[" * 100_000]
)
def test_a_state_that_nobody_wrote_is_none(bench: Bench, text: str):
    left_behind(bench, 50_000)
    path = Place.of(bench.file, bench.goal).state
    path.write_text(text)
    assert read_state(path) is None
    bench.get()
    assert is_right(bench)


def test_wrong_bytes_are_fetched_once_more_and_no_more(bench: Bench):
    bench.world.fault(GET, faults.drop(50_000), faults.wrong_bytes(100_000), faults.wrong_bytes(7))
    with pytest.raises(WrongBytesError) as caught:
        bench.get()
    assert bench.sha256 in caught.value.message
    assert bench.ranges == [None, "bytes=50000-", None]
    assert bench.beside == []


def test_wrong_bytes_in_one_answer_are_an_error_at_once(bench: Bench):
    bench.world.fault(GET, faults.wrong_bytes(7))
    with pytest.raises(WrongBytesError):
        bench.get()
    assert (bench.ranges, bench.beside) == ([None], [])


def test_lying_ranges_are_found_out_by_the_hash(bench: Bench):
    bench.world.fault(GET, faults.drop(50_000), faults.lying_range())
    bench.get()
    assert bench.ranges == [None, "bytes=50000-", None]
    assert is_right(bench)


@pytest.mark.parametrize("by", [-1, 1, 5000])
def test_a_wrong_length_is_not_believed(bare: Bench, by: int):
    bare.world.fault(GET, faults.wrong_length(by))
    if by > 0:  # the server promised more than there is, then has another size: it is begun anew
        bare.get()
        assert is_right(bare)
    else:
        bare.file = replace(bare.file, size=len(bare.data))
        with pytest.raises(WrongBytesError, match="should have 300,000 bytes"):
            bare.get()


def test_a_server_without_ranges_is_given_up_when_it_gets_no_further(bench: Bench):
    bench.world.fault(GET, faults.drop(100_000))
    bench.world.fault(GET, replace(faults.drop(90_000), before=faults.whole_file().before), times=None)
    with pytest.raises(UnreachableError):
        bench.get()
    assert len(bench.world.asked) == 1 + QUICK.tries - 1


def test_a_server_that_changes_its_etag_each_time_is_given_up(bare: Bench):
    for number in range(20):
        bare.world.fault(GET, replace(faults.drop(50_000), before=faults.new_etag(f'"{number}"').before))
    with pytest.raises(UnreachableError):
        bare.get()
    assert len(bare.world.asked) <= QUICK.tries + 1


def test_a_stalled_line_is_left(bench: Bench):
    bench.patience = replace(QUICK, read=0.2)
    bench.world.fault(GET, faults.stall(100_000))
    bench.get()
    assert bench.ranges == [None, "bytes=100000-"]
    assert is_right(bench)


def test_a_slow_line_is_none_that_stalls(bench: Bench):
    bench.patience = replace(QUICK, read=1.5)
    bench.serve(some_bytes(20_000))
    bench.world.fault(GET, faults.slow(10_000, piece=2000))
    bench.get()
    assert bench.ranges == [None]
    assert is_right(bench)


def test_chunks_that_break_are_begun_anew_or_gone_on_with(bare: Bench):
    bare.world.fault(GET, faults.bad_chunks(100_000))
    bare.get()
    assert bare.ranges == [None, "bytes=100000-"]
    assert is_right(bare)


def test_a_line_that_ends_too_early_without_a_length(bench: Bench):
    cut = replace(faults.drop(100_000, reset=False), after=faults.no_length().after)
    bench.world.fault(GET, cut)
    bench.get()
    assert is_right(bench)


def test_a_server_that_gives_a_piece_at_a_time(bench: Bench):
    def at_most(answer, asked):
        if answer.status != 206:
            return answer
        stop = min(answer.end, answer.start + 40_000)
        return replace(answer, stop=stop).with_headers(
            Content_Range=f"bytes {answer.start}-{stop - 1}/{answer.total}", Content_Length=str(stop - answer.start)
        )

    bench.world.fault(GET, faults.drop(100_000))
    bench.world.fault(GET, faults.Fault("pieces", after=at_most), times=None)
    bench.get()
    assert is_right(bench)
    assert bench.ranges[1:] == [f"bytes={at}-" for at in range(100_000, 300_000, 40_000)]


def test_two_goals_of_one_folder_do_not_mix(bench: Bench, world: World):
    other = some_bytes(100_000, seed=3)
    left_behind(bench, 50_000)
    first = bench.file
    bench.serve(other, "other.safetensors")
    bench.get()
    assert bench.goal.read_bytes() == other
    assert already(first, bench.goal) == 50_000
