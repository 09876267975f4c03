"""Voice likeness: does an enrolled person's voice speak in a clip?"""

from safety.gallery import Enrolment, Template
from safety.voice.encoder import build
from safety.voice.screen import Comparison, Voice

__all__ = ["Comparison", "Enrolment", "Template", "Voice", "build"]
