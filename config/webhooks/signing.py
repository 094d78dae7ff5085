"""The secrets of endpoints and what they sign, as Standard Webhooks says."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from standardwebhooks import Webhook


def new_salt() -> str:
    return secrets.token_hex(32)


def secret_of(salt: str, key: str) -> str:
    """The secret that receivers are given. key: the house's own secret."""
    digest = hmac.new(key.encode(), f"sluice webhook {salt}".encode(), hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(digest).decode()


def check_of(secret: str) -> str:
    """By what it is seen that a secret is still the one that was shown."""
    return hashlib.sha256(secret.encode()).hexdigest()


def signed_headers(*, message_id: str, at: datetime, body: str, signing: list[str]) -> dict[str, str]:
    """The headers of one request. signing: one secret, or two while one takes the other's place."""
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in signing]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
