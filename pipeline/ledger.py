"""The audit log of this installation: its keys, its witnesses, and the sequencer that writes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from audits.log.cosign import Quorum, RemoteWitness
from audits.log.format import ML_DSA_44
from audits.log.keys import log_key, signing_key
from audits.log.mirror import mirror
from audits.log.signing import LogKey
from audits.log.trust import Policy, parse_witnesses
from audits.log.witness import Witness
from audits.log.writer import integrate
from core.clock import Clock
from core.errors import LogCorrupt, Unavailable
from core.settings import Settings
from core.store import Store


@dataclass(frozen=True)
class Ledger:
    """What the log is written from and to, and whom a reader of it is to believe."""

    store: Store
    folder: Path
    key: LogKey
    witness: Witness
    quorum: Quorum
    clock: Clock
    copy_in: Path | None = None

    @cached_property
    def policy(self) -> Policy:
        """The keys of the log and its witnesses, and how many of those must have cosigned."""
        return self.quorum.policy(self.key)

    def integrate(self) -> int:
        """Append and publish every committed event and return how many were appended."""
        return integrate(self.store, self.folder, self.key, self.clock, self.quorum)

    def copy(self) -> None:
        """Copy what was published since the last time, where a second folder is set."""
        if self.copy_in is not None:
            mirror(self.folder, self.copy_in, self.policy)


def open_ledger(settings: Settings, store: Store, clock: Clock) -> Ledger:
    """Open the log over a database; Unavailable when a key or the list of witnesses cannot be used."""
    key = log_key(settings.data_dir / "keys" / "log", settings.log_origin)
    witness = open_witness(settings, key, clock)
    try:
        quorum = Quorum((witness, *_remote(settings)), settings.witness_quorum)
        ledger = Ledger(store, settings.data_dir / "log", key, witness, quorum, clock, settings.log_mirror)
        assert ledger.policy
    except LogCorrupt as error:
        raise Unavailable(f"The witnesses of the log cannot be used: {error.message}.") from error
    return ledger


def open_witness(settings: Settings, key: LogKey, clock: Clock) -> Witness:
    """Open the built-in witness, with its own key and its own database."""
    home = settings.witness_dir or settings.data_dir / "witness"
    signing = signing_key(home / "key", f"{settings.log_origin}/witness", ML_DSA_44)
    address = settings.witness_database_url or f"sqlite:///{(home / 'witness.db').resolve()}"
    return Witness(signing, Store(address), {key.name: key.policy}, clock)


def _remote(settings: Settings) -> list[RemoteWitness]:
    if settings.witnesses is None:
        return []
    try:
        text = settings.witnesses.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LogCorrupt(f"{settings.witnesses.name} cannot be read") from error
    return [RemoteWitness(key, url) for key, url in parse_witnesses(text)]
