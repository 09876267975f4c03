"""A time-stamp authority for development: it answers with this machine's clock, which proves nothing to others."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from asn1crypto import cms, tsp, x509
from cryptography.hazmat.primitives.serialization import Encoding

from core.clock import Clock
from core.errors import BadInput
from provenance.keys import Credential, dev_stamper, open_signer
from provenance.timestamp._authority import Authority

DEVELOPMENT = "development"
"""Asked for by this name instead of an address."""

_SECONDS = 2.0
_POLICY = "1.3.6.1.4.1.62558.1.1"


def dev_authority(folder: Path, clock: Clock) -> Authority:
    """Open the development authority under `folder`, making it on first use; raise `KeyMissing` if it is broken."""
    credential = dev_stamper(folder, clock)
    return Authority(_Stamper(credential, clock), credential.certificates.roots_pem, _SECONDS)


@dataclass(frozen=True, slots=True)
class _Stamper:
    credential: Credential
    clock: Clock

    def __call__(self, request: bytes) -> bytes:
        """Answer a TimeStampReq (RFC 3161, section 2.4); raise `BadInput` when it is none."""
        try:
            content = tsp.TSTInfo(self._told(tsp.TimeStampReq.load(request, strict=True)))
        except (ValueError, TypeError) as error:
            raise BadInput("The request is no RFC 3161 time-stamp request.") from error
        token = cms.ContentInfo({"content_type": "signed_data", "content": self._signed(content)})
        answer = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
        return bytes(answer.dump())

    def _told(self, asked: tsp.TimeStampReq) -> dict[str, object]:
        told: dict[str, object] = {
            "version": "v1",
            "policy": _POLICY,
            "message_imprint": asked["message_imprint"],
            "serial_number": secrets.randbits(63),
            "gen_time": self.clock.now().replace(microsecond=0),
        }
        return told if asked["nonce"].native is None else told | {"nonce": asked["nonce"]}

    def _signed(self, content: tsp.TSTInfo) -> cms.SignedData:
        leaf = self.credential.certificates.leaf.public_bytes(Encoding.DER)
        named = x509.Certificate.load(leaf)
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(content.dump()).digest()]},
                # names the certificate inside what is signed (RFC 5816)
                {"type": "signing_certificate_v2", "values": [{"certs": [_hashed(leaf)]}]},
            ]
        )
        signer = {
            "version": "v1",
            "sid": cms.IssuerAndSerialNumber({"issuer": named.issuer, "serial_number": named.serial_number}),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": open_signer(self.credential.custody)(attributes.dump()),
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {"content_type": "tst_info", "content": content},
                "certificates": [named],
                "signer_infos": [signer],
            }
        )


def _hashed(leaf: bytes) -> dict[str, bytes]:
    return {"cert_hash": hashlib.sha256(leaf).digest()}
