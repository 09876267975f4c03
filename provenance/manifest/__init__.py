"""C2PA manifests: sign a finished file, stamp it later, and read one with a trust decision of our own."""

from provenance.manifest._boxes import active_manifest
from provenance.manifest._history import IngredientReading
from provenance.manifest._media import Medium, medium
from provenance.manifest._read import ManifestReading, read
from provenance.manifest._shape import (
    AUDIO_ALG,
    VIDEO_ALG,
    Claim,
    Origin,
    Parent,
    binding_payload,
    binding_value,
)
from provenance.manifest._sign import SignedManifest, sign, stamp

__all__ = [
    "AUDIO_ALG",
    "VIDEO_ALG",
    "Claim",
    "IngredientReading",
    "ManifestReading",
    "Medium",
    "Origin",
    "Parent",
    "SignedManifest",
    "active_manifest",
    "binding_payload",
    "binding_value",
    "medium",
    "read",
    "sign",
    "stamp",
]
