package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// newServerWithDetails starts a server on an upstream that refuses every call with several separate errors.
func newServerWithDetails(t *testing.T, status int, code string, details ...string) *servicetest.Server {
	t.Helper()
	return servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"error":{"code":%q,"message":"m","details":[%s]}}`, code, strings.Join(details, ","))
	})
}

func TestSeparateErrorsNameTheirPosition(t *testing.T) {
	const site = "https://a.sharepoint.example/sites/b"
	for name, c := range map[string]struct {
		method  string
		target  string
		field   string
		text    string
		message string
	}{
		"in a message":             {"units", "E0000001-0000-4000-8000-000000000003", "mailbox_protection_units[2].directory_object_id", "EmailNotFound: m", "m"},
		"with spaces around":       {"units", " e0000001-0000-4000-8000-000000000003 ", "mailbox_protection_units[2].directory_object_id", "EmailNotFound: m", "m"},
		"in a list of texts":       {"urls", site, "site_web_urls[1]", "EmailNotFound: m", "m"},
		"not in the request":       {"units", "b@a.example", "mailbox_protection_units", "b@a.example: EmailNotFound: m", "m"},
		"in Graph's text as well":  {"units", "b@a.example", "mailbox_protection_units", "EmailNotFound: no b@a.example", "no b@a.example"},
		"without":                  {"units", "", "mailbox_protection_units", "EmailNotFound: m", "m"},
		"a secret where an id is":  {"units", "https://a.example/?sig=canary", "mailbox_protection_units", "https://a.example/?… EmailNotFound: m", "m"},
		"a field beside the lists": {"units", "My policy", "mailbox_protection_units", "My policy: EmailNotFound: m", "m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServerWithDetails(t, 400, "InvalidProtectionUnitId", fmt.Sprintf(`{"code":"EmailNotFound","message":%q,"target":%q}`, c.message, c.target))
			var o *servicetest.Outcome
			switch c.method {
			case "units":
				request := &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "My policy"}
				for n := 1; n <= 4; n++ {
					request.MailboxProtectionUnits = append(request.MailboxProtectionUnits, &pb.NewMailboxProtectionUnit{DirectoryObjectId: fmt.Sprintf("e0000001-0000-4000-8000-%012d", n)})
				}
				o = s.Try(policies+"CreateExchangeProtectionPolicy", request)
			case "urls":
				o = s.Try("RestoreArtifactBulkAdditionRequestService/CreateSiteRestoreArtifactsBulkAdditionRequest", &pb.CreateSiteRestoreArtifactsBulkAdditionRequestRequest{
					RestoreSessionId: unknown, SiteWebUrls: []string{site + "c", site, site},
				})
			}
			violations := o.FieldViolations()
			if len(violations) != 1 || violations[0].GetField() != c.field || violations[0].GetDescription() != c.text {
				t.Errorf("got %v, want %s: %s", violations, c.field, c.text)
			}
		})
	}
}

func TestTheFieldIsTheOneThatGraphNames(t *testing.T) {
	id := "e0000001-0000-4000-8000-000000000002"
	search := &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{"other", id}}
	for name, c := range map[string]struct {
		error string
		field string
	}{
		"by its property":           {`"message":"protectionUnitIds must be a list of 1 to 20 ids"`, "protection_unit_ids"},
		"by another's name in part": {`"message":"protectionUnitIdsOfBefore and xprotectionUnitIds"`, "protection_time_period"},
		"by nothing":                {`"message":"The request is wrong."`, "protection_time_period"},
		"by its value":              {`"target":"` + strings.ToUpper(id) + `","message":"protectionTimePeriod"`, "protection_unit_ids[1]"},
	} {
		s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(rw, `{"error":{"code":"InvalidSearchRequest",%s}}`, c.error)
		})
		o := s.Try("RestorePointService/SearchRestorePoints", search)
		if violations := o.FieldViolations(); len(violations) != 1 || violations[0].GetField() != c.field {
			t.Errorf("%s: got %v, want %s", name, violations, c.field)
		}
	}
}

func TestSeparateErrorsLeftOutAreCounted(t *testing.T) {
	for _, c := range []struct {
		errors, length int
		kept, left     int
	}{
		{1, 4000, 1, 0}, {3, 4000, 3, 0}, {4, 4000, 4, 0}, {50, 4000, 3, 47}, {300, 3000, 3, 297}, {50, 0, 50, 0}, {300, 0, 50, 250}, {300, 60, 3, 297},
	} {
		one := fmt.Sprintf(`{"code":"E","message":%q}`, strings.Repeat("m", c.length))
		s := newServerWithDetails(t, 413, "ProtectionUnitsLimitBreached", strings.Split(strings.Repeat(one+" ", c.errors), " ")[:c.errors]...)
		o := write(s)
		wantSmall(t, o.Status, "PROTECTION_UNITS_LIMIT_BREACHED", codes.InvalidArgument, false)
		metadata := o.Info().GetMetadata()
		want := ""
		if c.left > 0 {
			want = fmt.Sprint(c.left)
		}
		if kept := len(o.FieldViolations()); kept != c.kept || metadata["violationsLeftOut"] != want {
			t.Errorf("%d errors of %d bytes: %d are kept and %q left out, want %d and %q", c.errors, c.length, kept, metadata["violationsLeftOut"], c.kept, want)
		}
		// The number by which a client divides its request has to remain in the Status, even with the longest texts.
		if metadata["documentedLimit"] != "50" || o.Status.GetMessage() == "" {
			t.Errorf("%d errors of %d bytes: %v", c.errors, c.length, metadata)
		}
	}
}
