"""Where webhooks may be sent: addresses of the open internet, and the private networks that the environment names."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
PORTS = {"https": 443, "http": 80}
# IPv6 addresses that a gateway turns into the IPv4 address in their last four bytes.
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class UnableToReach(Exception):
    """An address that webhooks are not sent to; the message says why."""


@dataclass(frozen=True)
class Target:
    """A webhook's address, resolved. addresses: each of them was checked; connect to these and no others."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks parted by commas, such as 10.1.0.0/16. Raises ValueError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return tuple(ip_network(name) for name in names)
    except ValueError as fault:
        raise ValueError(f"{fault}: name networks as 10.1.0.0/16, parted by commas") from None


def resolve(url: str, allowed: Sequence[Network]) -> Target:
    """The target of a webhook; every address that its name stands for is checked.

    Plain HTTP is for allowed private networks alone. Raises UnableToReach.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as fault:
        raise UnableToReach(f"This is no address: {fault}.") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UnableToReach("Give an address that begins with https:// and names a host.")
    if parts.username is not None or parts.fragment or any(sign <= " " or sign == "\x7f" for sign in url):
        raise UnableToReach("Leave out passwords, spaces and whatever follows a #; requests are signed instead.")
    found = _look_up(parts.hostname, port)
    for each in found:
        _check(each, parts.scheme, allowed)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise UnableToReach("Write signs beyond ASCII as %XX in the path.")
    return Target(parts.scheme, parts.hostname, port, path, tuple(found))


def _look_up(host: str, port: int) -> list[str]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        raise UnableToReach(f"The name {host} leads nowhere: {fault}.") from None
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _check(text: str, scheme: str, allowed: Sequence[Network]) -> None:
    address = _plain(ip_address(text.partition("%")[0]))
    if any(address.version == network.version and address in network for network in allowed):
        return
    if not address.is_global or address.is_multicast or address.is_reserved:
        raise UnableToReach(
            f"{address} is not on the open internet. SLUICE_WEBHOOK_ALLOW_PRIVATE names networks that are allowed."
        )
    if scheme != "https":
        raise UnableToReach("Give an address that begins with https://; others could read what is sent without it.")


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
