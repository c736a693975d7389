"""Microsoft's Python SDK with its own credentials, against an emulator that wants real tokens over https.

Usage: tokens.py, with clients/python/package on PYTHONPATH, BACKUPSTORAGE_EMULATOR, and a certificate with its key in the
file APP_CERTIFICATE.
"""

import asyncio
import os
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, OnBehalfOfCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient

from m365.backupstorage.emulator import Emulator

TENANT = "77777777-0000-4000-8000-000000000007"
APP = "70000000-0000-4000-8000-000000000001"
SCOPE = "https://graph.microsoft.com/.default"


async def policies(emulator, credential):
    """The names of the policies, read by the SDK."""
    provider = AzureIdentityAuthenticationProvider(credential, scopes=[SCOPE], allowed_hosts=["127.0.0.1"])
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = emulator.url + "/v1.0"
    page = await GraphServiceClient(request_adapter=adapter).solutions.backup_restore.protection_policies.get()
    return [policy.display_name for policy in page.value]


async def main():
    with Emulator(tls=True, flags=["--scenario=tests", "--clock-stopped", "--require-token"]) as emulator:
        # The SDK's HTTP client reads the first variable, the credentials' the second.
        os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = emulator.certificate
        with open(os.environ["APP_CERTIFICATE"], encoding="ascii") as pem:
            text = pem.read()
        certificate = text[text.index("-----BEGIN CERTIFICATE") :]
        emulator.seed(
            {
                "tenant": TENANT, "serviceStatus": "enabled", "people": [{"mail": "ada@corp.example"}],
                "policies": [{"workload": "exchange", "units": 1, "displayName": "Mail"}],
                "apps": [{"id": APP, "secrets": ["right"], "certificates": [certificate]}],
            }
        )
        where = {"authority": emulator.url, "disable_instance_discovery": True}
        assertion = emulator.token(tenant=TENANT, user="ada@corp.example", app=APP, audience=APP)
        credentials = {
            "a secret": ClientSecretCredential(TENANT, APP, "right", **where),
            "a certificate": CertificateCredential(TENANT, APP, certificate_data=text.encode(), **where),
            "on behalf of a user": OnBehalfOfCredential(TENANT, APP, client_secret="right", user_assertion=assertion, **where),
        }
        passed = failed = 0
        for name, credential in credentials.items():
            try:
                assert await policies(emulator, credential) == ["Mail"]
                passed += 1
            except Exception as error:  # noqa: BLE001
                print(f"{name}: {error!r}")
                failed += 1
        try:
            ClientSecretCredential(TENANT, APP, "wrong", **where).get_token(SCOPE)
            print("a wrong secret is right")
            failed += 1
        except ClientAuthenticationError as error:
            if "AADSTS7000215" in str(error):
                passed += 1
            else:
                print(f"a wrong secret: {error}")
                failed += 1
    print(f"Python's credentials: {passed} passed, {failed} failed")
    sys.exit(failed > 0)


asyncio.run(main())
