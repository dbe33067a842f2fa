"""Hands in two expenses, as browsers would, on a database that is made if it is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from fastapi.testclient import TestClient

from .web import create_app


def hand_in(browser: TestClient) -> Iterator[str]:
    """What happens, in words."""
    browser.put("/expenses/e-1", json={"who": "ann", "cents": 1200, "what": "taxi"})
    yield f"small: {browser.get('/expenses/e-1?wait=30').json()['text']}"
    dear = {"who": "ben", "cents": 90_000, "what": "conference"}
    yield f"handed in: {browser.put('/expenses/e-2', json=dear).json()['id']}"
    yield f"refused by the form: {browser.put('/expenses/e-3', json={**dear, 'cents': -1}).status_code}"
    while not (waiting := browser.get("/decisions").json()):
        pass
    yield f"to decide: {waiting[0]['title']}"
    yield f"meanwhile: {browser.get('/expenses/e-2?wait=0.1').json()['status']}"
    browser.post(f"/decisions/{waiting[0]['token']}", json={"approved": False, "remark": "stay here"})
    answer = browser.get("/expenses/e-2?wait=30").json()
    yield f"decided: paid is {answer['paid']}, {answer['text']!r}"
    yield f"no such decision: {browser.post('/decisions/abc', json={'approved': True}).status_code}"


if __name__ == "__main__":
    with TestClient(create_app(sys.argv[1] if len(sys.argv) > 1 else "memory:")) as browser:
        for line in hand_in(browser):
            print(line)
