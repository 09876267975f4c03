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
    "c2pa.time-stamp",
    "org.greenlight.generation",
    "org.greenlight.tracks",
]

_MERKLE_KIB = 1024
_IN_MEMORY_MIB = 64


def settings(claim_roots_pem: str, tsa_roots_pem: str = "", *, tree: bool = False) -> dict[str, Any]:
    """Give settings that fetch nothing, trust only these roots and hash everything that can be hashed.

    With a `tree` an MP4 is hashed in a tree of chunks, which bounds the memory.
    """
    lists = ((claim_roots_pem, "manifest", CLAIM_LIST), (tsa_roots_pem, "tsa", TSA_LIST))
    anchors = [
        {"trust_anchors": pem, "trust_kind": kind, "trust_uri": uri}
        for pem, kind, uri in lists
        if pem.strip()
    ]
    return {
        "version": 1,
        "core": {
            "allowed_network_hosts": [],
            # the SDK holds a file twice in memory up to this size, beyond it in an unlinked temporary file
            "backing_store_memory_threshold_in_mb": _IN_MEMORY_MIB,
            **({"merkle_tree_chunk_size_in_kb": _MERKLE_KIB} if tree else {}),
        },
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {
            "thumbnail": {"enabled": False},
            "created_assertion_labels": _CREATED,
            "bmff_hash_exclude_free_and_skip_boxes": False,
        },
        "trust": {"trust_config": _PURPOSES, "anchors": anchors},
    }


def stamping(claim_roots_pem: str, relay: str) -> dict[str, Any]:
    """Give settings under which an update manifest brings time stamps, asked for at the address `relay`."""
    told = settings(claim_roots_pem)
    told["core"]["allowed_network_hosts"] = [relay]  # scheme, host and port, or it is refused
    told["builder"]["auto_timestamp_assertion"] = {
        "enabled": True,
        "skip_existing": False,
        "fetch_scope": "all",
    }
    return told
