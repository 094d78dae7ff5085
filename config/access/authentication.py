"""Who comes by a token: the user that it acts as, narrowed to what the token may."""

from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.access.last_use import note_use
from config.access.verbs import permissions_of
from mediation import services as mediation


class NarrowingTokenAuthentication(TokenAuthentication):
    """As knox has it, but that a token can be limited and revoked, and that one which has ended is kept.

    knox would delete a token once it has ended, and with it whose it was and when it was used last.
    """

    def authenticate(self, request: Request) -> tuple[User, AuthToken] | None:
        found: tuple[User, AuthToken] | None = super().authenticate(request)
        if found is not None:
            note_use(digest=found[1].digest, address=address_of(request.META), now=timezone.now())
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        text = token.decode(errors="replace")
        known = AuthToken.objects.filter(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH].replace("\0", "�"))
        digest = hash_token(text)
        for one in known.select_related("user", "scope"):
            if compare_digest(digest, one.digest):
                return self._let_in(one)
        raise AuthenticationFailed("Invalid token.")

    def _let_in(self, token: AuthToken) -> tuple[User, AuthToken]:
        scope = getattr(token, "scope", None)
        has_ended = token.expiry is not None and token.expiry <= timezone.now()
        if has_ended or (scope is not None and scope.revoked_at is not None):
            raise AuthenticationFailed("This token has expired or was revoked. Use another one.")
        self.validate_user(token)
        if scope is not None:
            mediation.narrow(
                token.user,
                permissions=None if scope.verbs is None else permissions_of(scope.verbs),
                feeds=None if scope.feeds is None else frozenset(scope.feeds),
            )
        return token.user, token


def address_of(headers: Any) -> str | None:
    """The IP address of who sent a request: behind the proxies of `settings.PROXIES` the one that they tell of.

    Of what stands in `X-Forwarded-For` only what a proxy of ours wrote is believed; anybody may write more before it.
    """
    came = _address(headers.get("REMOTE_ADDR", ""))
    told = headers.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while came is not None and told and _is_proxy(came):
        earlier = _address(told.pop())
        if earlier is None:
            break
        came = earlier
    return None if came is None else str(came)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_proxy(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in settings.PROXIES)
