"""All configuration, read once, from the environment (`GREENLIGHT_…`) or a `.env` file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting, with the default that needs no service at all."""

    model_config = SettingsConfigDict(env_prefix="GREENLIGHT_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("var/data"), description="database, blobs, keys and the log of the embedded default"
    )
    models_dir: Path = Field(Path("var/models"), description="converted and downloaded models")
    checkpoints_dir: Path = Field(Path("var/checkpoints"), description="generator checkpoints")
    database_url: str = Field("", description="SQLAlchemy address; empty means SQLite in data_dir")
    keys_url: str = Field(
        "", description="SQLAlchemy address of the subjects' keys; empty means a file or table of their own"
    )
    broker_url: str = Field("", description="Celery broker (Redis or RabbitMQ); empty means embedded workers")
    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8000, description="port the API listens on")
    workers: int = Field(1, ge=1, description="embedded worker processes of `greenlight up`")
    engine: str = Field("sandbox", description="engine used when a request names none")
    policy_pack: Path | None = Field(None, description="policy pack; empty means the default pack")
    names_dir: Path | None = Field(
        None, description="folder of further name packs, each in a folder of its own"
    )
    names_keys: str = Field("", description="Ed25519 public keys, hex, that may sign name packs; by commas")
    prompt_guards: Path | None = Field(None, description="JSON list of guard models to ask beside ours")
    likeness_tier: Literal["embedded", "standard", "own"] = Field(
        "embedded", description="face models to screen with"
    )
    voice_tier: Literal["embedded", "own"] = Field(
        "embedded", description="voice models to screen with; own: an encoder that the operator mounted"
    )
    screen_seconds: float = Field(180.0, description="a detector that takes longer counts as hanging: held")
    lease_seconds: float = Field(120.0, description="a step that is not renewed for this long is taken over")
    max_attempts: int = Field(5, description="claims of one step before the request fails")
    delivery_crf: int = Field(18, ge=0, le=40, description="x264 quality of the one lossy encode")
    delivery_preset: str = Field("medium", description="x264 preset of the one lossy encode")
    max_upload_mib: int = Field(256, description="largest upload accepted")
    provider: str = Field("Greenlight", description="name or code of the provider that labels name")
    fetch_references: bool = Field(
        False, description="fetch files that strangers name, for matches/byReference"
    )
    signing_chain: Path | None = Field(
        None, description="PEM chain of the signing certificate; empty: development CA"
    )
    signing_key: Path | None = Field(None, description="PEM key of the signing certificate")
    signing_roots: Path | None = Field(None, description="PEM roots that our own manifests must chain to")
    signing_secret: Path | None = Field(
        None, description="file with the key's passphrase, or the token's PIN"
    )
    signing_module: Path | None = Field(None, description="PKCS#11 library of the HSM that keeps the key")
    signing_token: str = Field("", description="label of the PKCS#11 token")
    signing_token_key: str = Field("", description="label of the key in the token")
    signing_program: str = Field("", description="program that signs: the data on stdin, ES256 on stdout")
    signing_seconds: float = Field(10.0, gt=0, description="time limit of the signing program")
    signing_level: Literal["AL1", "AL2"] = Field("AL1", description="C2PA assurance level to check against")
    key_warning_days: int = Field(30, ge=0, description="days before its end that a certificate is announced")
    tsa_url: str = Field(
        "",
        description="RFC 3161 time-stamp authority; `development` for one of our own; empty: no time stamps",
    )
    tsa_roots: Path | None = Field(None, description="PEM roots of time-stamp authorities")
    tsa_seconds: float = Field(
        2.0, gt=0, description="a time-stamp authority that takes longer is done without"
    )
    log_origin: str = Field("greenlight.invalid/log", description="origin line of the audit log")
    witness_dir: Path | None = Field(
        None, description="key and database of the built-in witness; empty: in data_dir"
    )
    witness_database_url: str = Field(
        "", description="SQLAlchemy address of the witness's own database; empty: SQLite in its folder"
    )
    witnesses: Path | None = Field(
        None, description="file of outside witnesses: lines `witness NAME VKEY URL`"
    )
    witness_quorum: int = Field(
        1, ge=1, description="cosignatures a checkpoint needs, the built-in witness's among them"
    )
    log_mirror: Path | None = Field(
        None, description="folder, on another disk, that keeps a copy of the log's public files"
    )
    audit_schedule: str = Field(
        "", description="preemptive suites and the hours between their runs: `SUITE=HOURS, …`"
    )
    audit_required: str = Field(
        "", description="suites that code, pack and models must have passed, else requests are held"
    )
    keep_media_days: int = Field(30, ge=1, description="working files of requests that are over")
    keep_uploads_days: int = Field(30, ge=1, description="uploads that no request under way needs")
    keep_refused_days: int = Field(180, ge=1, description="words of requests that were not released")
    keep_requests_days: int = Field(365, ge=1, description="words of requests that were released")
    keep_notes_days: int = Field(90, ge=1, description="words of prechecks and of questions to the log")
    keep_idempotency_days: int = Field(7, ge=1, description="idempotency keys")
    keep_hints_days: int = Field(1, ge=1, description="hints that no queue has taken")
    sandbox_memory_mib: int = Field(6144, description="address space of a decoding child")
    sandbox_seconds: int = Field(120, description="CPU seconds of a decoding child")

    @property
    def database(self) -> str:
        """The SQLAlchemy address in use."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'greenlight.db').resolve()}"

    @property
    def keys_database(self) -> str:
        """The SQLAlchemy address of the subjects' keys: of their own file, or a table of the one database."""
        return self.keys_url or self.database_url or f"sqlite:///{(self.data_dir / 'keys.db').resolve()}"
