"""Sign inside a PKCS#11 token (an HSM, a smart card, SoftHSM): the key never leaves it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import KeyMissing


class TokenSigner:
    """Sign with ECDSA on a token, one thread at a time over one session.

    A session is opened when it is first needed and again after it was lost: the token may be unplugged,
    restarted or logged out by its administrator while we run.
    """

    def __init__(self, module: Path, token: str, label: str, pin: Callable[[], str]) -> None:
        self._module, self._token, self._label, self._pin = module, token, label, pin
        self._lock = threading.Lock()
        self._session: Any = None
        self._key: Any = None

    def __call__(self, data: bytes) -> bytes:
        """Give the raw r||s signature of `data`; raises `KeyMissing`."""
        from pkcs11 import Mechanism
        from pkcs11.exceptions import PKCS11Error

        digest = hashlib.sha256(data).digest()
        with self._lock:
            fresh = self._session is None
            try:
                return bytes(self._opened().sign(digest, mechanism=Mechanism.ECDSA))
            except (PKCS11Error, RuntimeError) as error:
                self._close()
                if fresh:
                    raise self._missing(error) from error
            try:  # the session was an old one: what it was opened on may be back
                return bytes(self._opened().sign(digest, mechanism=Mechanism.ECDSA))
            except (PKCS11Error, RuntimeError) as error:
                self._close()
                raise self._missing(error) from error

    def _opened(self) -> Any:
        if self._session is None:
            self._session = self._login()
            self._key = self._found(self._session)
        return self._key

    def _login(self) -> Any:
        import pkcs11
        from pkcs11.exceptions import NoSuchToken, PKCS11Error, UserAlreadyLoggedIn

        library = pkcs11.lib(str(self._module))
        try:
            token = library.get_token(token_label=self._token)
        except (NoSuchToken, PKCS11Error):
            library.reinitialize()  # some libraries look for tokens only when they start
            token = library.get_token(token_label=self._token)
        try:
            return token.open(user_pin=self._pin())
        except UserAlreadyLoggedIn:  # another key of ours on this token: its login holds for us
            return token.open()

    def _found(self, session: Any) -> Any:
        from pkcs11 import ObjectClass

        return session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._label)

    def _close(self) -> None:
        from pkcs11.exceptions import PKCS11Error

        session, self._session, self._key = self._session, None, None
        if session is not None:
            with suppress(PKCS11Error):  # what is lost cannot be closed
                session.close()

    def _missing(self, error: Exception) -> KeyMissing:
        return KeyMissing(f"The token {self._token} does not sign: {type(error).__name__}.")
