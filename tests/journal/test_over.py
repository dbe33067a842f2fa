"""What is over, empty or not there is answered plainly by every store."""

from __future__ import annotations

import pytest

from keepstep.journal import Commit, Conflict, Fenced, Hint, Journal, NewMessage, TooLarge, limits
from tests.journal.scene import advance, get, lease, new_run, start_owned


async def test_a_lease_id_cannot_be_opened_twice(journal: Journal) -> None:
    await journal.open_lease(lease("L"))
    with pytest.raises(Conflict, match="every opening needs an id of its own"):
        await journal.open_lease(lease("L"))


async def test_a_lease_that_is_over_claims_and_takes_nothing(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.close_lease("L")
    for claiming in (
        journal.claim_runs("L", 10),
        journal.claim_tasks("L", ("q",), ("step",), 10),
        journal.probe("L", run.run_id),
    ):
        with pytest.raises(Fenced):
            await claiming
    assert await journal.next_wake("L") is None


async def test_who_asks_for_nothing_is_given_nothing(journal: Journal) -> None:
    await journal.open_lease(lease("L"))
    await journal.start(new_run())
    assert await journal.claim_runs("L", 0) == []
    assert await journal.claim_runs("L", 10, ()) == []
    assert await journal.next_wake("L", ()) is None
    assert await journal.claim_tasks("L", (), ("step",), 10) == []
    assert await journal.claim_tasks("L", ("q",), (), 10) == []
    assert await journal.take_asks("L", 10) == []
    assert len(await journal.claim_runs("L", 10)) == 1


async def test_closing_a_lease_twice_changes_nothing(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.close_lease("L")
    after = await get(journal, run.run_id)
    await journal.close_lease("L")
    await journal.close_lease("never opened")
    assert await get(journal, run.run_id) == after


async def test_only_who_listens_can_stop_listening(journal: Journal) -> None:
    heard: list[Hint] = []
    journal.unlisten(heard.append)
    journal.listen(heard.append)
    journal.unlisten(heard.append)
    journal.unlisten(heard.append)
    await journal.start(new_run())
    assert heard == []


async def test_a_start_with_more_messages_than_an_inbox_holds_is_refused(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOX_MESSAGES_MAX", 2)
    said = NewMessage(kind="signal", name="word")
    await journal.start(new_run("fits", messages=(said, said)))
    with pytest.raises(TooLarge, match="more than 2 messages"):
        await journal.start(new_run("does not fit", messages=(said, said, said)))
    assert await journal.find_run("default", "does not fit") is None


async def test_a_start_with_a_longer_history_than_allowed_is_refused(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HISTORY_EVENTS_MAX", 0)
    with pytest.raises(TooLarge, match="starts with 1 events, more than 0"):
        await journal.start(new_run())


async def test_a_commit_that_fails_leaves_its_id_unknown(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, id="happened")
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch + 1, id="did not"))
    assert await journal.was_committed("happened")
    assert not await journal.was_committed("did not")
