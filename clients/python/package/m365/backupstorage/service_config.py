"""The service config that says which calls a gRPC runtime may repeat.

    grpc.secure_channel(address, credentials, options=[("grpc.service_config", SERVICE_CONFIG)])
"""

import pathlib

SERVICE_CONFIG = pathlib.Path(__file__).with_name("service_config.json").read_text()
