"""Who looks at the dashboard: a key once, then a signed cookie.

The cookie holds a caller's id and when it was given, never a key.  It is signed with a secret that
depends on the admin key too: whoever makes a new admin key ends every session.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from itsdangerous import BadSignature, URLSafeTimedSerializer

COOKIE = "coterie_session"
LASTS_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """A visit: ``caller`` is whose, ``csrf`` what every change must carry."""

    caller: str
    csrf: str


class Sessions:
    """Gives sessions out, and reads them back.  ``secret`` is the server's own."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._signer = URLSafeTimedSerializer(secret, salt="dashboard-session")

    def begin(self, caller: str) -> str:
        """The cookie of a new session of the caller with this id."""
        return str(self._signer.dumps([caller, secrets.token_urlsafe(12)]))

    def read(self, cookie: str | None) -> Session | None:
        """The session behind a cookie; None: nobody's, somebody else's, or over."""
        if not cookie:
            return None
        try:
            caller, id = self._signer.loads(cookie, max_age=LASTS_S)
        except (BadSignature, TypeError, ValueError):
            return None
        return Session(str(caller), self._token(str(id)))

    def _token(self, id: str) -> str:
        return hmac.new(self._secret, f"csrf:{id}".encode(), sha256).hexdigest()


def same_token(given: str, session: Session) -> bool:
    """Whether a change carries the session's token; takes as long either way."""
    return hmac.compare_digest(given.encode(), session.csrf.encode())
