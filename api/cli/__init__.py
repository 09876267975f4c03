"""The command line: `greenlight`."""

from __future__ import annotations

import typer

from api.cli import (
    audit,
    audit_access,
    audit_query,
    audit_saved,
    files,
    keeping,
    keys,
    make,
    models,
    people,
    policy,
    policy_life,
    review,
    users,
)
from core.journal import start_journal

app = typer.Typer(
    name="greenlight",
    help="The safety-and-provenance gate around generative video and audio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (make, files):
    module.add_to(app)
app.add_typer(people.enroll, name="enroll")
app.add_typer(people.partner, name="partner")
app.add_typer(people.consent, name="consent")
app.add_typer(review.app, name="review")
for module in (audit_query, audit_saved, audit_access):
    module.add_to(audit.app)
keeping.add_to(audit.app)
app.add_typer(audit.app, name="audit")
policy_life.add_to(policy.app)
app.add_typer(policy.app, name="policy")
app.add_typer(users.app, name="users")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")


@app.callback()
def _main(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show the log of the machinery."),
) -> None:
    start_journal(verbose=verbose)


def main() -> None:
    """Run the command line."""
    app()
