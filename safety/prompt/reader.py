"""The prompt reader: one text in, the facts about it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.decision import CATEGORIES
from core.finding import Model
from safety.prompt import gazetteer, heads, lexicon, views
from safety.prompt.encoder import Encoder
from safety.prompt.gazetteer import Gazetteer, ProtectedName
from safety.prompt.heads import Heads
from safety.prompt.language import identify
from safety.prompt.text import checked_text
from safety.prompt.windows import windows

Modality = Literal["video", "audio", "soundtrack"]


@dataclass(frozen=True, slots=True)
class PromptReader:
    """A loaded reader; safe to use from several threads."""

    encoder: Encoder
    heads: Heads
    names: Gazetteer
    models: tuple[Model, ...]

    @classmethod
    def load(cls, models_dir: Path, *, protected: Sequence[ProtectedName] = ()) -> PromptReader:
        """Load the models from `models_dir`, digests checked; raise `ModelMissing` where one is not there."""
        encoder = Encoder.load(models_dir)
        trained, model = heads.load(heads.shipped())
        reader = cls(encoder, trained, Gazetteer({}), (*encoder.models, model))
        return reader.protecting(protected)

    def protecting(self, names: Sequence[ProtectedName]) -> PromptReader:
        """Return a reader that knows these protected names; the models are shared, so this is cheap."""
        return replace(self, names=Gazetteer.of((*gazetteer.built_in(), *gazetteer.protected(names))))

    def read(self, text: str, *, modality: Modality) -> dict[str, Any]:
        """Read a prompt and return {text, language, scores, hits, entities} for the policies.

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
            "entities": self.names.entities(reading, text),
        }
