"""Voice likeness: does an enrolled person's voice speak in a clip?"""

from safety.gallery import Enrolment, Template
from safety.voice.encoder import build
from safety.voice.screen import Voice

__all__ = ["Enrolment", "Template", "Voice", "build"]
