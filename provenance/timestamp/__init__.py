"""RFC 3161 time stamps: whom we ask, and a relay on loopback through which the C2PA SDK asks them."""

from provenance.timestamp._authority import Authority, http_authority, read_roots
from provenance.timestamp._breaker import Breaker
from provenance.timestamp._development import DEVELOPMENT, dev_authority
from provenance.timestamp._relay import Relay, relay

__all__ = [
    "DEVELOPMENT",
    "Authority",
    "Breaker",
    "Relay",
    "dev_authority",
    "http_authority",
    "read_roots",
    "relay",
]
