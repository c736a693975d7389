"""Opens the channel of main.py, with TLS and a caller where the environment says so."""

import os
import pathlib

import grpc


def open_channel(address):
    """Opens a channel with the credentials that the variables CLIENT_… name; ../README.md explains them.

    Without CLIENT_CA_FILE there is no TLS, and no caller.
    """
    ca, certificate, key, token = (
        os.environ.get(f"CLIENT_{name}_FILE") for name in ("CA", "CERTIFICATE", "KEY", "TOKEN")
    )
    if not ca:
        if certificate or key or token:
            raise SystemExit("a certificate or a token needs CLIENT_CA_FILE")
        return grpc.insecure_channel(address)
    if bool(certificate) != bool(key):
        raise SystemExit("CLIENT_CERTIFICATE_FILE and CLIENT_KEY_FILE need each other")
    content = lambda path: pathlib.Path(path).read_bytes() if path else None
    credentials = grpc.ssl_channel_credentials(content(ca), content(key), content(certificate))
    if token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.metadata_call_credentials(TokenFile(token)))
    return grpc.secure_channel(address, credentials)


class TokenFile(grpc.AuthMetadataPlugin):
    """Sends the token in a file. Each call reads it, because tokens expire and something else renews them."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def __call__(self, context, callback):
        callback((("authorization", f"Bearer {self.path.read_text().strip()}"),), None)
