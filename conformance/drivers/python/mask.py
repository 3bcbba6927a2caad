"""Secrets of a task in what the driver says of it (R71)."""

from __future__ import annotations

from collections.abc import Iterable

MASKED = b"***"
# Shorter ones would be found in everything; the engine leaves them, too (docs/secrets.md).
SHORTEST = 4


class Mask:
    """Puts `***` in the place of each secret, and of each line of one that has several."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        found: set[bytes] = set()
        for secret in secrets:
            found.update((secret, *secret.splitlines()))
        # The longest first: one may be a part of another.
        self._found = sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True)

    def bytes(self, said: bytes) -> bytes:
        for secret in self._found:
            said = said.replace(secret, MASKED)
        return said

    def text(self, said: str) -> str:
        if not self._found:
            return said
        return self.bytes(said.encode()).decode(errors="replace")
