"""Ask the log as somebody: what they may see at all is looked up, and that they asked is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session

from audits.filters import EVERYTHING, Filter, parse_cursor
from audits.grants import Asker
from audits.index import BLOCK, catch_up
from audits.log.format import Verifier, read_checkpoint
from audits.log.proof import Prover
from audits.queries import MAX_LIMIT, Entry, Head, Page, events
from core.clock import Clock
from core.errors import NotFound
from core.events import Event, Tag, record
from core.store import Store
from core.vault import Vault

_INDEXED_FIRST = 4 * BLOCK


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the log is asked: its database, and what the public has of it.

    Every answer stands under the published checkpoint, so that it can be proven to anybody. A question is an
    event before its answer is seen: a log that cannot remember it gives none. What was asked may name a
    person, so the leaf holds its digest only, and the words are sealed.
    """

    store: Store
    clock: Clock
    vault: Vault
    folder: Path
    trust: Verifier

    def head(self) -> Head:
        """Read the published checkpoint."""
        if not (self.folder / "checkpoint").exists():
            return Head(0, "")
        head, note = read_checkpoint(self.folder, self.trust)
        return Head(head.size, note)

    def ask(self, who: Asker, wanted: Filter, *, cursor: str = "", limit: int = 100) -> Page:
        """Answer a page from where the cursor says; BadInput when it belongs to another question."""
        return self._page(who, wanted, parse_cursor(cursor, wanted) if cursor else 0, limit)

    def entry(self, who: Asker, index: int) -> Entry:
        """Find an entry, or raise NotFound, also where it lies outside what the asker may see."""
        page = self._page(who, EVERYTHING, index, 1)
        if not page.entries or page.entries[0].index != index:
            raise NotFound("There is no such entry in what you may see.")
        return page.entries[0]

    def _page(self, who: Asker, wanted: Filter, after: int, limit: int) -> Page:
        head = self.head()
        catch_up(self.store, at_most=_INDEXED_FIRST)
        with self.store.session() as session:
            page = events(session, wanted, within=who.within, after=after, limit=limit, head=head)
            self._note(session, who, wanted, start=page.start, end=page.end, count=len(page.entries))
            session.commit()
        return page

    def export(self, who: Asker, wanted: Filter, form: str) -> tuple[Head, Iterator[Entry]]:
        """Give every entry that matches under the checkpoint that is answered too, in memory for one page.

        That it begins is an event, and so is how many entries were handed over when it ends, also too early.
        """
        head = self.head()
        with self.store.session() as session:
            self._note(session, who, wanted, start=0, end=head.size, form=form)
            session.commit()
        return head, self._exported(who, wanted, head, form)

    def _exported(self, who: Asker, wanted: Filter, head: Head, form: str) -> Iterator[Entry]:
        given, after = 0, 0
        try:
            while after < head.size:
                # A session for each page: a reader that stays open keeps SQLite's log from being tidied.
                with self.store.reading() as session:
                    page = events(session, wanted, within=who.within, after=after, limit=MAX_LIMIT, head=head)
                for entry in page.entries:
                    given += 1
                    yield entry
                after = page.end
        finally:
            with self.store.session() as session:
                self._note(session, who, wanted, start=0, end=after, count=given, form=form)
                session.commit()

    def proofs(self, entries: Iterable[Entry]) -> list[str]:
        """Prove entries from the public log, as the text of `.tlog-proof` files."""
        prover = Prover(self.folder, self.trust)
        return [prover.prove(entry.index).render() for entry in entries]

    def _note(self, session: Session, who: Asker, wanted: Filter, **told: int | str) -> None:
        facts = {"query": wanted.sha256, **told} | ({"grant": who.grant} if who.grant else {})
        private = {"query": wanted.json()}
        event = Event(tag=Tag.AUDIT_QUERIED, actor=who.actor, facts=facts, private=private)
        record(session, event, self.clock, self.vault)
