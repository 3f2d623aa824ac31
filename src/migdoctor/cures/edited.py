"""An applied revision that was edited: the text that was released, and that of today. Pure."""

from collections.abc import Sequence

from migdoctor.cures import files
from migdoctor.facts import Version


def released(past: Sequence[Version], now: str) -> Version | None:
    """The first version on this branch that goes up otherwise than the text of today, if any."""
    return next((v for v in past if not files.same_upgrade(v.text, now)), None)
