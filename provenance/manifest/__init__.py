"""C2PA manifests: sign a finished file, and read one with a trust decision of our own."""

from provenance.manifest._read import IngredientReading, ManifestReading, read
from provenance.manifest._shape import AUDIO_ALG, VIDEO_ALG, Claim, Parent, binding_payload, binding_value
from provenance.manifest._sign import SignedManifest, sign

__all__ = [
    "AUDIO_ALG",
    "VIDEO_ALG",
    "Claim",
    "IngredientReading",
    "ManifestReading",
    "Parent",
    "SignedManifest",
    "binding_payload",
    "binding_value",
    "read",
    "sign",
]
