"""The public page in a real browser: without scripts, by keyboard, and by the rules of axe-core."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait

from api.verify_page import HEADLINES
from core.errors import BadMedia
from tests.api.test_verify_page import report
from tests.api.world import World, make_world
from tests.conftest import ManualClock

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


def looked(path: Path) -> Any:
    """Read the verdict that the test wrote into the file."""
    verdict = path.read_text()
    if verdict == "broken":
        raise BadMedia("It is not media that can be read.")
    return report(verdict)  # type: ignore[arg-type]  # a verdict by the test's own hand


@contextmanager
def served(world: World) -> Iterator[str]:
    """Serve a world to a browser, and give the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(world.client.app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = make_world(tmp_path_factory.mktemp("home"), ManualClock())
    world.client.app.state.tools = replace(world.tools, verify_untrusted=looked)
    with served(world) as address:
        yield f"{address}/verify"
    world.tools.store.close()


def browser(folder: Path, **preferences: Any) -> webdriver.Chrome:
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run with chromium and chromedriver")
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"):
        options.add_argument(f"--{flag}")
    for flag in ("disable-background-networking", "disable-component-update", f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    options.add_argument("--window-size=900,1400")
    options.add_experimental_option("prefs", preferences)
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    made = browser(tmp_path_factory.mktemp("scripted"))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    made = browser(tmp_path_factory.mktemp("plain"), **NO_SCRIPTS)
    yield made
    made.quit()


def hand_in(page: webdriver.Chrome, home: str, folder: Path, verdict: str) -> None:
    """Choose a file and press the button, with the keyboard alone."""
    file = folder / "clip.mp4"
    file.write_text(verdict)
    page.get(home)
    page.find_element(By.ID, "file").send_keys(str(file))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    page.find_element(By.CSS_SELECTOR, "form button").send_keys(Keys.ENTER)
    answered = expected_conditions.presence_of_element_located((By.CSS_SELECTOR, "#verdict, [role=alert]"))
    WebDriverWait(page, 30).until(answered)


def violations(page: webdriver.Chrome) -> list[str]:
    """Run axe-core on what the page shows."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None
    assert found.submodule_search_locations is not None
    page.execute_script((Path(next(iter(found.submodule_search_locations))) / "axe.min.js").read_text())
    call = "axe.run(document, arguments[0]).then(arguments[arguments.length - 1])"
    result = page.execute_async_script(call, RULES)
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in result["violations"]]


def test_it_works_without_scripts(plain: webdriver.Chrome, home: str, tmp_path: Path) -> None:
    hand_in(plain, home, tmp_path, "verified")
    assert plain.find_element(By.ID, "verdict").text == HEADLINES["verified"]
    hand_in(plain, home, tmp_path, "broken")
    assert "not media" in plain.find_element(By.CSS_SELECTOR, "[role=alert]").text


@pytest.mark.parametrize("verdict", ["", "verified", "tampered", "broken"])
def test_axe_finds_nothing_to_object_to(
    scripted: webdriver.Chrome, home: str, tmp_path: Path, verdict: str
) -> None:
    scripted.get(home)
    if verdict:
        hand_in(scripted, home, tmp_path, verdict)
    assert violations(scripted) == []


def test_axe_does_object_to_a_page_that_is_not_accessible(scripted: webdriver.Chrome, home: str) -> None:
    scripted.get(home)
    scripted.execute_script("document.querySelector('label').remove(); document.body.style.color = '#bbb'")
    assert {"label", "color-contrast"} <= {one.partition(":")[0] for one in violations(scripted)}


def test_the_focus_can_be_seen_and_goes_in_reading_order(scripted: webdriver.Chrome, home: str) -> None:
    scripted.get(home)
    order = []
    for _ in range(3):
        ActionChains(scripted).send_keys(Keys.TAB).perform()
        focused = scripted.switch_to.active_element
        order.append(focused.tag_name)
        assert focused.value_of_css_property("outline-style") == "solid"
    assert order == ["a", "input", "button"]
