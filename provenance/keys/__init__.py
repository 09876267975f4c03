"""Keys of this installation: claim signers behind a callback, their certificates, and the watermark keys."""

from provenance.keys._certificates import (
    CLAIM_SIGNING,
    Certificates,
    Credential,
    certificates_of,
    read_certificates,
)
from provenance.keys._custody import (
    Custody,
    PemKey,
    ProgramKey,
    TokenKey,
    custody_from,
    custody_json,
    open_signer,
)
from provenance.keys._development import dev_credential, dev_stamper
from provenance.keys._marks import make_mark_key, mark_key, mark_keys
from provenance.keys._open import SigningKeys, check_time, dev_keys, open_keys
from provenance.keys._profile import Departure, departures

__all__ = [
    "CLAIM_SIGNING",
    "Certificates",
    "Credential",
    "Custody",
    "Departure",
    "PemKey",
    "ProgramKey",
    "SigningKeys",
    "TokenKey",
    "certificates_of",
    "check_time",
    "custody_from",
    "custody_json",
    "departures",
    "dev_credential",
    "dev_keys",
    "dev_stamper",
    "make_mark_key",
    "mark_key",
    "mark_keys",
    "open_keys",
    "open_signer",
    "read_certificates",
]
