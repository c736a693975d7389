package service

import (
	"context"
	"net/url"
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// restorePointService serves the points in time to restore.
type restorePointService struct {
	pb.UnsafeRestorePointServiceServer
	core *core
}

func (s restorePointService) ListRestorePoints(ctx context.Context, request *pb.ListRestorePointsRequest) (*pb.ListRestorePointsResponse, error) {
	return unary[pb.ListRestorePointsResponse](ctx, s.core, request, restorePointQueries(request)...)
}

func (s restorePointService) SearchRestorePoints(ctx context.Context, request *pb.SearchRestorePointsRequest) (*pb.SearchRestorePointsResponse, error) {
	return unary[pb.SearchRestorePointsResponse](ctx, s.core, request)
}

// restorePointQueries says in OData what the request says in fields. What the request leaves out is left out: Graph
// judges. Graph knows two forms, and the second one is a preview:
//
//	policy_id  unit                                              policy
//	---------  ------------------------------------------------  ------------------------------------
//	empty      $expand=protectionUnit($filter=id eq '…')         -
//	set        $expand=protectionUnit, protectionUnit/id eq '…'  protectionUnit/policyId eq '…'
func restorePointQueries(request *pb.ListRestorePointsRequest) []string {
	unit, policy := odataText(request.GetProtectionUnitId()), request.GetPolicyId()
	var filter []string
	if before := request.GetProtectionDateTimeBefore(); before != nil {
		filter = append(filter, "protectionDateTime lt "+before.AsTime().Format(time.RFC3339Nano))
	}
	expand := "protectionUnit($filter=id eq " + unit + ")"
	if policy != "" {
		expand = "protectionUnit"
		filter = append(filter, "protectionUnit/id eq "+unit, "protectionUnit/policyId eq "+odataText(policy))
	}
	queries := []string{"$expand=" + escapeQuery(expand)}
	if len(filter) > 0 {
		queries = append(queries, "$filter="+escapeQuery(strings.Join(filter, " and ")))
	}
	switch request.GetOrder() {
	case pb.RestorePointOrder_RESTORE_POINT_ORDER_NEWEST_FIRST:
		queries = append(queries, "$orderby="+escapeQuery("protectionDateTime desc"))
	case pb.RestorePointOrder_RESTORE_POINT_ORDER_OLDEST_FIRST:
		queries = append(queries, "$orderby="+escapeQuery("protectionDateTime asc"))
	}
	return queries
}

// odataText writes a text as OData does, with quotes doubled, so that no text can end early.
func odataText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// escapeQuery escapes a text for a query. Spaces become %20, since not all readers of URLs take a plus for one.
func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
