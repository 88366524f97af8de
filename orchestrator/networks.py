"""Which addresses experts may be at.  Looked at when an expert is registered, and again at each
connection: a name may stand for another address by then.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(OSError):
    """The address is in none of the networks that experts may be in."""

    def __init__(self, told: str) -> None:
        super().__init__(errno.EACCES, told)

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that experts may be in; none at all: anywhere."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Those written as ``10.0.0.0/8``; raises ValueError for one that is none."""
        return cls(tuple(ipaddress.ip_network(text.strip()) for text in texts))

    def allows(self, address: str) -> bool:
        """Whether an expert may be at the IP ``address``."""
        if not self.allowed:
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self.allowed)

    def check(self, address: str) -> None:
        """Raises :class:`AddressRefused` where an expert may not be at ``address``."""
        if not self.allows(address):
            raise AddressRefused(
                f"{address} is in none of the networks that experts may be in "
                f"({', '.join(map(str, self.allowed))}): COTERIE_EXPERT_NETWORKS"
            )

    @property
    def socket_factory(self) -> Callable[[Any], socket.socket] | None:
        """Makes a connection's socket, unless it would go where it may not; None: no such limit.

        It is given the address that is connected to, however the name was resolved.
        """
        if not self.allowed:
            return None

        def make(info: Any) -> socket.socket:
            family, kind, protocol, _, address = info
            self.check(str(address[0]))
            made = socket.socket(family=family, type=kind, proto=protocol)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made

        return make

    async def check_url(self, url: str) -> None:
        """Raises :class:`AddressRefused` where the host of ``url`` is, or stands for, an address
        that is not allowed.  What cannot be resolved now is left to the connection."""
        host = urlsplit(url).hostname
        if not self.allowed or not host:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return
        for *_, address in found:
            self.check(str(address[0]))
