"""How to point Microsoft's Python SDK at the emulator."""

import base64
import json

from kiota_abstractions.authentication import (
    AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider)
from msgraph import GraphRequestAdapter, GraphServiceClient


def unsigned_token(tenant):
    """A token for the emulator, which believes a token's claims: tid chooses the tenant, scp or roles say what is
    allowed."""

    def part(claims):
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    scp = "BackupRestore-Configuration.ReadWrite.All"
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'tid': tenant, 'scp': scp})}."


class StaticToken(AccessTokenProvider):
    """Always the same token: nobody has to sign in for the emulator."""

    def __init__(self, token):
        self.token = token

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return self.token

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator(["127.0.0.1"])


def connect(origin, tenant):
    """A client for a tenant of the emulator at origin, such as http://127.0.0.1:50082."""
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(StaticToken(unsigned_token(tenant))))
    adapter.base_url = f"{origin}/v1.0"  # before the client is made, which copies it
    return GraphServiceClient(request_adapter=adapter)
