"""Which namespaces there are is read from the runs, however many of each there are."""

from __future__ import annotations

from keepstep.journal import Journal, narrowed_journal
from tests.journal.scene import new_run


async def test_namespaces_are_listed_by_name_and_page_by_page(journal: Journal) -> None:
    assert await journal.list_namespaces() == []
    for n, namespace in enumerate(("shop", "default", "Zoo", "shop", "ähre", "shop:schedules")):
        await journal.start(new_run(f"w{n}", namespace=namespace))
    names = ["Zoo", "default", "shop", "shop:schedules", "ähre"]
    assert await journal.list_namespaces() == names
    assert await journal.list_namespaces(limit=2) == names[:2]
    assert await journal.list_namespaces("default", 2) == names[2:4]
    assert await journal.list_namespaces("ähre") == []


async def test_who_lives_in_a_namespace_sees_it_and_what_is_beside_it_alone(journal: Journal) -> None:
    for n, namespace in enumerate(("shop", "default", "shop:schedules")):
        await journal.start(new_run(f"w{n}", namespace=namespace))
    assert await narrowed_journal(journal, "shop", "shop:schedules").list_namespaces() == ["shop", "shop:schedules"]
    assert await narrowed_journal(journal, "empty").list_namespaces() == []
