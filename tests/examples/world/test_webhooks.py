"""Calling back."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from examples.order_fulfilment.world.books import Books
from examples.order_fulfilment.world.webhooks import ATTEMPTS_MAX, Webhooks

from .town import Arranged

URL = "http://one/callbacks/token"
Answers = Callable[[httpx2.Request], httpx2.Response]


class Post:
    """Webhooks whose receiver and whose time are the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.books = Books(path, 0)
        self.mischief = Arranged()
        self.received: list[str] = []
        self.answers: list[int | Exception] = []
        self.due: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.receive))

    def receive(self, request: httpx2.Request) -> httpx2.Response:
        self.received.append(str(request.url))
        answer = self.answers.pop(0) if self.answers else 202
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer)

    async def call(self, *doors: str) -> None:
        webhooks = Webhooks(self.books, self.mischief, lambda s, doing: self.due.append((s, doing)), self.client, doors)
        await webhooks("a", "item picked", URL, {"by": "Ada"})

    async def time_passes(self) -> list[float]:
        pauses = []
        while self.due:
            seconds, doing = self.due.pop(0)
            pauses.append(seconds)
            await doing()
        return pauses

    def noted(self) -> list[tuple[int, str]]:
        with sqlite3.connect(self.path) as db:
            return list(db.execute("SELECT attempt, outcome FROM deliveries ORDER BY id"))


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    post = Post(tmp_path / "books.db")
    yield post
    post.books.close()


async def test_what_is_taken_is_said_once(post: Post) -> None:
    await post.call()
    assert await post.time_passes() == []
    assert post.received == [URL]
    assert post.noted() == [(1, "202")]


async def test_while_nobody_answers_it_is_said_again_with_longer_pauses(post: Post) -> None:
    post.answers = [*[httpx2.ConnectError("refused")] * 3, 500]
    await post.call()
    pauses = await post.time_passes()
    assert pauses == sorted(pauses)
    assert len(pauses) == 4
    assert post.noted() == [(1, "ConnectError"), (2, "ConnectError"), (3, "ConnectError"), (4, "500"), (5, "202")]


@pytest.mark.parametrize("status", [200, 202, 204, 409, 410])
async def test_an_answer_that_settles_it_ends_the_repeating(post: Post, status: int) -> None:
    post.answers = [status]
    await post.call()
    assert await post.time_passes() == []


async def test_some_things_are_said_twice_though_they_were_taken(post: Post) -> None:
    post.mischief.twice = True
    await post.call()
    assert post.received == [URL, URL]


async def test_the_other_doors_are_tried_when_the_first_stays_shut(post: Post) -> None:
    post.answers = [httpx2.ConnectError("refused")] * 2
    await post.call("http://one", "http://two")
    await post.time_passes()
    assert post.received == [URL, "http://two/callbacks/token", URL]


async def test_the_repeating_has_an_end(post: Post) -> None:
    post.answers = [503] * (2 * ATTEMPTS_MAX)
    await post.call()
    await post.time_passes()
    assert len(post.received) == ATTEMPTS_MAX
