"""Settings of the C2PA SDK (0.38.1; unknown keys are silently accepted there, so tests pin their effect)."""

from __future__ import annotations

from typing import Any

CLAIM_LIST = "urn:greenlight:claim"
"""Names our list of claim roots in the SDK's results; the only list that makes a manifest trusted."""
TSA_LIST = "urn:greenlight:tsa"
"""Names our list of time-stamp roots."""

# claimSigning, documentSigning, emailProtection; the SDK does not know claimSigning by itself
_PURPOSES = "1.3.6.1.4.1.62558.2.1\n1.3.6.1.5.5.7.3.36\n1.3.6.1.5.5.7.3.4\n"

_CREATED = [
    "c2pa.actions",
    "c2pa.soft-binding",
    "c2pa.ingredient",
    "cawg.training-mining",
    "c2pa.ai-disclosure",
    "org.greenlight.generation",
]


def settings(claim_roots_pem: str, tsa_roots_pem: str = "") -> dict[str, Any]:
    """Give settings that fetch nothing, trust only these roots and hash everything that can be hashed."""
    lists = ((claim_roots_pem, "manifest", CLAIM_LIST), (tsa_roots_pem, "tsa", TSA_LIST))
    anchors = [
        {"trust_anchors": pem, "trust_kind": kind, "trust_uri": uri}
        for pem, kind, uri in lists
        if pem.strip()
    ]
    return {
        "version": 1,
        "core": {"allowed_network_hosts": []},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {
            "thumbnail": {"enabled": False},
            "created_assertion_labels": _CREATED,
            "bmff_hash_exclude_free_and_skip_boxes": False,
        },
        "trust": {"trust_config": _PURPOSES, "anchors": anchors},
    }
