"""The picture's watermark: 64 bits in the luma, the same in every frame, read back without the original."""

from provenance.marks.video.detect import detect, falsely_read
from provenance.marks.video.embed import embedder

__all__ = ["detect", "embedder", "falsely_read"]
