"""When leases are renewed: in time, at once if somebody asks for it, and never where nothing can be written."""

from __future__ import annotations

from keepstep.journal.writing.renewal import Renewals


def test_somebody_who_doubts_a_lease_has_all_of_them_renewed_at_once() -> None:
    renewals = Renewals(lambda: 100.0)
    renewals.keep("L", 3.0)
    assert not renewals.is_due()
    renewals.hasten()
    assert renewals.is_due()


def test_where_there_is_no_lease_nothing_becomes_due() -> None:
    renewals = Renewals(lambda: 100.0)
    renewals.hasten()
    assert not renewals.is_due()


def test_where_renewal_is_suspended_nobody_hastens_it_so_that_its_writer_rests() -> None:
    renewals = Renewals(lambda: 100.0)
    renewals.keep("L", 3.0)
    renewals.suspend()
    renewals.hasten()
    assert not renewals.is_due()
    assert renewals.seconds_left() == float("inf")
