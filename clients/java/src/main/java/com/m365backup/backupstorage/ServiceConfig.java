package com.m365backup.backupstorage;

import com.google.gson.Gson;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The service config that says which calls a gRPC runtime may repeat. */
public final class ServiceConfig {
  private ServiceConfig() {}

  /** Returns it for {@code ManagedChannelBuilder.defaultServiceConfig}; {@code enableRetry()} has to be called too. */
  public static Map<String, ?> load() {
    try (var in = new InputStreamReader(ServiceConfig.class.getResourceAsStream("service_config.json"), StandardCharsets.UTF_8)) {
      @SuppressWarnings("unchecked") // Gson makes every number a Double, as gRPC wants it.
      Map<String, ?> config = new Gson().fromJson(in, Map.class);
      return config;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
