package main_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/graphjson"
)

// read reads a text into the empty message into. It returns the message and the cause of the error, empty without an
// error.
func read[M reader](t *testing.T, text string, into M, options pb.GraphReadOptions) (M, graphjson.Cause) {
	t.Helper()
	err := into.UnmarshalGraphJSON([]byte(text), options)
	if err == nil {
		return into, ""
	}
	var failed *pb.GraphJSONError
	if !errors.As(err, &failed) {
		t.Fatalf("%s: %T is not a *GraphJSONError", text, err)
	}
	return into, failed.Cause
}

// wantRead checks that a text is read as the message that the prototext describes.
func wantRead(t *testing.T, text string, got, want reader, prototxt string) {
	t.Helper()
	if err := prototext.Unmarshal([]byte(prototxt), want); err != nil {
		t.Fatal(err)
	}
	if _, cause := read(t, text, got, pb.GraphReadOptions{}); cause != "" {
		t.Errorf("%s: cause %s", text, cause)
	}
	if !proto.Equal(got, want) {
		t.Errorf("%s\nwas read as %v\nwant        %v", text, got, want)
	}
}

func TestReadPolicy(t *testing.T) {
	const at, seconds = `2024-06-19T12:01:03.45Z`, `{seconds: 1718798463 nanos: 450000000}`
	tests := []struct{ name, json, want string }{
		{"an empty object is an empty policy", `{}`, ``},
		{"null is not set", `{"id":null,"status":null,"retentionSettings":null,"isEnabled":null,"createdBy":null,` +
			`"createdDateTime":null,"protectionPolicyArtifactCount":null,"@odata.type":null}`, ``},
		{"an empty string is not set", `{"id":"","status":"","retentionSettings":"","isEnabled":"","createdBy":"",` +
			`"createdDateTime":"","protectionPolicyArtifactCount":"","@odata.type":""}`, ``},
		{"Graph's zero time is not set", `{"createdDateTime":"0001-01-01T00:00:00Z"}`, ``},
		{"false is set", `{"isEnabled":false}`, `is_enabled: false`},
		{"a zero is set", `{"protectionPolicyArtifactCount":{"total":0,"failed":null,"completed":""}}`,
			`protection_policy_artifact_count {total: 0}`},
		{"an empty object is set", `{"createdBy":{},"protectionPolicyArtifactCount":{}}`,
			`created_by {} protection_policy_artifact_count {}`},
		{"an empty array is empty", `{"retentionSettings":[]}`, ``},
		{"an element that is null is an element", `{"retentionSettings":[null,{"period":"P1Y"}]}`,
			`retention_settings {} retention_settings {period: "P1Y"}`},
		{"a time of Graph's is read", `{"createdDateTime":"` + at + `"}`, `created_date_time ` + seconds},
		{"dashes in a time are read", `{"createdDateTime":"2024-06-19T12-01-03.45Z"}`, `created_date_time ` + seconds},
		{"a member is read", `{"status":"activeWithErrors"}`, `status: PROTECTION_POLICY_STATUS_ACTIVE_WITH_ERRORS`},
		{"a member is read without regard to case", `{"status":"ActiveWITHErrors"}`,
			`status: PROTECTION_POLICY_STATUS_ACTIVE_WITH_ERRORS`},
		{"unknownFutureValue is unknown", `{"status":"unknownFutureValue"}`, `status: PROTECTION_POLICY_STATUS_UNKNOWN_FUTURE_VALUE`},
		{"a member that the contract lacks is unknown", `{"status":"paused"}`, `status: PROTECTION_POLICY_STATUS_UNKNOWN_FUTURE_VALUE`},
		{"names of properties are case sensitive", `{"Id":"1","ID":"2","displayname":"x"}`, ``},
		{"a name may be escaped", `{"\u0069d":"1","display\u004eame":"x"}`, `id: "1" display_name: "x"`},
		{"white space is allowed anywhere", " {\n\t\"id\" : \"1\" ,\r\n \"retentionSettings\" : [ { \"period\" : \"P1Y\" } , { } ] } ",
			`id: "1" retention_settings {period: "P1Y"} retention_settings {}`},
		{"unknown properties of any shape are skipped",
			`{"a":1,"b":"x","c":null,"d":true,"e":{"id":"no","f":[{"id":"no"}]},"g":[[[]],{}],"h":-1.5e-7,"id":"1","@odata.context":"x"}`,
			`id: "1"`},
		{"the last of duplicates wins", `{"id":"1","isEnabled":true,"createdBy":{"user":{"id":"a"}},"retentionSettings":[{},{}],` +
			`"id":"2","isEnabled":false,"createdBy":{"application":{"id":"b"}},"retentionSettings":[{"period":"P1Y"}]}`,
			`id: "2" is_enabled: false created_by {application {id: "b"}} retention_settings {period: "P1Y"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRead(t, test.json, new(pb.GetProtectionPolicyResponse), new(pb.GetProtectionPolicyResponse),
				`protection_policy {`+test.want+`}`)
		})
	}
}

func TestReadAliases(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"an alias is read", `{"userId":"a"}`, `user {directory_object_id: "a"}`},
		{"a name wins over the alias before it", `{"userId":"a","directoryObjectId":"b"}`, `user {directory_object_id: "b"}`},
		{"a name wins over the alias after it", `{"directoryObjectId":"b","userId":"a"}`, `user {directory_object_id: "b"}`},
		{"a name without a value leaves the alias", `{"userId":"a","directoryObjectId":null}`, `user {directory_object_id: "a"}`},
		{"an alias without a value leaves the name", `{"directoryObjectId":"b","userId":""}`, `user {directory_object_id: "b"}`},
		{"an alias in a nested message is read", `{"createdBy":{"user":{"identity":"x@y.example"}}}`,
			`created_by {user {id: "x@y.example"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRead(t, test.json, new(pb.GetProtectionUnitResponse), new(pb.GetProtectionUnitResponse), `protection_unit {`+test.want+`}`)
		})
	}
	t.Run("an alias of an enum is read", func(t *testing.T) {
		for _, text := range []string{
			`{"serviceConsumer":"thirdParty"}`,
			`{"serviceConsumer":"firstparty","backupServiceConsumer":"thirdparty"}`,
			`{"backupServiceConsumer":"thirdparty","serviceConsumer":"firstparty"}`,
		} {
			wantRead(t, text, new(pb.EnableBackupRestoreResponse), new(pb.EnableBackupRestoreResponse),
				`service_status {backup_service_consumer: BACKUP_SERVICE_CONSUMER_THIRD_PARTY}`)
		}
	})
	t.Run("an alias of a list is read", func(t *testing.T) {
		for _, text := range []string{
			`{"granularMailboxRestoreArtifact":[{"id":"1"}]}`,
			`{"granularMailboxRestoreArtifact":[{"id":"2"},{}],"granularMailboxRestoreArtifacts":[{"id":"1"}]}`,
			`{"granularMailboxRestoreArtifacts":[{"id":"1"}],"granularMailboxRestoreArtifact":[{"id":"2"},{}]}`,
		} {
			wantRead(t, text, new(pb.CreateExchangeRestoreSessionResponse), new(pb.CreateExchangeRestoreSessionResponse),
				`restore_session {} granular_mailbox_restore_artifacts {id: "1"}`)
		}
	})
}

func TestReadFlags(t *testing.T) {
	const manual, rule = `protection_sources: PROTECTION_SOURCE_MANUAL `, `protection_sources: PROTECTION_SOURCE_DYNAMIC_RULE `
	tests := []struct{ name, json, want string }{
		{"one flag is a list of one", `"manual"`, manual},
		{"flags are a list in their order", `"dynamicRule,manual"`, rule + manual},
		{"blanks between flags are dropped", `"manual, dynamicRule"`, manual + rule},
		{"flags are read without regard to case", `"Manual,DYNAMICRULE"`, manual + rule},
		{"a flag that the contract lacks is unknown", `"manual,magic"`, manual + `protection_sources: PROTECTION_SOURCE_UNKNOWN_FUTURE_VALUE`},
		{"no text between commas is no flag", `",manual,, ,dynamicRule,"`, manual + rule},
		{"null is no flags", `null`, ``},
		{"an empty string is no flags", `""`, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRead(t, `{"protectionSources":`+test.json+`}`, new(pb.GetProtectionUnitResponse), new(pb.GetProtectionUnitResponse),
				`protection_unit {`+test.want+`}`)
		})
	}
}

func TestReadVariants(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"properties of a user make a user", `{"displayName":"Sam","email":"s@c.example"}`, `user {display_name: "Sam" email: "s@c.example"}`},
		{"properties of a site make a site", `{"siteId":"1","siteName":"Sales"}`, `site {site_id: "1" site_name: "Sales"} workload: WORKLOAD_SHARE_POINT`},
		{"properties without a value decide nothing", `{"siteId":"1","displayName":null,"email":""}`, `site {site_id: "1"} workload: WORKLOAD_SHARE_POINT`},
		{"without a value there is no variant", `{"siteId":"","displayName":null}`, ``},
		{"the last of both wins", `{"siteId":"1","email":"s@c.example"}`, `user {email: "s@c.example"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRead(t, test.json, new(pb.GetProtectionUnitResponse), new(pb.GetProtectionUnitResponse), `protection_unit {`+test.want+`}`)
		})
	}
	t.Run("a string that is a variant without a value decides nothing", func(t *testing.T) {
		wantRead(t, `{"siteId":"1","directoryObjectId":null}`, new(pb.GetOneDriveForBusinessBrowseSessionResponse),
			new(pb.GetOneDriveForBusinessBrowseSessionResponse), `browse_session {site_id: "1" workload: WORKLOAD_SHARE_POINT}`)
	})
}

func TestReadWrappedValue(t *testing.T) {
	for _, text := range []string{
		`{"id":"1","status":"deleteRequested"}`,
		`{"value":{"id":"1","status":"deleteRequested"}}`,
		`{"@odata.context":"x","value":{"status":"deleteRequested","id":"1"}}`,
		`{"value":null,"id":"1","status":"deleteRequested"}`,
	} {
		wantRead(t, text, new(pb.DeleteAndUnprotectMailboxInclusionRuleResponse), new(pb.DeleteAndUnprotectMailboxInclusionRuleResponse),
			`inclusion_rule {id: "1" status: INCLUSION_RULE_STATUS_DELETE_REQUESTED}`)
	}
}

func TestReadResponseThatIsNoObject(t *testing.T) {
	for _, text := range []string{`null`, `""`, `[]`, `"x"`, `7`, `true`} {
		if _, cause := read(t, text, new(pb.GetProtectionPolicyResponse), pb.GraphReadOptions{}); cause != graphjson.CauseWrongType {
			t.Errorf("%s: cause %q", text, cause)
		}
	}
}

func TestReadWrongTypes(t *testing.T) {
	wrong := []string{}
	for _, property := range []string{"id", "@odata.type", "status", "createdDateTime"} {
		for _, value := range []string{`1`, `true`, `{}`, `["x"]`} {
			wrong = append(wrong, `"`+property+`":`+value)
		}
	}
	for _, property := range []string{"retentionSettings", "createdBy", "isEnabled", "protectionPolicyArtifactCount"} {
		for _, value := range []string{`1`, `"x"`} {
			wrong = append(wrong, `"`+property+`":`+value)
		}
	}
	wrong = append(wrong, `"createdBy":[{}]`, `"retentionSettings":{}`, `"retentionSettings":[1]`, `"createdDateTime":"soon"`,
		`"protectionPolicyArtifactCount":{"total":"many"}`, `"protectionPolicyArtifactCount":{"total":2147483648}`,
		`"createdBy":{"user":"Sam"}`, `"createdBy":{"user":{"id":1}}`)
	for _, property := range wrong {
		t.Run(property+" costs its field alone", func(t *testing.T) {
			notes := new(graphjson.Notes)
			got, cause := read(t, `{`+property+`,"displayName":"x"}`, new(pb.GetProtectionPolicyResponse), noting(notes))
			if cause != "" {
				t.Fatalf("cause %q", cause)
			}
			if got.ProtectionPolicy.DisplayName != "x" {
				t.Error("what follows it was not read")
			}
			name := property[1 : strings.Index(property[1:], `"`)+1]
			if notes.UnreadCount != 1 || !strings.HasPrefix(notes.Unread[0].Property, name) || notes.Unread[0].Expected == "" {
				t.Errorf("noted %+v", notes)
			}
			// Only the message around a value that cannot be read is set.
			set := 0
			got.ProtectionPolicy.ProtoReflect().Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool { set++; return true })
			if inside := notes.Unread[0].Property != name; set > 2 || set == 2 && !inside {
				t.Errorf("the field is set: %v", got)
			}
		})
		for _, end := range []string{`,}`, ``, `}}`, `,"a"}`, `,"b":tru}`, ",\"c\":\"\xff\"}"} {
			text := `{` + property + end
			if json.Valid([]byte(text)) && !strings.Contains(text, "\xff") {
				t.Fatalf("%s is valid JSON", text)
			}
			if _, cause := read(t, text, new(pb.GetProtectionPolicyResponse), pb.GraphReadOptions{}); cause != graphjson.CauseSyntax {
				t.Errorf("%q: cause %q, want syntax", text, cause)
			}
		}
	}
	for _, text := range []string{`[]`, `5`, `"x"`, `true`, `[{"id":"1"}]`} {
		if _, cause := read(t, text, new(pb.GetProtectionPolicyResponse), pb.GraphReadOptions{}); cause != graphjson.CauseWrongType {
			t.Errorf("%s: cause %q, want wrong-type", text, cause)
		}
	}
}

// TestReadOneBadItem has lists of which one item has one value that cannot be read.
func TestReadOneBadItem(t *testing.T) {
	for _, property := range []string{
		`"createdDateTime":"9999-12-31T23:59:59-08:00"`, `"createdDateTime":"0001-01-01T00:00:00+08:00"`,
		`"createdDateTime":"2026-01-01T24:00:00Z"`, `"status":7`, `"displayName":{}`, `"createdBy":"Sam"`, `"id":7`,
	} {
		var notes graphjson.Notes
		got, cause := read(t, `{"value":[{"id":"1","displayName":"a"},{`+property+`,"isEnabled":true},{"id":"3"}]}`,
			new(pb.ListProtectionPoliciesResponse), noting(&notes))
		want := new(pb.ListProtectionPoliciesResponse)
		if err := prototext.Unmarshal([]byte(`protection_policies {id: "1" display_name: "a"} protection_policies {is_enabled: true} protection_policies {id: "3"}`), want); err != nil {
			t.Fatal(err)
		}
		if cause != "" || !proto.Equal(got, want) {
			t.Errorf("%s: cause %q, got %v", property, cause, got)
		}
		name, _, _ := strings.Cut(property[1:], `"`)
		if notes.UnreadCount != 1 || notes.Unread[0].Property != "value[1]."+name {
			t.Errorf("%s: noted %+v", property, notes)
		}
	}
	t.Run("an item that is no object is an empty item", func(t *testing.T) {
		var notes graphjson.Notes
		got, cause := read(t, `{"value":[{"id":"1"},7,{"id":"3"}]}`, new(pb.ListProtectionPoliciesResponse), noting(&notes))
		if cause != "" || len(got.ProtectionPolicies) != 3 || got.ProtectionPolicies[2].Id != "3" {
			t.Errorf("cause %q, got %v", cause, got)
		}
		if notes.UnreadCount != 1 || notes.Unread[0].Property != "value[1]" {
			t.Errorf("noted %+v", notes)
		}
	})
}

func TestReadNotesUnknownMembers(t *testing.T) {
	var notes graphjson.Notes
	_, cause := read(t, `{"value":[{"status":"active"},{"status":"Paused"},{"status":"unknownFutureValue"},{"status":"UnknownFutureValue"},{"status":""}]}`,
		new(pb.ListProtectionPoliciesResponse), noting(&notes))
	if cause != "" || notes.UnknownMemberCount != 1 || notes.UnknownMembers[0] != (graphjson.UnknownMember{Property: "value[1].status", Name: "Paused"}) {
		t.Errorf("cause %q, noted %+v", cause, notes)
	}
	notes = graphjson.Notes{}
	_, cause = read(t, `{"protectionSources":"manual, Magic,"}`, new(pb.GetProtectionUnitResponse), noting(&notes))
	if cause != "" || notes.UnknownMemberCount != 1 || notes.UnknownMembers[0] != (graphjson.UnknownMember{Property: "protectionSources", Name: "Magic"}) {
		t.Errorf("cause %q, noted %+v", cause, notes)
	}
}

// noting returns options that keep the notes.
func noting(notes *graphjson.Notes) pb.GraphReadOptions {
	return pb.GraphReadOptions{Notes: func(got graphjson.Notes) { *notes = got }}
}

// TestReadListsAndResources has responses of the other type, each of which would be an empty one.
func TestReadListsAndResources(t *testing.T) {
	for _, test := range []struct {
		text, property string
		into           func() reader
	}{
		{`{"value":[{"id":"1"}]}`, "value", func() reader { return new(pb.GetProtectionPolicyResponse) }},
		{`{"value":[]}`, "value", func() reader { return new(pb.GetMailboxProtectionUnitsBulkAdditionJobResponse) }},
		{`{"id":"1","value":[7]}`, "value", func() reader { return new(pb.GetRestoreSessionResponse) }},
		{`{"value":[{"id":"1"}]}`, "value", func() reader { return new(pb.DeleteAndUnprotectMailboxInclusionRuleResponse) }},
		{`{"id":"1","displayName":"a"}`, "", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
		{`{}`, "", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
		{`{"value":{"id":"1"}}`, "", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
		{`{"value":"x"}`, "", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
		{`{"value":[],"@odata.nextLink":{"href":"x"}}`, "@odata.nextLink", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
		{`{"value":[],"@odata.nextLink":7}`, "@odata.nextLink", func() reader { return new(pb.ListProtectionPoliciesResponse) }},
	} {
		var failed *pb.GraphJSONError
		err := test.into().UnmarshalGraphJSON([]byte(test.text), pb.GraphReadOptions{})
		if !errors.As(err, &failed) || failed.Cause != graphjson.CauseWrongType || failed.Property != test.property {
			t.Errorf("%T of %s: got %+v, want the property %q", test.into(), test.text, err, test.property)
		}
	}
	for _, text := range []string{`{"value":null}`, `{"value":""}`, `{"value":[],"@odata.nextLink":null}`} {
		if _, cause := read(t, text, new(pb.ListProtectionPoliciesResponse), pb.GraphReadOptions{}); cause != "" {
			t.Errorf("%s: cause %q", text, cause)
		}
	}
}

func TestReadOtherShapes(t *testing.T) {
	t.Run("numbers may be strings", func(t *testing.T) {
		wantRead(t, `{"value":[{"sizeInBytes":"5368709120","itemsCount":3,"name":"a"},{"sizeInBytes":5368709120}],"@odata.count":2}`,
			new(pb.BrowseOneDriveForBusinessBrowseSessionResponse), new(pb.BrowseOneDriveForBusinessBrowseSessionResponse),
			`items {name: "a" items_count: 3 size_in_bytes: 5368709120} items {size_in_bytes: 5368709120} count: 2`)
	})
	t.Run("lists of strings are read", func(t *testing.T) {
		wantRead(t, `{"searchResponseId":"s","noResultProtectionUnitIds":["a",null,"b"],"searchResults":[{"artifactHitCount":5,`+
			`"restorePoint":{"@odata.id":"p","tags":"fastRestore","protectionUnit":{"siteId":"1"}}}]}`,
			new(pb.SearchRestorePointsResponse), new(pb.SearchRestorePointsResponse),
			`search_response_id: "s" no_result_protection_unit_ids: ["a", "", "b"] search_results {artifact_hit_count: 5 restore_point {
				id: "p" tags: RESTORE_POINT_TAGS_FAST_RESTORE protection_unit {workload: WORKLOAD_SHARE_POINT site {site_id: "1"}}}}`)
	})
	t.Run("a page without units is read", func(t *testing.T) {
		wantRead(t, `{"value":[],"@odata.nextLink":"https://x/y?$skiptoken=z"}`, new(pb.ListMailboxProtectionUnitsResponse),
			new(pb.ListMailboxProtectionUnitsResponse), `next_page_token: "https://x/y?$skiptoken=z"`)
	})
	t.Run("items of an update are read", func(t *testing.T) {
		wantRead(t, `{"id":"p","mailboxProtectionUnits@delta":[{"@contentId":"1","id":"u","directoryObjectId":"d"},{"@removed":{},"id":"v"},`+
			`{"@removed":null,"id":"w"}]}`, new(pb.UpdateExchangeProtectionPolicyResponse), new(pb.UpdateExchangeProtectionPolicyResponse),
			`protection_policy {id: "p"}
			mailbox_protection_units {content_id: "1" protection_unit {id: "u" user {directory_object_id: "d"}}}
			mailbox_protection_units {removed: true protection_unit {id: "v"}}
			mailbox_protection_units {protection_unit {id: "w"}}`)
	})
}
