"""The bodies of the C2PA Soft Binding Resolution API, under the specification's own names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from pipeline.matching import FINGERPRINTS, WATERMARKS

# Said to whoever reads the description; what breaks them is told in words of our own.
ALG: dict[str, Any] = {"enum": [*WATERMARKS, *FINGERPRINTS]}
BASE64: dict[str, Any] = {
    "contentEncoding": "base64",
    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}


class BindingQuery(BaseModel):
    """A soft binding, for values that are too long for an address."""

    alg: str = Field(json_schema_extra=ALG)
    value: str = Field(json_schema_extra=BASE64)


class ReferenceQuery(BaseModel):
    """A file somewhere else, which is fetched over https."""

    referenceUrl: str = Field(max_length=2048)  # noqa: N815
    assetLength: int = Field(ge=1, description="Its size in bytes; a longer one is not read to its end.")  # noqa: N815
    assetType: str | None = Field(None, description="Its media type, where its host does not say.")  # noqa: N815


class ManifestMatch(BaseModel):
    """A manifest that was found: fetch it from /manifests/{manifestId}."""

    manifestId: str  # noqa: N815  # the specification's names
    similarityScore: int | None = Field(None, ge=0, le=100)  # noqa: N815
    withdrawn: bool | None = Field(None, description="True if the clip was withdrawn after its release.")


class Matches(BaseModel):
    """What a query led to, best first."""

    matches: list[ManifestMatch]


class Algorithm(BaseModel):
    """A soft binding algorithm by its name."""

    alg: str


class SupportedAlgorithms(BaseModel):
    """What can be asked for."""

    watermarks: list[Algorithm]
    fingerprints: list[Algorithm]


class Capabilities(BaseModel):
    """Which optional parts of the specification are here."""

    c2paSpecificationVersion: str  # noqa: N815
    supportedCapabilities: list[str]  # noqa: N815


class Status(BaseModel):
    """Whether questions are answered."""

    status: str = Field(json_schema_extra={"enum": ["ok", "down"]})


class Discovery(BaseModel):
    """Where the parts of this interface are."""

    apiEndpoint: str  # noqa: N815
    c2paSpecificationVersion: str  # noqa: N815
    capabilitiesEndpoint: str  # noqa: N815
    statusEndpoint: str  # noqa: N815
