"""Labels: what a territory wants shown, said or written in a clip, done on delivery and read back from the file."""

from provenance.labels._badge import stamped
from provenance.labels._check import Row, check
from provenance.labels._notice import with_notices
from provenance.labels._packs import Pack, Purpose, covering, packs
from provenance.labels._plan import NO_LABELS, Occasion, Plan, plan

__all__ = [
    "NO_LABELS",
    "Occasion",
    "Pack",
    "Plan",
    "Purpose",
    "Row",
    "check",
    "covering",
    "packs",
    "plan",
    "stamped",
    "with_notices",
]
