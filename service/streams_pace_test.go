package service_test

import (
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// One page ahead hides the time of the next page: a list whose pages take 50 ms each takes little more than its pages
// as a stream, and more page by page. The whole, 100,000 units: go test ./service -run MoreThanTheirPages -long -v.
func TestStreamsTakeLittleMoreThanTheirPages(t *testing.T) {
	pages := 21
	if *longProofs {
		pages = 101
	}
	const perPage = 991
	floor := time.Duration(pages) * 50 * time.Millisecond
	u := &unitPages{pages: pages, perPage: perPage, took: 50 * time.Millisecond}
	s := servicetest.NewOnHandler(t, u.ServeHTTP)

	var ids []string
	start, request := time.Now(), &pb.ListMailboxProtectionUnitsRequest{PageSize: 999}
	for {
		page, err := pb.NewProtectionUnitServiceClient(s.Conn).ListMailboxProtectionUnits(s.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range page.GetProtectionUnits() {
			ids = append(ids, unit.GetId())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	paged := time.Since(start)
	allOnce(t, ids, pages*perPage)

	start = time.Now()
	ids, _, err := receive(s.Context(), s, "", -1)
	streamed := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	allOnce(t, ids, pages*perPage)
	t.Logf("%d units in %d pages, floor %v: page by page in %v, %.3f of the floor; streamed in %v, %.3f of it", pages*perPage, pages, floor,
		paged.Round(time.Millisecond), paged.Seconds()/floor.Seconds(), streamed.Round(time.Millisecond), streamed.Seconds()/floor.Seconds())
	limit := 2 * floor
	if *longProofs {
		limit = floor * 106 / 100
	}
	if streamed > limit {
		t.Errorf("more than %v", limit)
	}
}
