"""The C2PA Soft Binding Resolution API (2.4): from a watermark, a fingerprint or a file to its manifest.

Anyone may ask. The specification knows a scope `fetch:manifests` for services that keep their manifests to
themselves; ours stand in files that are public, name no person, and are looked for by people who hold a file
and no account. Only released clips are ever answered with; one that was withdrawn since says so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.auth import FreeDecoders, FreeFetchers, GateTools
from api.binding_schemas import (
    ALG,
    BASE64,
    Algorithm,
    BindingQuery,
    Capabilities,
    Discovery,
    ManifestMatch,
    Matches,
    ReferenceQuery,
    Status,
    SupportedAlgorithms,
)
from api.problems import answers
from api.uploads import Decoders, scratch_path, stored_body
from core.errors import BadMedia, BadQuery, NotFound, UnknownType
from pipeline import credentials
from pipeline.matching import FINGERPRINTS, MAX_RESULTS, WATERMARKS, Binding, Found, binding, known
from pipeline.reference import Fetcher
from pipeline.tools import Tools
from provenance.manifest import active_manifest

SPECIFICATION = "2.4.0"
BY_CONTENT = "/v1/matches/byContent"
_PATIENCE_SECONDS = 5.0
_MAX_URL_BYTES = 8192
_MAX_LABEL = 512
_C2PA = "application/c2pa"
_TYPES = ("video/*", "audio/*", "image/*", "application/octet-stream", "application/mp4")


class _Route(APIRoute):
    """Answers a query that does not parse with 400, as the specification has it, where our own API says 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await plain(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise BadQuery(f"{where}: {first['msg']}") from error

        return handled


router = APIRouter(
    route_class=_Route,
    tags=["soft binding resolution"],
    responses=answers(400, 405, 500, 503),
)


MaxResults = Annotated[
    int, Query(alias="maxResults", ge=1, description=f"At most {MAX_RESULTS} are given, whatever is asked.")
]
Alg = Annotated[str | None, Query(description="Look by this algorithm only.", json_schema_extra=ALG)]
HintAlg = Annotated[
    str | None, Query(alias="hintAlg", description="With hintValue: asked if nothing is found.")
]
HintValue = Annotated[str | None, Query(alias="hintValue")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a query by content wants, checked before a file is taken in."""

    alg: str | None
    hint: Binding | None
    limit: int

    @classmethod
    def of(cls, alg: str | None, hint_alg: str | None, hint_value: str | None, limit: int) -> Self:
        hint = binding(hint_alg, hint_value) if hint_alg and hint_value else None
        return cls(None if alg is None else known(alg), hint, min(limit, MAX_RESULTS))

    def answered(self, tools: Tools, decoders: Decoders, path: Path) -> Matches:
        with decoders.one(wait_seconds=_PATIENCE_SECONDS):
            try:
                return _told(tools.matcher.by_content(path, self.limit, alg=self.alg, hint=self.hint))
            except BadMedia as error:
                raise BadQuery(error.message) from error


@router.get(
    "/v1/matches/byBinding",
    response_model=Matches,
    response_model_exclude_none=True,
    responses=answers(414, 429),
)
def get_by_binding(
    request: Request,
    tools: GateTools,
    decoders: FreeDecoders,
    alg: Annotated[str, Query(json_schema_extra=ALG)],
    value: Annotated[str, Query(json_schema_extra=BASE64)],
    max_results: MaxResults = 10,
) -> Matches:
    """Find the manifests that a soft binding leads to."""
    if len(request.url.query) > _MAX_URL_BYTES:
        raise HTTPException(414, "The query is too long for an address; send it with POST.")
    return _resolved(tools, decoders, binding(alg, value), max_results)


@router.post(
    "/v1/matches/byBinding",
    response_model=Matches,
    response_model_exclude_none=True,
    responses=answers(413, 429),
)
def post_by_binding(
    tools: GateTools, decoders: FreeDecoders, query: BindingQuery, max_results: MaxResults = 10
) -> Matches:
    """Find the manifests that a soft binding leads to, however long its value is."""
    return _resolved(tools, decoders, binding(query.alg, query.value), max_results)


def _resolved(tools: GateTools, decoders: FreeDecoders, asked: Binding, limit: int) -> Matches:
    if asked.alg in WATERMARKS:
        return _told(tools.matcher.by_binding(asked, min(limit, MAX_RESULTS)))
    # Comparing with every clip takes a core for a while, like decoding.
    with decoders.one(wait_seconds=_PATIENCE_SECONDS):
        return _told(tools.matcher.by_binding(asked, min(limit, MAX_RESULTS)))


@router.post(
    BY_CONTENT,
    response_model=Matches,
    response_model_exclude_none=True,
    responses=answers(413, 415, 429),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The asset. It is decoded in a sandbox, and nothing of it is kept.",
            "content": {mime: {"schema": {"type": "string", "format": "binary"}} for mime in _TYPES},
        }
    },
)
async def post_by_content(
    request: Request,
    tools: GateTools,
    decoders: FreeDecoders,
    alg: Alg = None,
    hint_alg: HintAlg = None,
    hint_value: HintValue = None,
    max_results: MaxResults = 10,
) -> Matches:
    """Find the manifests that the marks and fingerprints of a file lead to."""
    _checked_type(request.headers.get("content-type", ""))
    asked = _Asked.of(alg, hint_alg, hint_value, max_results)
    try:
        async with stored_body(request, tools) as path:
            return await run_in_threadpool(asked.answered, tools, decoders, path)
    except BadMedia as error:
        raise BadQuery(error.message) from error


@router.post(
    "/v1/matches/byReference",
    response_model=Matches,
    response_model_exclude_none=True,
    responses=answers(404, 413, 415, 429, 502),
)
def post_by_reference(
    tools: GateTools,
    decoders: FreeDecoders,
    fetchers: FreeFetchers,
    query: ReferenceQuery,
    alg: Alg = None,
    hint_alg: HintAlg = None,
    hint_value: HintValue = None,
    max_results: MaxResults = 10,
) -> Matches:
    """Fetch a file that an address leads to and find its manifests; see services/capabilities whether it is done."""
    if not tools.settings.fetch_references:
        raise NotFound("Files are not fetched here; send the file to matches/byContent.")
    limit = tools.settings.max_upload_mib << 20
    if query.assetLength > limit:
        raise HTTPException(413, f"At most {limit} bytes are accepted.")
    asked = _Asked.of(alg, hint_alg, hint_value, max_results)
    with scratch_path(tools) as path:
        with fetchers.one(wait_seconds=_PATIENCE_SECONDS):
            told = Fetcher(max_bytes=query.assetLength).fetch(query.referenceUrl, path)
        _checked_type(query.assetType or told)
        return asked.answered(tools, decoders, path)


def _checked_type(told: str) -> None:
    mime = told.partition(";")[0].strip().lower()
    if mime not in _TYPES and f"{mime.partition('/')[0]}/*" not in _TYPES:
        raise UnknownType(f"Video, sound and pictures are read here, not {mime or 'a body without a type'}.")


def _told(found: list[Found]) -> Matches:
    return Matches(
        matches=[
            ManifestMatch(
                manifestId=one.label, similarityScore=one.score, withdrawn=True if one.withdrawn else None
            )
            for one in found
        ]
    )


@router.get(
    "/v1/manifests/{manifestId}",
    response_class=Response,
    responses=answers(404) | {200: {"content": {_C2PA: {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_manifest(
    tools: GateTools,
    manifest_id: Annotated[str, InPath(alias="manifestId")],
    active_only: Annotated[bool, Query(alias="returnActiveManifest")] = False,
) -> Response:
    """Give the manifest store of a released clip, or its active manifest alone."""
    if len(manifest_id) > _MAX_LABEL or not manifest_id.isprintable():
        raise BadQuery("This is no manifest id.")
    with tools.store.reading() as session:
        found = credentials.manifest(session, manifest_id)
    if found is None:
        raise NotFound("There is no such manifest here.")
    store, withdrawn = found
    headers = {"Greenlight-Withdrawn": "true"} if withdrawn else {}
    return Response(active_manifest(store) if active_only else store, media_type=_C2PA, headers=headers)


@router.get("/v1/services/supportedAlgorithms")
def get_algorithms() -> SupportedAlgorithms:
    """List the soft bindings that can be asked for."""
    return SupportedAlgorithms(
        watermarks=[Algorithm(alg=alg) for alg in WATERMARKS],
        fingerprints=[Algorithm(alg=alg) for alg in FINGERPRINTS],
    )


@router.get("/v1/services/capabilities")
def get_capabilities(tools: GateTools) -> Capabilities:
    """List the optional parts of the specification that are here."""
    here = ["queryByContent"] + ["queryByReference"] * tools.settings.fetch_references
    return Capabilities(c2paSpecificationVersion=SPECIFICATION, supportedCapabilities=here)


@router.get("/v1/services/status")
def get_status(tools: GateTools) -> Status:
    """Say whether the database answers."""
    try:
        with tools.store.reading() as session:
            session.exec(select(1)).one()
    except OperationalError:
        return Status(status="down")
    return Status(status="ok")


@router.get("/.well-known/c2pa-soft-binding-resolution")
def get_discovery(request: Request) -> Discovery:
    """Say where this interface is, for whoever knows only the host."""
    endpoint = f"{str(request.base_url).rstrip('/')}/v1"
    return Discovery(
        apiEndpoint=endpoint,
        c2paSpecificationVersion=SPECIFICATION,
        capabilitiesEndpoint=f"{endpoint}/services/capabilities",
        statusEndpoint=f"{endpoint}/services/status",
    )
