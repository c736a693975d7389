package main_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/graphjson"
)

// depth returns the number of levels of objects and arrays of a JSON text.
func depth(text []byte) int {
	deepest, level, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			level++
			deepest = max(deepest, level)
		case b == '}' || b == ']':
			level--
		}
	}
	return deepest
}

// FuzzVerdict compares the readers with the standard library. They have to accept what it accepts, if that is UTF-8 and
// has at most 100 levels, and refuse everything else.
func FuzzVerdict(f *testing.F) {
	seeds := []string{
		``, `null`, `[]`, `{"value":[{"id":"1","@odata.type":"#microsoft.graph.siteProtectionUnit","siteId":"\ud83d\uddc4"},null]}`,
		`{"id":"1","status":"Active","createdBy":{"user":{"displayName":"Zoë\n"}},"retentionSettings":[{"period":"P1Y"}],"isEnabled":false}`,
		`{"error":{"code":"x","details":[{"target":"a"}]},"id":"1","mailboxes":["a","b"],"value":{"siteExpression":"x"}}`,
		`{"searchResults":[{"artifactHitCount":1e3,"restorePoint":{"tags":"fastRestore, none"}}],"noResultProtectionUnitIds":["a"]}`,
		`{"mailboxRestoreArtifacts@delta":[{"@removed":{},"@Core.DataModificationException":{"a":1},"restoredItemCount":"5"}]}`,
		`{"createdDateTime":"2024-06-19T12-01-03.45Z","restoreSessionArtifactCount":{"total":5.0}}`, "{\"id\":\"\xff\"}", `{"a":01}`,
		strings.Repeat(`{"a":[`, 50) + strings.Repeat(`]}`, 50), strings.Repeat(`[`, 101) + strings.Repeat(`]`, 101),
	}
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		good := json.Valid(text) && utf8.Valid(text) && depth(text) <= 100
		for _, message := range []reader{
			new(pb.ListMailboxProtectionUnitsResponse), new(pb.GetProtectionPolicyResponse), new(pb.GetRestoreSessionResponse),
			new(pb.SearchRestorePointsResponse), new(pb.UpdateExchangeRestoreSessionResponse), new(pb.GetBackupRestoreResponse),
			new(pb.GetMailboxProtectionUnitsBulkAdditionJobResponse), new(pb.DeleteAndUnprotectDriveInclusionRuleResponse),
			new(pb.UpdateEmailNotificationsSettingResponse), new(pb.BrowseOneDriveForBusinessBrowseSessionResponse),
		} {
			hook := func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
				if !json.Valid(item.JSON) || string(item.JSON) == "null" {
					t.Errorf("%q: the error %q is not JSON", text, item.JSON)
				}
				return &statuspb.Status{Message: item.ID}, nil
			}
			// The reader changes the text, so it gets a copy.
			err := message.UnmarshalGraphJSON(append([]byte(nil), text...), pb.GraphReadOptions{Error: hook})
			var failed *pb.GraphJSONError
			if err != nil && !errors.As(err, &failed) {
				t.Fatalf("%T is not a *GraphJSONError", err)
			}
			if refused := err != nil && failed.Cause == graphjson.CauseSyntax; refused == good {
				t.Fatalf("%T: %q: %v, but JSON in UTF-8: %v", message, text, err, good)
			}
			if _, err := proto.Marshal(message); err != nil {
				t.Fatalf("%T: %q: %v", message, text, err)
			}
		}
	})
}

// FuzzValues compares the values of a reader with those of the standard library, where both have a value of the same
// type.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		`{"interval":"\u0041\ud83d","period":"P1Y"}`, `{"id":"a\"b","displayName":"Zoë","period":"\\"}`, `{"total":5,"failed":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// A map, because encoding/json matches the names of a struct without regard to case. It accepts invalid UTF-8
		// too, so that is checked first.
		var values map[string]any
		if !utf8.Valid(text) || json.Unmarshal(text, &values) != nil || depth(text) > 100 {
			return
		}
		var got pb.GetProtectionPolicyResponse
		if err := got.UnmarshalGraphJSON(append([]byte(nil), text...), pb.GraphReadOptions{}); err != nil {
			return
		}
		policy := got.ProtectionPolicy
		for name, value := range map[string]string{"id": policy.Id, "displayName": policy.DisplayName} {
			if want, ok := values[name].(string); ok && value != want || !ok && value != "" {
				t.Errorf("%q: %s is %q, want %q", text, name, value, values[name])
			}
		}
		if want, ok := values["isEnabled"].(bool); ok && policy.GetIsEnabled() != want {
			t.Errorf("%q: isEnabled is %v, want %v", text, policy.GetIsEnabled(), want)
		}
	})
}
