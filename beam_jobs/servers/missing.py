"""A program that a runner needs and that is not to be had."""

from __future__ import annotations

from schemas.refusal import Refusal


class ProgramMissing(Refusal):
    """The runner cannot start here; the message names what is missing and what would do instead."""
