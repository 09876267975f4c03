"""The pages of the console in a real browser, by the rules of axe-core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import url_contains
from selenium.webdriver.support.wait import WebDriverWait

from core.state import State
from core.tables import Consent, ConsentUse, KeptReference
from tests.api.test_console import held, hit, match
from tests.api.test_verify_browser import browser, served, violations
from tests.api.world import PASSWORD, World, make_world
from tests.audits.searched import put
from tests.conftest import ManualClock

PAGES = {
    "ann": ["/console/", "clip", "/console/consents", "consent"],
    "ada": [
        "/console/",
        "clip",
        "/console/consents",
        "consent",
        "/console/policies",
        "/console/users",
        "/console/keys",
        "/console/grants",
        "/console/audit",
        "/console/audit/entries/1",
        "/console/nothing",
    ],
    "cleo": ["/console/audit", "/console/audit/entries/1"],
}

SIGN_IN_S = 60


@dataclass
class Site:
    """A running installation: its address, and the paths of the pages that have an id in them."""

    home: str
    paths: dict[str, str]


def _furnished(world: World) -> dict[str, str]:
    """Have something of everything that a page can show: matches of both kinds, a kept reference, a used grant."""
    person = world.person()
    consent = world.consent(person)
    job = held(world, hit(**match(person)), hit(grave=True, **match(person, "voice")), transcript={})
    sealed = world.tools.vault.seal(person, b"x", about="reference|likeness", kind="person", now_ms=0)
    world.add(KeptReference(identity=person, kind="likeness", sealed=sealed, created_ms=0))
    released = world.place(State.RELEASED)
    world.rule(released)
    world.add(ConsentUse(consent=consent, job=released.id))
    put(
        world.log,
        {"tag": "request:received", "partner": "acme", "job": released.id},
        {"tag": "clip:held", "partner": "acme", "job": job.id, "actor": "reviewer:ann"},
    )
    for name, role in (("ann", "reviewer"), ("ada", "admin"), ("cleo", "auditor")):
        world.reviewer(name, role=role)
    world.integrate()
    assert world.rows(Consent)
    return {"clip": f"/console/clips/{job.id}", "consent": f"/console/consents/{consent}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    world = make_world(tmp_path_factory.mktemp("site"), ManualClock())
    paths = _furnished(world)
    with served(world) as address:
        yield Site(address, paths)
    world.tools.store.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    made = browser(tmp_path_factory.mktemp("console"))
    yield made
    made.quit()


def sign_in(page: webdriver.Chrome, site: Site, name: str) -> None:
    page.delete_all_cookies()
    page.get(f"{site.home}/console/login")
    page.find_element(By.NAME, "name").send_keys(name)
    page.find_element(By.NAME, "password").send_keys(PASSWORD)
    page.find_element(By.CSS_SELECTOR, "main form button, form button").click()
    # A click may return before its form is answered, and to go on to a page then is to drop the answer's cookie.
    WebDriverWait(page, SIGN_IN_S).until_not(url_contains("/console/login"))


def test_axe_has_nothing_against_the_page_to_sign_in(page: webdriver.Chrome, site: Site) -> None:
    page.get(f"{site.home}/console/login")
    assert violations(page) == []


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_has_nothing_against_any_page(page: webdriver.Chrome, site: Site, name: str) -> None:
    sign_in(page, site, name)
    against = {}
    for path in PAGES[name]:
        page.get(site.home + site.paths.get(path, path))
        assert "login" not in page.current_url
        against[path] = violations(page)
    assert against == {path: [] for path in PAGES[name]}


def test_the_page_of_a_held_clip_shows_what_it_is_held_for(page: webdriver.Chrome, site: Site) -> None:
    """So that the page that axe had nothing against was the one with everything on it."""
    sign_in(page, site, "ann")
    page.get(site.home + site.paths["clip"])
    assert page.find_elements(By.TAG_NAME, "img")
    assert page.find_elements(By.TAG_NAME, "audio")
    assert page.find_elements(By.TAG_NAME, "form")
    page.execute_script("document.querySelector('img').removeAttribute('alt')")
    assert {"image-alt"} <= {one.partition(":")[0] for one in violations(page)}, "the control"
