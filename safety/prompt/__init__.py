"""What a prompt says: normalised views, words and intents, names, language, and a classifier's scores."""

from safety.prompt.classifier import thresholds
from safety.prompt.convert import build
from safety.prompt.gazetteer import ProtectedName
from safety.prompt.reader import PromptReader
from safety.prompt.text import MAX_CHARACTERS, checked_text

__all__ = ["MAX_CHARACTERS", "PromptReader", "ProtectedName", "build", "checked_text", "thresholds"]
