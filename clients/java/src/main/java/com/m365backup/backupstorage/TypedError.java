package com.m365backup.backupstorage;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import com.m365backup.backupstorage.v1.ErrorReason;
import com.m365backup.backupstorage.v1.ErrorSpecOuterClass;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The content of an error: of a call that failed, or of a field in a response.
 *
 * @param code name of the gRPC code, such as {@code NOT_FOUND}
 * @param message for people; programs do not read it
 * @param reason name of an ErrorReason, such as {@code POLICY_NOT_FOUND}; empty for an error that the gRPC runtime made.
 *     A reason that this version does not know is treated by its code
 * @param domain that of the reason
 * @param metadata that of the ErrorInfo
 * @param retryDelay the time to wait before the same request can be sent again; empty when it cannot
 * @param fields paths of the fields of the request that are wrong
 * @param resource the resource that the error is about
 * @param outcomeUnknown whether the call may have been done, if it was a write: look before you repeat it. True without a
 *     reason too: no server says then what was done
 */
public record TypedError(
    String code,
    String message,
    String reason,
    String domain,
    Map<String, String> metadata,
    Optional<Duration> retryDelay,
    List<String> fields,
    Optional<ResourceInfo> resource,
    boolean outcomeUnknown) {

  /** Reads the StatusException or StatusRuntimeException of a call. One that the gRPC runtime made has no details. */
  public static TypedError of(Throwable error) {
    return of(StatusProto.fromThrowable(error));
  }

  /** Reads a Status in a field of a response, such as the error of a protection unit. */
  public static TypedError of(Status status) {
    ErrorInfo info = detail(status, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    BadRequest badRequest = detail(status, BadRequest.class).orElse(BadRequest.getDefaultInstance());
    Code code = Code.forNumber(status.getCode());
    return new TypedError(
        code == null ? Code.UNKNOWN.name() : code.name(),
        status.getMessage(),
        info.getReason(),
        info.getDomain(),
        info.getMetadataMap(),
        detail(status, RetryInfo.class).map(RetryInfo::getRetryDelay).map(it -> Duration.ofSeconds(it.getSeconds(), it.getNanos())),
        badRequest.getFieldViolationsList().stream().map(FieldViolation::getField).toList(),
        detail(status, ResourceInfo.class),
        info.getMetadataOrDefault("outcome", "").equals("unknown") || info.getReason().isEmpty() && status.getCode() != Code.OK_VALUE);
  }

  /** Returns a sentence for people: what to do about the reason. Empty for a reason that this version does not know. */
  public String resolution() {
    var known = ErrorReason.getDescriptor().findValueByName(reason);
    return known == null ? "" : known.getOptions().getExtension(ErrorSpecOuterClass.errorSpec).getResolution();
  }

  /** Returns the detail of a type. One that cannot be read counts as absent, since the code still says something. */
  private static <T extends Message> Optional<T> detail(Status status, Class<T> type) {
    for (Any packed : status.getDetailsList()) {
      if (packed.is(type)) {
        try {
          return Optional.of(packed.unpack(type));
        } catch (InvalidProtocolBufferException e) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
