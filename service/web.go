package service

import (
	"context"
	"net"
	"net/http"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// MaxHeader and MaxMessage are how many bytes the metadata of a call and its request message may have.
const (
	MaxHeader  = maxHeaderList
	MaxMessage = maxReceive
)

// RefuseRequest ends an HTTP request that does not become a call, because it is none or is too large: with a line in
// the log, and a Status like any other. field is the header that is at fault, or body, and wanted says what it must be;
// both are empty when nothing of the request is. Who is no caller gets CALLER_UNAUTHENTICATED, whatever the reason.
func (s *Server) RefuseRequest(ctx context.Context, header http.Header, method string, reason pb.ErrorReason, field, wanted string) *spb.Status {
	md := make(metadata.MD, len(header))
	for name, values := range header {
		md[strings.ToLower(name)] = values
	}
	failure := apierror.Refuse(reason)
	switch {
	case reason == pb.ErrorReason_UNKNOWN_METHOD:
		failure = apierror.RefuseMethod(method)
	case field != "":
		failure = apierror.RefuseField(reason, field, wanted)
	}
	return status.Convert(s.chain.RefuseRequest(metadata.NewIncomingContext(ctx, md), method, failure)).Proto()
}

// ListenWithin bounds the connections of a listener that is not of gRPC.
func ListenWithin(inner net.Listener, limits ConnectionLimits) *Listener {
	return wire.Listen(inner, limits)
}
