"""Group commit without a database: what is gathered, how it is committed, who learns of what.

Items are letters; a commit answers each with its capital.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.journal.group_commit import (
    HANDED_OUT_AT_ONCE,
    Accumulator,
    Committer,
    commit_apart,
)

Letters = Accumulator[str, str]


def letters(queue_max: int = 100, group_size_max: int = 10, linger_s: float = 0.0) -> Letters:
    return Accumulator(queue_max, group_size_max, linger_s)


async def taken(queue: Letters) -> str:
    return "".join(["".join(letters) for letters, _, _ in await queue.take()])


class Capitals:
    """A commit that keeps each group it was given, and fails where it is told to."""

    def __init__(self, fail: Callable[[str], Exception | None] = lambda group: None) -> None:
        self.groups: list[str] = []
        self._fail = fail

    async def __call__(self, items: list[str]) -> Sequence[str | Exception]:
        group = "".join(items)
        self.groups.append(group)
        failure = self._fail(group)
        if failure is not None:
            raise failure
        return [letter.upper() for letter in items]


async def committed(queue: Letters, commit: Capitals, *, lanes: int = 1) -> None:
    """Runs `lanes` committers until the closed queue is empty."""
    runs = [Committer(queue.take, commit).run() for _ in range(lanes)]
    await asyncio.wait_for(asyncio.gather(*runs), 5)


@pytest.mark.parametrize(
    ("queued", "size_max", "groups"),
    [
        ("a", 3, ["a"]),
        ("abc", 3, ["abc"]),
        ("abcd", 3, ["abc", "d"]),
        ("abcdefg", 3, ["abc", "def", "g"]),
        ("abc", 1, ["a", "b", "c"]),
    ],
)
async def test_groups_are_bounded_and_in_order(
    queued: str, size_max: int, groups: list[str]
) -> None:
    queue = letters(group_size_max=size_max)
    answers = [queue.add(letter) for letter in queued]
    queue.close()
    commit = Capitals()
    await committed(queue, commit)
    assert commit.groups == groups
    assert [answer.result() for answer in answers] == list(queued.upper())


@pytest.mark.parametrize(
    ("bunches", "size_max", "groups"),
    [
        (["abc"], 3, ["abc"]),
        (["ab", "c", "d"], 3, ["abc", "d"]),
        (["ab", "cd", "e"], 3, ["ab", "cde"]),
        (["a", "bcd", "e"], 3, ["a", "bcd", "e"]),
    ],
)
async def test_a_bunch_stays_together_and_learns_of_all_its_items_at_once(
    bunches: list[str], size_max: int, groups: list[str]
) -> None:
    queue = letters(group_size_max=size_max)
    answers = [await queue.add_when_room(letters) for letters in bunches]
    queue.close()
    commit = Capitals()
    await committed(queue, commit)
    assert commit.groups == groups
    assert ["".join(map(str, answer.result())) for answer in answers] == [
        letters.upper() for letters in bunches
    ]


async def test_a_bunch_learns_which_of_its_items_failed() -> None:
    queue = letters()
    refused = Refusal("malformed", "b")
    told, alone = await queue.add_when_room("ab"), queue.add("c")
    queue.close()

    async def commit(items: list[str]) -> Sequence[str | Exception]:
        return ["A", refused, "C"]

    await asyncio.wait_for(Committer(queue.take, commit).run(), 5)
    assert (told.result(), alone.result()) == (["A", refused], "C")


async def test_a_bunch_is_never_larger_than_a_group() -> None:
    with pytest.raises(InvariantBroken):
        await letters(group_size_max=2).add_when_room("abc")


async def test_a_bunch_larger_than_the_queue_waits_until_it_is_empty() -> None:
    queue = letters(queue_max=2, group_size_max=4)
    queue.add("a")
    waiting = asyncio.create_task(queue.add_when_room("bcd"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await taken(queue) == "a"
    await asyncio.wait_for(waiting, 5)
    with pytest.raises(Unavailable, match="overloaded"):
        queue.add("e")
    assert await taken(queue) == "bcd"


async def test_streams_leave_the_rest_of_the_queue_to_single_callers() -> None:
    queue = letters(queue_max=100, group_size_max=2)
    for bunch in ("ab", "cd"):
        await asyncio.wait_for(queue.add_when_room(bunch), 5)
    waiting = asyncio.create_task(queue.add_when_room("ef"))
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add("x")
    assert [await taken(queue), await taken(queue)] == ["ab", "cd"]
    await asyncio.wait_for(waiting, 5)
    assert [await taken(queue), await taken(queue)] == ["x", "ef"]


async def test_a_helping_committer_takes_only_a_heap() -> None:
    queue = letters(group_size_max=6)
    helping = asyncio.create_task(queue.take_heap())
    for letter in "ab":
        queue.add(letter)
        await asyncio.sleep(0)
        assert not helping.done()
    queue.add("c")
    heap = await asyncio.wait_for(helping, 5)
    assert "".join(letter for (letter,), _, _ in heap) == "abc"
    helping = asyncio.create_task(queue.take_heap())
    await asyncio.sleep(0)
    queue.add("d")
    queue.close()
    assert await asyncio.wait_for(helping, 5) == [], "the rest is for who takes what there is"
    assert await taken(queue) == "d"


async def test_a_group_is_what_came_while_the_one_before_was_committed() -> None:
    queue = letters()
    inside, go_on = asyncio.Event(), asyncio.Event()
    groups = []

    async def commit(items: list[str]) -> Sequence[str]:
        groups.append("".join(items))
        inside.set()
        await go_on.wait()
        return items

    run = asyncio.create_task(Committer(queue.take, commit).run())
    first = queue.add("a")
    await inside.wait()
    later = [queue.add(letter) for letter in "bcd"]
    assert not first.done()
    go_on.set()
    await asyncio.gather(first, *later)
    queue.close()
    await run
    assert groups == ["a", "bcd"]


async def test_a_full_queue_refuses_before_any_work() -> None:
    queue = letters(queue_max=2)
    queue.add("a")
    queue.add("b")
    with pytest.raises(Unavailable) as refused:
        queue.add("c")
    assert refused.value.code == "overloaded"
    assert refused.value.retry_after_s >= 1
    assert await taken(queue) == "ab"
    queue.add("c")


async def test_a_stream_waits_for_a_place_and_keeps_its_turn() -> None:
    queue = letters(queue_max=2, group_size_max=1)
    queue.add("a")
    queue.add("b")
    waiting = [asyncio.create_task(queue.add_when_room([letter])) for letter in "cd"]
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [False, False]
    order = [await taken(queue)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert [task.done() for task in waiting] == [True, False]
    assert len(queue) == 2
    order.append(await taken(queue))
    await asyncio.wait_for(waiting[1], 5)
    order += [await taken(queue), await taken(queue)]
    assert order == list("abcd")


async def test_close_refuses_newcomers_and_hands_out_the_rest() -> None:
    queue = letters(queue_max=2, group_size_max=1)
    queue.add("a")
    queue.add("b")
    waiting = asyncio.create_task(queue.add_when_room(["c"]))
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(Unavailable, match="unavailable"):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(Unavailable, match="unavailable"):
        queue.add("d")
    assert [await taken(queue) for _ in range(3)] == ["a", "b", ""]


async def test_close_wakes_a_committer_that_waits() -> None:
    queue = letters()
    run = asyncio.create_task(Committer(queue.take, Capitals()).run())
    await asyncio.sleep(0)
    queue.close()
    await asyncio.wait_for(run, 5)


async def after_a_group(of: str, **limits: float) -> Letters:
    """A queue that has just handed out this group, so that it expects as many again."""
    queue = letters(**limits)  # type: ignore[arg-type]
    for letter in of:
        queue.add(letter)
    assert await taken(queue) == of
    return queue


async def test_a_lone_caller_never_lingers() -> None:
    queue = await after_a_group("a", linger_s=60)
    queue.add("b")
    assert await asyncio.wait_for(taken(queue), 5) == "b"


async def test_linger_waits_for_as_many_as_the_group_before_had() -> None:
    queue = await after_a_group("abc", linger_s=60)
    taking = asyncio.create_task(taken(queue))
    for letter in "def":
        await asyncio.sleep(0)
        assert not taking.done()
        queue.add(letter)
    assert await asyncio.wait_for(taking, 5) == "def"


async def test_a_stream_never_lingers() -> None:
    queue = await after_a_group("abcdef", linger_s=60)
    taking = asyncio.create_task(taken(queue))
    await queue.add_when_room("gh")
    assert await asyncio.wait_for(taking, 5) == "gh"


async def test_linger_waits_for_callers_and_not_for_lines_of_a_stream() -> None:
    queue = letters(linger_s=60)
    await queue.add_when_room("abcdef")
    queue.add("g")
    assert await asyncio.wait_for(taken(queue), 5) == "abcdefg"
    queue.add("h")
    assert await asyncio.wait_for(taken(queue), 5) == "h", "one came alone, so one is expected"


async def test_linger_ends_with_its_time_or_with_the_queue() -> None:
    short = await after_a_group("xyz", linger_s=0.001)
    short.add("a")
    assert await asyncio.wait_for(taken(short), 5) == "a"
    short.add("b")
    assert await asyncio.wait_for(taken(short), 5) == "b", "one came, so one is expected"
    closing = await after_a_group("xyz", linger_s=60)
    closing.add("b")
    taking = asyncio.create_task(taken(closing))
    await asyncio.sleep(0)
    closing.close()
    assert await asyncio.wait_for(taking, 5) == "b"


async def test_a_committer_that_lingered_in_vain_goes_on() -> None:
    """Two lanes linger over one letter: one of them takes it, and neither may end over that."""
    queue = await after_a_group("xyz", linger_s=0.001)
    commit = Capitals()
    runs = [asyncio.create_task(Committer(queue.take, commit).run()) for _ in range(2)]
    for letter in "abc":
        assert await asyncio.wait_for(queue.add(letter), 5) == letter.upper()
    assert not any(run.done() for run in runs)
    queue.close()
    await asyncio.wait_for(asyncio.gather(*runs), 5)


async def test_two_committers_take_each_letter_once() -> None:
    queue = letters(group_size_max=7)
    answers = [queue.add(chr(ord("a") + number % 26)) for number in range(100)]
    queue.close()
    commit = Capitals()
    await committed(queue, commit, lanes=2)
    assert sum(map(len, commit.groups)) == 100
    assert all(answer.result().isupper() for answer in answers)


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("unavailable", "later", 7),
        Refusal("malformed", "never"),
        InvariantBroken("ours"),
        asyncpg.DeadlockDetectedError("circle"),
        ConnectionResetError(104, "reset"),
    ],
)
async def test_each_waiter_gets_the_groups_error_as_its_own_copy(failure: Exception) -> None:
    queue = letters()
    answers = [queue.add(letter) for letter in "abc"]
    queue.close()
    await committed(queue, Capitals(lambda group: failure))
    errors = [answer.exception() for answer in answers]
    assert [type(error) for error in errors] == [type(failure)] * 3
    assert [str(error) for error in errors] == [str(failure)] * 3
    assert len({id(error) for error in errors}) == 3
    assert [vars(error) for error in errors if error] == [vars(failure)] * 3


async def test_what_was_never_committed_learns_so_at_the_end() -> None:
    queue = letters()
    answers = [queue.add(letter) for letter in "ab"]
    answers[0].cancel()
    queue.close()
    queue.fail_all(Unavailable("unavailable", "stopping"))
    assert answers[0].cancelled()
    assert isinstance(answers[1].exception(), Unavailable)
    assert len(queue) == 0


async def test_others_have_turns_while_a_large_group_is_told() -> None:
    count = 2 * HANDED_OUT_AT_ONCE + 1
    queue = letters(queue_max=count, group_size_max=count)
    answers: list[asyncio.Future[Any]] = []
    answers += [queue.add(chr(ord("a") + at % 26)) for at in range(count - 2)]
    answers.append(await queue.add_when_room("yz"))
    queue.close()
    commit = Capitals()
    running = asyncio.create_task(committed(queue, commit))
    seen = []
    while not running.done():
        seen.append(sum(answer.done() for answer in answers))
        await asyncio.sleep(0)
    await running
    assert len(commit.groups) == 1
    told = [now - before for before, now in zip(seen, [*seen[1:], len(answers)], strict=True)]
    assert max(told) == HANDED_OUT_AT_ONCE
    assert [answer.result() for answer in answers] == [*commit.groups[0][:-2].upper(), list("YZ")]


async def test_a_waiter_that_left_does_not_disturb_the_group() -> None:
    queue = letters()
    answers = [queue.add(letter) for letter in "abc"]
    answers[1].cancel()
    queue.close()
    commit = Capitals()
    await committed(queue, commit)
    assert commit.groups == ["abc"], (
        "the payment of a caller that left is made durable all the same"
    )
    assert (answers[0].result(), answers[2].result()) == ("A", "C")


async def test_a_commit_that_forgets_somebody_is_a_bug_and_not_the_end() -> None:
    queue = letters(group_size_max=2)
    answers = [queue.add(letter) for letter in "abc"]
    queue.close()

    async def forgetful(items: list[str]) -> Sequence[str]:
        return items[:1]

    await asyncio.wait_for(Committer(queue.take, forgetful).run(), 5)
    assert [type(answer.exception()) for answer in answers[:2]] == [InvariantBroken] * 2
    assert answers[2].result() == "c"


async def never(*_: object) -> bool:
    raise InvariantBroken("Expected nobody to ask")


@pytest.mark.parametrize("bad", ["a", "d", "h"])
async def test_a_bad_item_is_found_by_halving_and_its_neighbours_are_kept(bad: str) -> None:
    wrong = asyncpg.CheckViolationError("amount")
    commit = Capitals(lambda group: wrong if bad in group else None)
    outcomes = await commit_apart(list("abcdefgh"), commit, lambda error: False, never)
    assert outcomes == [wrong if letter == bad else letter.upper() for letter in "abcdefgh"]
    # One try of all, then two for each halving: 1 + 2 * log2(8).
    assert len(commit.groups) == 7


async def test_two_bad_items_are_told_apart() -> None:
    commit = Capitals(
        lambda group: Refusal("malformed", group) if set(group) & {"b", "e"} else None
    )
    outcomes = await commit_apart(list("abcdef"), commit, lambda error: False, never)
    shown = [str(outcome) for outcome in outcomes]
    assert shown == ["A", "malformed: b", "C", "D", "malformed: e", "F"]


async def test_an_unknown_outcome_is_tried_again_whole_and_unchanged() -> None:
    lost = iter([ConnectionResetError(), TimeoutError()])
    commit = Capitals(lambda group: next(lost, None))

    async def again() -> bool:
        return True

    outcomes = await commit_apart(list("abc"), commit, lambda error: True, again)
    assert outcomes == ["A", "B", "C"]
    assert commit.groups == ["abc", "abc", "abc"]


async def test_an_outcome_that_stays_unknown_is_unavailable_and_never_failed() -> None:
    allowed = iter([True, True, False])
    commit = Capitals(lambda group: ConnectionResetError())

    async def again() -> bool:
        return next(allowed)

    outcomes = await commit_apart(list("ab"), commit, lambda error: True, again)
    assert [getattr(outcome, "code", None) for outcome in outcomes] == ["unavailable"] * 2
    assert outcomes[0] is not outcomes[1]
    assert commit.groups == ["ab"] * 3, "halving would not make it known"


async def test_a_definite_error_after_an_unknown_one_still_halves() -> None:
    lost = [ConnectionResetError()]

    def fail(group: str) -> Exception | None:
        if lost:
            return lost.pop()
        return Refusal("malformed", group) if "b" in group else None

    async def again() -> bool:
        return True

    commit = Capitals(fail)
    outcomes = await commit_apart(
        list("ab"), commit, lambda error: isinstance(error, OSError), again
    )
    assert [str(outcome) for outcome in outcomes] == ["A", "malformed: b"]
    assert commit.groups == ["ab", "ab", "a", "b"]


async def test_whoever_is_told_by_a_call_hears_of_refusals_too_and_sinks_nobody_by_failing() -> (
    None
):
    queue = letters()
    reported: list[object] = []
    told: list[str | Exception] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    fault = RuntimeError("Expected a connection that writes")

    def fail(outcome: str | Exception) -> None:
        raise fault

    async def commit(items: list[str]) -> Sequence[str | Exception]:
        return [Refusal("malformed", "a") if one == "b" else one.upper() for one in items]

    queue.add_telling("a", fail)
    queue.add_telling("b", told.append)
    last = queue.add("c")
    queue.close()
    await asyncio.wait_for(Committer(queue.take, commit).run(), 5)
    assert reported == [fault]
    assert [type(outcome) for outcome in told] == [Refusal]
    assert last.result() == "C"
    loop.set_exception_handler(None)


async def test_a_full_or_closed_queue_refuses_whoever_is_told_by_a_call_and_tells_nothing() -> None:
    queue = letters(queue_max=1)
    told: list[str | Exception] = []
    queue.add_telling("a", told.append)
    with pytest.raises(Unavailable, match="waiting"):
        queue.add_telling("b", told.append)
    queue.close()
    with pytest.raises(Unavailable, match="stopping"):
        queue.add_telling("c", told.append)
    assert told == []
    queue.fail_all(Unavailable("unavailable", "This process is stopping"))
    assert [type(outcome) for outcome in told] == [Unavailable]
