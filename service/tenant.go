package service

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

const tenantKey = "x-tenant-id"

// tenants finds the tenant of a call.
type tenants struct {
	// byDefault is the tenant of calls that name none; empty refuses them.
	byDefault string
}

// of returns the tenant that the metadata of a call names, in lower case.
func (t tenants) of(ctx context.Context) (string, error) {
	switch values := metadata.ValueFromIncomingContext(ctx, tenantKey); {
	case len(values) == 0 && t.byDefault == "":
		return "", refuse(pb.ErrorReason_TENANT_REQUIRED, tenantKey, "GUID of the tenant to act in")
	case len(values) == 0:
		return t.byDefault, nil
	case len(values) > 1 || !graph.IsGUID(values[0]):
		return "", refuse(pb.ErrorReason_INVALID_TENANT_ID, tenantKey, "one GUID, written 8-4-4-4-12")
	default:
		return strings.ToLower(values[0]), nil
	}
}
