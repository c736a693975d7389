package service_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const (
	isProtected       = pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED
	isRemoveRequested = pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_REMOVE_REQUESTED
)

// What a caller writes stays inside its quotes, whatever it is.
func TestAUnitFilterIsSentAsOData(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter *pb.ProtectionUnitFilter
		want   string
	}{
		{"none", nil, ""},
		{"an empty one", new(pb.ProtectionUnitFilter), ""},
		{"a state", &pb.ProtectionUnitFilter{Statuses: []pb.ProtectionUnitStatus{isRemoveRequested}}, "status eq 'removeRequested'"},
		{"all but some states", &pb.ProtectionUnitFilter{ExcludedStatuses: []pb.ProtectionUnitStatus{isProtected, isRemoveRequested}},
			"status ne 'protected' and status ne 'removeRequested'"},
		{"texts with quotes", &pb.ProtectionUnitFilter{Emails: []string{"o'hara@a.example", "') or (1 eq 1"}, SiteIds: []string{"a,b&$top=1"}},
			"siteId eq 'a,b&$top=1' and (email eq 'o''hara@a.example' or email eq ''') or (1 eq 1')"},
		{"everything", &pb.ProtectionUnitFilter{
			Statuses: []pb.ProtectionUnitStatus{isProtected, isRemoveRequested}, ExcludedStatuses: []pb.ProtectionUnitStatus{isProtected},
			ProtectionUnitIds: []string{"1", "2"}, DirectoryObjectIds: []string{"3"}, SiteIds: []string{"4"}, Emails: []string{""},
		}, "(status eq 'protected' or status eq 'removeRequested') and status ne 'protected' and (id eq '1' or id eq '2') and directoryObjectId eq '3' and siteId eq '4' and email eq ''"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent []string
			s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
				sent = append(sent, fmt.Sprint(r.URL.Query()))
				io.WriteString(w, `{"value":[]}`)
			})
			want := "map[]"
			if c.want != "" {
				want = "map[$filter:[" + c.want + "]]"
			}
			for _, l := range workloads {
				servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: unknownPolicy, Filter: c.filter})
				servicetest.Must[pb.ListMailboxProtectionUnitsResponse](s, units+l.listUnits, &pb.ListMailboxProtectionUnitsRequest{Filter: c.filter})
			}
			for _, got := range sent {
				if got != want {
					t.Errorf("sent %s, want %s", got, want)
				}
			}
			if len(sent) != 6 {
				t.Errorf("%d requests, want 6", len(sent))
			}
		})
	}
}

func TestEveryStateCanBeFilteredBy(t *testing.T) {
	s := servicetest.New(t)
	policy := workloads[0].newPolicy(s, 1, 1).GetId()
	values := isProtected.Descriptor().Values()
	for i := 2; i < values.Len(); i++ {
		state := pb.ProtectionUnitStatus(values.Get(i).Number())
		for _, filter := range []*pb.ProtectionUnitFilter{
			{Statuses: []pb.ProtectionUnitStatus{state}}, {ExcludedStatuses: []pb.ProtectionUnitStatus{state}},
		} {
			servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, workloads[0].listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, Filter: filter})
		}
	}
	mark := s.Mark()
	for field, filter := range map[string]*pb.ProtectionUnitFilter{
		"filter.statuses[1]":          {Statuses: []pb.ProtectionUnitStatus{isProtected, 0}},
		"filter.statuses[0]":          {Statuses: []pb.ProtectionUnitStatus{1}},
		"filter.excluded_statuses[0]": {ExcludedStatuses: []pb.ProtectionUnitStatus{77}},
	} {
		o := s.Try(workloads[0].listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, Filter: filter})
		wantRefused(s, o, "INVALID_REQUEST", field, false, mark)
	}
}

func TestUnitsThatAreNotProtectedAreFound(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			s := servicetest.New(t)
			policy := l.activePolicy(s)
			l.changes(s, l.update(s, policy, 10, 12, l.unitID(s.Tenant, 2)))
			request := &pb.ListExchangeProtectionPolicyUnitsRequest{
				ProtectionPolicyId: policy, PageSize: 1, Filter: &pb.ProtectionUnitFilter{ExcludedStatuses: []pb.ProtectionUnitStatus{isProtected}},
			}
			var got []string
			for {
				page := servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, l.listRPC(), request)
				for _, unit := range page.GetProtectionUnits() {
					got = append(got, unit.GetId())
				}
				if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
					break
				}
				// The filter is part of what the token is valid for.
				other := &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, PageToken: request.PageToken}
				if o := s.Try(l.listRPC(), other); o.Reason() != "INVALID_PAGE_TOKEN" {
					t.Errorf("another filter: %v", o.Status)
				}
			}
			want := []string{l.unitID(s.Tenant, 2), l.unitID(s.Tenant, 10), l.unitID(s.Tenant, 11), l.unitID(s.Tenant, 12)}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestAUnitFilterThatGraphRejectsIsNamed(t *testing.T) {
	s := servicetest.New(t)
	ids := func(n int) []string {
		var list []string
		for i := range n {
			list = append(list, workloads[0].unitID(s.Tenant, i+1))
		}
		return list
	}
	object, site := emulator.UserID(s.Tenant, 1), emulator.SiteID(s.Tenant, 1)
	for _, c := range []struct {
		name     string
		workload workload
		filter   *pb.ProtectionUnitFilter
		reason   string
		field    string
	}{
		{"20 ids", workloads[0], &pb.ProtectionUnitFilter{ProtectionUnitIds: ids(20)}, "", ""},
		{"21 ids", workloads[0], &pb.ProtectionUnitFilter{ProtectionUnitIds: ids(21)}, "FILTER_LENGTH_EXCEEDED", "filter"},
		{"a long text", workloads[0], &pb.ProtectionUnitFilter{Emails: []string{strings.Repeat("x", 5000)}}, "FILTER_LENGTH_EXCEEDED", "filter"},
		{"a malformed id", workloads[0], &pb.ProtectionUnitFilter{ProtectionUnitIds: append(ids(2), "x'y")}, "INVALID_PROTECTION_UNIT_ID", "filter.protection_unit_ids[2]"},
		{"an empty id", workloads[0], &pb.ProtectionUnitFilter{ProtectionUnitIds: []string{""}}, "INVALID_PROTECTION_UNIT_ID", "filter"},
		{"sites of mailboxes", workloads[0], &pb.ProtectionUnitFilter{SiteIds: []string{site}}, "BAD_REQUEST", "filter.site_ids"},
		{"users of sites", workloads[2], &pb.ProtectionUnitFilter{DirectoryObjectIds: []string{object}}, "BAD_REQUEST", "filter.directory_object_ids"},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := c.workload.newPolicy(s, 30, 30).GetId()
			for _, o := range []*servicetest.Outcome{
				s.Try(c.workload.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, Filter: c.filter}),
				s.Try(units+c.workload.listUnits, &pb.ListMailboxProtectionUnitsRequest{Filter: c.filter}),
			} {
				violations := o.FieldViolations()
				if o.Reason() != c.reason || c.field != "" && (len(violations) != 1 || violations[0].GetField() != c.field || violations[0].GetReason() != c.reason) {
					t.Errorf("got %s of %v, want %s of %s", o.Reason(), violations, c.reason, c.field)
				}
			}
			servicetest.Must[pb.DeleteProtectionPolicyResponse](s, policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: policy})
		})
	}
}
