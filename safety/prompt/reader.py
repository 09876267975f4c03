"""The prompt reader: one text in, the facts about it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.decision import CATEGORIES
from core.finding import Model
from safety.prompt import gazetteer, heads, lexicon, views
from safety.prompt.encoder import Encoder
from safety.prompt.gazetteer import Gazetteer, ProtectedName
from safety.prompt.heads import Heads
from safety.prompt.language import identify
from safety.prompt.text import checked_text
from safety.prompt.windows import windows


@dataclass(frozen=True, slots=True)
class PromptReader:
    """A loaded reader; safe to use from several threads."""

    encoder: Encoder
    heads: Heads
    models: tuple[Model, ...]

    @classmethod
    def load(cls, models_dir: Path) -> PromptReader:
        """Load the models from `models_dir`, digests checked; raise `ModelMissing` where one is not there."""
        encoder = Encoder.load(models_dir)
        trained, model = heads.load(heads.shipped())
        return cls(encoder, trained, (*encoder.models, model))

    def read(self, text: str, *, modality: str, protected: Sequence[ProtectedName] = ()) -> dict[str, Any]:
        """Read a prompt and return {text, language, scores, hits, entities} for the policies.

        `modality` is "video", "audio" or "soundtrack"; `protected` are the identities to look for by name.
        Spans count characters of `text` without surrounding space. Raises `BadPrompt`, and `Unavailable`
        where the classifier fails.
        """
        text = checked_text(text)
        reading = views.read(text)
        language = identify(reading.plain.text)
        vectors = self.encoder.encode(windows(reading.plain.text))
        scores = self.heads.scores(vectors, "video" if modality == "video" else "audio")
        return {
            "text": {
                "length": len(text),
                "obfuscated": reading.obfuscated,
                "views": [view.text for view in (*reading.views, reading.plain)][: views.SHOWN],
            },
            "language": asdict(language),
            "scores": dict.fromkeys(CATEGORIES, 0.0) | scores,
            "hits": lexicon.hits(reading),
            "entities": _names(tuple(protected)).entities(reading, text),
            "guards": [],
        }


@lru_cache(maxsize=4)
def _names(protected: tuple[ProtectedName, ...]) -> Gazetteer:
    return Gazetteer.of((*gazetteer.built_in(), *gazetteer.protected(protected)))
