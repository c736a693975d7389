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

// restorePointQueries says in OData what the request says in fields. Graph wants the unit as the filter of an expansion
// and the time as the filter of the list. What the request leaves out is left out: Graph judges.
func restorePointQueries(request *pb.ListRestorePointsRequest) []string {
	queries := []string{"$expand=" + escapeQuery("protectionUnit($filter=id eq "+odataText(request.GetProtectionUnitId())+")")}
	if before := request.GetProtectionDateTimeBefore(); before != nil {
		queries = append(queries, "$filter="+escapeQuery("protectionDateTime lt "+before.AsTime().Format(time.RFC3339Nano)))
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
