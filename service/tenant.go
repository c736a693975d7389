package service

import (
	"context"
	"strings"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

const tenantKey = "x-tenant-id"

// tenants finds the tenant of a call.
type tenants struct {
	// fallback is the tenant of calls that name none; empty refuses them.
	fallback string
}

// of returns the tenant that the metadata of a call names, in lower case.
func (t tenants) of(ctx context.Context) (string, error) {
	switch values := interceptor.Header(ctx, tenantKey); {
	case len(values) == 0 && t.fallback == "":
		return "", apierror.RefuseField(pb.ErrorReason_TENANT_REQUIRED, tenantKey, "the GUID of the tenant to act in")
	case len(values) == 0:
		return t.fallback, nil
	case len(values) > 1 || !graph.IsGUID(values[0]):
		return "", apierror.RefuseField(pb.ErrorReason_INVALID_TENANT_ID, tenantKey, "one GUID, written 8-4-4-4-12")
	default:
		return strings.ToLower(values[0]), nil
	}
}
