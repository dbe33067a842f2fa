"""OIDC: people log in where their organization keeps them, by OpenID Connect's authorization code flow with PKCE.

============  =========================================================================================================
``settings``  which provider, what this server is called there, and which groups give which role
``provider``  what is read of it over HTTP: its description, and what a code is exchanged for
``keyset``    the keys that it signs with, kept and looked up anew when it has changed them
``token``     whether a token says what it must, signed by one of these keys
``pending``   a log-in on its way, in a cookie of the browser that began it
``login``     the addresses that a browser is sent to
============  =========================================================================================================

The rules are those of OpenID Connect Core 1.0 (3.1.3.7 for ID tokens), Discovery 1.0, RP-Initiated Logout 1.0, RFC 7636
(PKCE), RFC 9207 (which issuer answers), RFC 9700 (best current practice), and RFC 8725 (what to refuse of a JWT).
Signatures are checked by PyJWT and cryptography; HTTP is httpx2's.
"""

from .provider import Provider
from .settings import OidcSettings, RoleRule, read_rule

__all__ = ["OidcSettings", "Provider", "RoleRule", "read_rule"]
