import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.journal import Error, InvalidInput
from keepstep.runtime.data import Failure, RemoteError, decode_failure, describe, encode_failure, rebuild
from keepstep.runtime.data.failure import CAUSES_MAX, FAILURES_MAX, GROUP_MAX, TRACEBACK_BYTES_MAX

from .orders import Other

made: list[str] = []


class Declined(Exception):
    """Takes other arguments than it hands on, and must not be called when it is rebuilt."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"declined: {reason}")
        made.append(reason)
        self.code = code
        self.reasons = [reason]
        self.handle = object()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Picky(Exception):
    def __str__(self) -> str:
        return f"order {self.order.id}"

    order: Any


class NoFile(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "no such file", path)


class Outer:
    class Inner(LookupError):
        pass


class Slotted(Exception):
    __slots__ = ()


class Built(Exception):
    def __new__(cls, *args: object) -> "Built":
        raise AssertionError("must not be called")


def there_and_back(error: BaseException) -> BaseException:
    return rebuild(decode_failure(encode_failure(describe(error))))


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1, None, [1, {"b": 2.5}]),
        KeyError("k"),
        Exception(),
        Outer.Inner("x"),
        Slotted("s"),
        FileNotFoundError(2, "no such file", "a.txt"),
        OSError("plain"),
        StopIteration(3),
        TimeoutError(),
        asyncio.QueueFull(),
        InvalidInput("bad"),
        RemoteError("shop.Lost", "gone"),
    ],
    ids=repr,
)
def test_an_error_comes_back_with_class_text_and_arguments(error: Exception) -> None:
    again = there_and_back(raised(error))
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), max_size=4))
def test_whatever_the_arguments_are_class_and_text_are_kept(args: list[Any]) -> None:
    error = ValueError(*args)
    again = there_and_back(error)
    assert isinstance(again, ValueError)
    assert str(again) == str(error).encode(errors="backslashreplace").decode()


def test_attributes_come_back_and_no_constructor_of_the_class_runs() -> None:
    error = Declined(51, "funds")
    made.clear()
    again = there_and_back(error)
    assert type(again) is Declined
    assert str(again) == "declined: funds"
    assert (again.code, again.reasons, hasattr(again, "handle")) == (51, ["funds"], False)
    assert made == []


def test_a_constructor_that_must_not_run_does_not() -> None:
    error = Exception.__new__(Built, "x")
    again = there_and_back(error)
    assert type(again) is Built
    assert str(again) == "x"


def test_an_error_of_the_operating_system_keeps_number_and_file() -> None:
    again = there_and_back(NoFile("a.txt"))
    assert isinstance(again, NoFile)
    assert (again.errno, again.filename, str(again)) == (2, "a.txt", "[Errno 2] no such file: 'a.txt'")


def test_an_error_whose_text_cannot_be_made_keeps_its_class_and_says_so() -> None:
    again = there_and_back(raised(Mute("x")))
    assert isinstance(again, Mute)
    with pytest.raises(RuntimeError):
        str(again)
    assert describe(again).message == "<str() of the error failed with RuntimeError>"


def test_an_error_whose_text_needs_what_was_lost_keeps_its_text_and_class() -> None:
    error = Picky()
    error.order = type("Order", (), {"id": "o-1"})()
    again = there_and_back(error)
    assert isinstance(again, Picky)
    assert str(again) == "order o-1"
    twice = there_and_back(again)
    assert isinstance(twice, Picky)
    assert str(twice) == "order o-1"


def test_arguments_that_are_no_json_leave_class_and_text() -> None:
    again = there_and_back(KeyError((1, "a")))
    assert isinstance(again, KeyError)
    assert str(again) == "(1, 'a')"


def test_a_long_message_is_cut_only_where_arguments_do_not_tell_it() -> None:
    assert str(there_and_back(ValueError("x" * 20_000))) == "x" * 20_000
    again = there_and_back(ValueError("x" * 100_000))
    assert isinstance(again, ValueError)
    assert len(str(again)) < 10_000


def test_causes_come_back_and_what_was_handled_as_context() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("middle")  # noqa: B904
    except ValueError as middle:
        error = RuntimeError("outer")
        error.__cause__ = middle
    again = there_and_back(error)
    assert isinstance(again.__cause__, ValueError)
    assert again.__cause__.__cause__ is None
    assert isinstance(again.__cause__.__context__, KeyError)


def test_a_suppressed_context_stays_away() -> None:
    error = ValueError("a")
    error.__context__, error.__cause__ = KeyError("b"), None
    assert error.__suppress_context__
    assert describe(error).cause is None


def test_causes_in_a_circle_and_long_chains_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    again = there_and_back(first)
    assert str(again.__cause__) == "b"
    assert again.__cause__.__cause__ is None  # type: ignore[union-attr]

    chain = ValueError("end")
    for n in range(50):
        later = ValueError(str(n))
        later.__cause__ = chain
        chain = later
    failure: Failure | None = describe(chain)
    depth = 0
    while failure is not None:
        failure, depth = failure.cause, depth + 1
    assert depth == CAUSES_MAX


def test_groups_come_back_with_their_members_and_wide_trees_are_bounded() -> None:
    again = there_and_back(
        ExceptionGroup("many", [ValueError(1), Declined(1, "x"), ExceptionGroup("in", [KeyError(2)])])
    )
    assert isinstance(again, ExceptionGroup)
    assert again.message == "many"
    assert [type(member) for member in again.exceptions] == [ValueError, Declined, ExceptionGroup]

    group: Exception = ValueError()
    for _ in range(4):
        group = ExceptionGroup(
            "wide", [group, *(ExceptionGroup("in", [KeyError(n) for n in range(9)]) for _ in range(9))]
        )

    def count(failure: Failure) -> int:
        return 1 + sum(map(count, failure.exceptions))

    assert count(describe(group)) <= FAILURES_MAX


class Missing(BaseExceptionGroup[BaseException]):
    """A group of this test's own."""


@pytest.mark.parametrize("kind", [BaseExceptionGroup, Missing])
def test_a_group_that_no_except_exception_catches_comes_back_as_one_that_it_does(kind: Any) -> None:
    again = there_and_back(
        kind("both", [ValueError(1), KeyboardInterrupt(), BaseExceptionGroup("in", [SystemExit(1)])])
    )
    assert isinstance(again, ExceptionGroup)
    assert (type(again).__name__, again.message) == (kind.__name__, "both")
    assert [type(member).__name__ for member in again.exceptions] == ["ValueError", "RemoteError", "BaseExceptionGroup"]
    assert str(again.exceptions[1]) == "builtins.KeyboardInterrupt"
    assert isinstance(again.exceptions[2], ExceptionGroup)
    caught, rest = again.split(ValueError)
    assert caught is not None
    assert rest is not None
    assert [len(caught.exceptions), len(rest.exceptions)] == [1, 2]
    failure = describe(again)
    assert (failure.module, failure.type) == (kind.__module__, kind.__qualname__), "it goes on as what it was"


def test_members_that_are_too_many_are_told_of() -> None:
    failure = describe(ExceptionGroup("many", [ValueError(n) for n in range(30)]))
    assert len(failure.exceptions) == GROUP_MAX
    assert failure.notes == ["10 of the group's 30 errors were left out"]
    assert "10 of the group's 30 errors were left out" in getattr(rebuild(failure), "__notes__", ())


def test_a_chain_that_is_too_long_says_so_at_its_end() -> None:
    chain = ValueError("first")
    for n in range(CAUSES_MAX + 3):
        later = ValueError(n)
        later.__cause__ = chain
        chain = later
    last = failure = describe(chain)
    while failure.cause is not None:
        last = failure = failure.cause
    assert last.notes == ["its cause was left out, as the chain is too long"]


def test_an_error_keeps_both_its_cause_and_what_was_being_handled() -> None:
    cause, handled = KeyError("cause"), LookupError("handled")
    try:
        try:
            raise handled
        except LookupError:
            raise ValueError("x") from cause
    except ValueError as error:
        again = there_and_back(error)
    assert repr(again.__cause__) == "KeyError('cause')"
    assert repr(again.__context__) == "LookupError('handled')"
    assert again.__suppress_context__
    twice = there_and_back(again)
    assert repr(twice.__context__) == "LookupError('handled')"


def test_a_cause_that_was_being_handled_is_told_once() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("x") from inner
    except ValueError as error:
        failure = describe(error)
    assert failure.cause is not None
    assert failure.handled is None


def test_notes_are_kept_and_the_place_is_told_in_one_more() -> None:
    error = raised(ValueError("x"))
    error.add_note("about order 3")
    notes = there_and_back(error).__notes__
    assert notes[0] == "about order 3"
    assert len(notes) == 2
    assert "in raised\n" in notes[1]
    assert "Traceback" in notes[1]


def test_notes_do_not_pile_up_when_an_error_travels_on() -> None:
    once = there_and_back(raised(ValueError("x")))
    size = len(encode_failure(describe(once)))
    for _ in range(12):
        once = there_and_back(raised(once))
    assert len(encode_failure(describe(once))) == size
    assert len(once.__notes__) == 1


def test_a_traceback_keeps_its_end_and_a_bounded_size() -> None:
    error = raised(ValueError("é" * 20_000))
    failure = describe(error)
    assert len(failure.traceback.encode()) <= TRACEBACK_BYTES_MAX
    assert failure.traceback.startswith("…")
    assert failure.traceback.endswith("é\n")
    assert len(failure.message) < 10_000


def test_what_is_no_exception_is_not_rebuilt_as_such() -> None:
    for error in (KeyboardInterrupt("x"), SystemExit(3), asyncio.CancelledError("x")):
        again = there_and_back(error)
        assert isinstance(again, RemoteError)
        assert type(error).__name__ in again.type_name


def test_a_class_that_is_not_to_be_found_becomes_a_remote_error_with_the_same_text() -> None:
    class Local(Exception):
        pass

    again = there_and_back(raised(Local("here only")))
    assert isinstance(again, RemoteError)
    assert isinstance(again, Error)
    assert str(again).endswith("Local: here only")
    assert again.message == "here only"


def test_a_class_that_cannot_be_made_becomes_a_remote_error() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Other.model_validate({"other": "x"})
    again = there_and_back(caught.value)
    assert isinstance(again, RemoteError)
    assert "valid integer" in str(again)
    assert isinstance(there_and_back(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")), RemoteError)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "int"),
        ("builtins", "BaseException"),
        ("nowhere.to.be.found", "Error"),
        ("", "ValueError"),
        ("../evil", "Error"),
        ("sys", "modules.os"),
        ("os", "path.os.error"),
        ("keepstep.journal", ""),
        ("keepstep.journal", "errors.__class__"),
    ],
)
def test_names_that_are_no_exception_class_are_never_called(module: str, name: str) -> None:
    failure = Failure(type=name, module=module, message="m", args=["exit 3"])
    assert isinstance(rebuild(failure), RemoteError)


def test_a_module_that_breaks_on_import_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_on_import.py").write_text("raise SystemExit(3)")
    (tmp_path / "imports_well.py").write_text("class Lost(Exception): pass")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(rebuild(Failure(type="Lost", module="breaks_on_import", message="m")), RemoteError)
    again = rebuild(Failure(type="Lost", module="imports_well", message="m"))
    assert type(again).__name__ == "Lost"
    assert str(again) == "m"


def test_an_error_travels_between_processes() -> None:
    program = (
        "import sys; from tests.runtime.data.test_failure import *\n"
        "sys.stdout.buffer.write(encode_failure(describe(raised(Declined(7, 'there')))))"
    )
    data = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ).stdout
    again = rebuild(decode_failure(data))
    assert type(again) is Declined
    assert again.code == 7


def test_large_arguments_are_left_out_and_the_message_stands_for_them() -> None:
    failure = describe(ValueError(["x" * 100_000]))
    assert failure.args is None
    assert len(encode_failure(failure)) < 64_000
    assert isinstance(rebuild(failure), ValueError)


def test_bytes_that_are_no_failure_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not the description of an error"):
        decode_failure(b'{"type":1}')


@pytest.mark.parametrize("data", [b'{"type":"\xff","module":"","message":""}', b'{"cause":' * 20_000])
def test_a_failure_whose_bytes_are_no_text_or_nest_without_end_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="this is not the description of an error"):
        decode_failure(data)
