from __future__ import annotations

import pytest

from core.tables import ApiKey
from tests.api.world import World

BAD = {
    "none": None,
    "empty": "",
    "no scheme": "glk_0123456789ab_secret",
    "wrong scheme": "Basic Z2xrOmtleQ==",
    "not ours": "Bearer sk-0123456789",
    "unknown": "Bearer glk_0123456789ab_secret",
    "too few parts": "Bearer glk_0123456789ab",
    "not ASCII": "Bearer glk_0123456789ab_\u00fc\u00df",
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_a_key_that_is_none_is_refused(world: World, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = world.client.get("/v1/generations", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_lets_in_until_it_is_changed_or_revoked(world: World) -> None:
    assert world.client.get("/v1/generations", headers=world.acme).status_code == 200
    wrong = {"Authorization": world.acme["Authorization"][:-1] + "!"}
    assert world.client.get("/v1/generations", headers=wrong).status_code == 401
    mixed = world.acme["Authorization"].split("_")[:2] + world.other["Authorization"].split("_", 2)[2:]
    assert world.client.get("/v1/generations", headers={"Authorization": "_".join(mixed)}).status_code == 401
    with world.tools.store.session() as session:
        for key in world.rows(ApiKey):
            key.revoked = True
            session.merge(key)
        session.commit()
    assert world.client.get("/v1/generations", headers=world.acme).status_code == 401


def test_only_an_argon2_hash_of_a_key_is_kept(world: World) -> None:
    secret = world.acme["Authorization"].split("_", 2)[2].encode()
    assert all(key.secret_hash.startswith("$argon2id$") for key in world.rows(ApiKey))
    stored = [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]
    assert not any(secret in content for content in stored)
    public = world.acme["Authorization"].split("_")[1].encode()
    assert any(public in content for content in stored), "the control: the public half is found"
