"""Voice likeness: does an enrolled person's voice speak in a clip?"""

from safety.voice.encoder import build
from safety.voice.enrol import Enrolment
from safety.voice.screen import Template, Voice

__all__ = ["Enrolment", "Template", "Voice", "build"]
