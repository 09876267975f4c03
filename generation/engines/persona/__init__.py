"""Invented people for tests, the demo and the partners' test mode: faces and voices of nobody."""

from generation.engines.persona.face import portrait
from generation.engines.persona.paint import Expression
from generation.engines.persona.speech import speak
from generation.engines.persona.traits import Persona

__all__ = ["Expression", "Persona", "portrait", "speak"]
