"""Pages that travel: no scripts, nothing from elsewhere, the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, filters: dict[str, Any] | None = None, **shown: Any) -> str:
    """Render a template with every value escaped; one that it names and does not get is an error."""
    pages = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= filters or {}
    return pages.get_template(template.name).render(shown)
