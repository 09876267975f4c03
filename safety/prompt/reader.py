"""The prompt reader: one text in, the facts about it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.decision import CATEGORIES
from core.finding import Model
from safety.prompt import compose, gazetteer, guard, lexicon, views
from safety.prompt.classifier import Classifier, Register
from safety.prompt.gazetteer import Names, Protected, ProtectedName
from safety.prompt.guard import Guard
from safety.prompt.language import identify
from safety.prompt.packs import Shelf
from safety.prompt.text import checked_text
from safety.prompt.windows import windows

_REGISTERS: Mapping[str, Register] = {
    "video": "video",
    "audio": "audio",
    "soundtrack": "audio",
    "edit": "edit",
}


@dataclass(frozen=True, slots=True)
class PromptReader:
    """A loaded reader; safe to use from several threads."""

    classifier: Classifier
    shelf: Shelf
    guards: tuple[Guard, ...] = ()

    @classmethod
    def load(
        cls,
        models_dir: Path,
        *,
        names_dir: Path | None = None,
        trusted: Sequence[str] = (),
        guards: Path | None = None,
    ) -> PromptReader:
        """Load the models from `models_dir`, the name packs in `names_dir` and the guards that a file lists.

        Digests and signatures are checked; raises `ModelMissing` where something is not there.
        """
        added = guard.configured(guards) if guards else ()
        return cls(Classifier.load(models_dir), Shelf(names_dir, trusted), added)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models and name packs in use now."""
        loaded = [one.model for one in self.guards if isinstance(one, guard.LocalGuard)]
        return (*self.classifier.models, *(pack.model for pack in self.shelf.packs()), *loaded)

    def read(self, text: str, *, modality: str, protected: Sequence[ProtectedName] = ()) -> dict[str, Any]:
        """Read a prompt and return {text, language, scores, hits, entities, guards} for the policies.

        `modality` is "video", "audio", "soundtrack" or "edit"; `protected` are the identities to look for by name.
        Spans count characters of `text` without surrounding space. Raises `BadPrompt`, and `Unavailable`
        where the classifier fails or a name pack cannot be trusted.
        """
        text = checked_text(text)
        is_word = self.classifier.is_word
        reading = views.read(text, is_word)
        language = identify(reading.plain.text, is_word)
        scores = dict.fromkeys(CATEGORIES, 0.0)
        if language.scored:
            scores = self.classifier.scores(windows(reading.plain.text), _REGISTERS[modality])
        hits = lexicon.hits(reading)
        hits += compose.minor_with_sexual(hits, scores, reading.plain.text)
        names: tuple[Names, ...] = (_protected(tuple(protected), is_word), *self.shelf.packs())
        entities = gazetteer.entities(reading, text, names, is_word)
        scores = compose.named(scores, text, hits, entities)
        for entity in entities:
            entity["asked"] = compose.asked_of(entity, text, hits, scores)
        return {
            "text": {
                "length": len(text),
                "obfuscated": reading.obfuscated,
                "views": [view.text for view in (*reading.views, reading.plain)][: views.SHOWN],
            },
            "language": asdict(language),
            "scores": compose.fused(scores, hits, entities),
            "hits": hits,
            "entities": entities,
            "guards": guard.facts(self.guards, text),
        }


@lru_cache(maxsize=4)
def _protected(names: tuple[ProtectedName, ...], is_word: Callable[[str], bool]) -> Protected:
    return Protected(names, is_word)
